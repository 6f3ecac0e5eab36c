"""Results of conversions as plain values, for tables and files."""

import math
from typing import Any, Final

import numpy as np

from etaeff._checks.numbers import FloatArray
from etaeff.convert._exponential import ExponentialSchedule
from etaeff.convert._match import Match
from etaeff.theory import Equilibrium

_NUMBERS: Final = ("angle", "half_life", "radius", "effective_lr")
_SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)  # of a run


def match_rows(match: Match) -> dict[str, Any]:
    """Both equilibria of a match, the setting that was chosen, and what is said of it.

    Args:
        match: What `etaeff.convert.match` returned.

    Returns:
        `source` and `target`, each with `angle`, `half_life`, `radius`, `effective_lr` and
        `angle_degrees`, where `None` is what is not known; `target` with its `setting` on one line
        too; and `notes`.

    Examples:
        >>> from etaeff.convert import Setting, match
        >>> rows = match_rows(match(Setting.parse("sgd lr=0.1 wd=5e-4"), "adamw", lr=1e-3))
        >>> round(rows["source"]["angle_degrees"], 4), round(rows["target"]["angle_degrees"], 4)
        (0.573, 0.573)
    """
    return {
        "source": _numbers(match.source),
        "target": {"setting": str(match.setting), **_numbers(match.target)},
        "notes": match.notes,
    }


def exponential_rows(schedule: ExponentialSchedule, lr: FloatArray) -> dict[str, Any]:
    """Some steps of a schedule without decay beside the one with it.

    Args:
        schedule: What `etaeff.convert.exponential_schedule` returned.
        lr: Learning rate of each step with the decay, shape (steps,).

    Returns:
        `points`, at every quarter of the run, each with `step`, `lr` with the decay and
        `log10_lr` without; and `growth`, the factor from the last step but one to the last, or
        `None` where `lr` is not constant.

    Examples:
        >>> from etaeff.convert import exponential_schedule
        >>> import numpy as np
        >>> rows = exponential_rows(exponential_schedule(0.1, 0.05, steps=9), np.full(9, 0.1))
        >>> [point["step"] for point in rows["points"]], round(rows["growth"], 4)  # 0.995**-2
        ([0, 2, 4, 6, 8], 1.0101)
    """
    last = len(lr) - 1
    log10 = schedule.log_lr / math.log(10)
    steps = sorted({int(share * last) for share in _SHARES})
    is_constant = last > 0 and bool(np.all(lr == lr[0]))
    growth = math.exp(schedule.log_lr[-1] - schedule.log_lr[-2]) if is_constant else None
    return {
        "growth": growth,
        "points": [
            {"step": step, "lr": float(lr[step]), "log10_lr": float(log10[step])} for step in steps
        ],
    }


def _numbers(settled: Equilibrium) -> dict[str, float | None]:
    """What is shown of an equilibrium, and its angle in degrees too."""
    values = {name: getattr(settled, name) for name in _NUMBERS}
    plain = {name: None if value is None else float(value) for name, value in values.items()}
    angle = plain["angle"]
    return plain | {"angle_degrees": None if angle is None else math.degrees(angle)}
