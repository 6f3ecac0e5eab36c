"""All that the theory says of one setting: equilibrium, times, the run, and what they mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from etaeff.errors import UsageError
from etaeff.theory._equilibrium import Equilibrium, equilibrium
from etaeff.theory._forecast_words import meaning, run_notes, run_warnings
from etaeff.theory._invariant import Invariant, invariant, usual_decay
from etaeff.theory._predicted_run import PredictedRun, predicted_run
from etaeff.theory._timescale import Timescale, timescale
from etaeff.theory.settings import PUBLISHED_SETTINGS, PublishedSetting, Setting

_ORIGIN: Final = ("name", "model", "data", "source")


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a setting does to a normalised weight.

    Attributes:
        setting: The optimiser and its numbers, at the peak of the schedule.
        block: `dim`, `grad_norm_sq` and `shape` of the weight, those that are known.
        decay: Where the decay acts: `"l2"` or `"decoupled"`.
        equilibrium: Where the weight settles, and how far it turns there.
        timescale: How long it takes, and how long it remembers.
        half_life_epochs: The half-life in epochs; `None` where an epoch's length is not known.
        invariant: The product of η and λ that it feels.
        run: The weight followed through the schedule; `None` without `steps`.
        published: Where the setting is from, if it was published.
        meaning: What λ does to the weight, in words.
        notes: Sentences on what is missing, and what the numbers assume.
        warnings: Sentences on what is probably not intended.
    """

    setting: Setting
    block: Mapping[str, Any]
    decay: str
    equilibrium: Equilibrium
    timescale: Timescale
    half_life_epochs: float | None
    invariant: Invariant
    run: PredictedRun | None
    published: PublishedSetting | None
    meaning: str
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values; the keys are those of `etaeff predict --json`."""
        setting, settled, times = self.setting, self.equilibrium, self.timescale
        arguments = {**setting.arguments(), **self.block}
        product = float(self.invariant.value(lr=setting.lr, wd=setting.wd))
        origin = self.published
        return {
            "optimizer": setting.optimizer,
            "lr": setting.lr,
            "wd": setting.wd,
            "decay": self.decay,
            "arguments": {k: v for k, v in arguments.items() if k not in ("lr", "wd", "decay")},
            "published": None if origin is None else {k: getattr(origin, k) for k in _ORIGIN},
            "angle": _plain(settled.angle),
            "angle_degrees": _degrees(settled.angle),
            "cosine": _plain(settled.cosine),
            "half_life": _plain(times.half_life),
            "half_life_epochs": self.half_life_epochs,
            "settled": _plain(times.settled),
            "settled_epochs": _plain(times.settled_epochs),
            "memory": _plain(times.memory),
            "memory_epochs": _plain(times.memory_epochs),
            "radius": _plain(settled.radius),
            "effective_lr": _plain(settled.effective_lr),
            "invariant": {"name": str(self.invariant), "value": product},
            "regime": settled.regime,
            "meaning": self.meaning,
            "notes": self.notes,
            "run": None if self.run is None else self.run.to_dict(),
            "warnings": self.warnings,
        }


def forecast(
    setting: Setting,
    *,
    dim: float | None = None,
    grad_norm_sq: float | None = None,
    shape: tuple[int, int] | None = None,
    batch: float | None = None,
    data: float | None = None,
    steps: int | None = None,
    schedule: str = "constant",
    warmup: int = 0,
    final: float = 0.0,
    radius: float | None = None,
    published: PublishedSetting | None = None,
) -> Forecast:
    r"""What a setting, and a schedule if there is one, do to a normalised weight.

    It puts together what `equilibrium`, `timescale`, `invariant` and `trajectory` say of one
    setting. The weight settles at the angle that the product of η and λ fixes, and a deviation of
    ‖w‖² from its equilibrium is down to a twentieth after 4.32 half-lives T. A run of n steps
    from elsewhere is warned of where

    $$n < 4.32\,T = -\log_2(0.05)\,T.$$

    With `steps` the weight is followed through the schedule, and each step's turn θ_t is held
    against the θ⋆ of the equilibrium at the step's own η_t: within a tenth of it the weight counts
    as at equilibrium. A schedule that falls faster than the weight settles leaves it behind.

    Args:
        setting: The optimiser and its numbers; η is the peak of the schedule.
        dim: Entries C of the block: for the radius of Adam, AdamW, RMSProp and Lion.
        grad_norm_sq: Mean ‖g‖²‖w‖² of the gradient: for the radius with L2.
        shape: (rows, columns) of Muon's matrix, for its radius.
        batch: Examples (or tokens) per step, for times in epochs.
        data: Examples (or tokens) of an epoch.
        steps: Length of the run, from 1 on; it is followed step by step.
        schedule: As in `lr_schedule`, as are the next two.
        warmup: Steps of warm-up.
        final: What cosine and linear come down to.
        radius: ‖w‖ at the start; by default that of the equilibrium at the peak η. A start at
            equilibrium needs no `dim` and no `grad_norm_sq` where these set no more than the
            scale: the run is then given in shares of that equilibrium.
        published: Where the setting is from.

    Returns:
        The forecast. What needs an input that is not given is `None`, and `notes` says which.

    Raises:
        UnknownNameError: If the optimiser or the schedule is not known.
        UsageError: If an argument lies outside its range, does not go with the optimiser, or is
            of a run that has no `steps`.

    Examples:
        >>> resnet = Setting.parse("sgd lr=0.1 wd=5e-4 momentum=0.9")
        >>> seen = forecast(resnet, steps=1000, schedule="cosine")
        >>> round(float(seen.equilibrium.angle), 5), round(float(seen.timescale.settled))
        (0.00725, 1469)
        >>> seen.warnings[0][:68]
        'Training ends before equilibrium: settling takes 1,469 steps at the '
        >>> seen.run.summary
        'The run does not end at equilibrium: its last step turns ... times as far as ...'

    References:
        Wan et al., "Spherical Motion Dynamics", 2020, for the time to equilibrium; Kosson et al.,
        "Rotational Equilibrium", 2024, for its angle.
    """
    sizes = {"dim": dim, "grad_norm_sq": grad_norm_sq, "shape": shape}
    block: dict[str, Any] = {name: value for name, value in sizes.items() if value is not None}
    run = None
    if steps is None:
        _check_no_run(schedule=schedule != "constant", warmup=warmup, final=final, radius=radius)
    else:
        run = predicted_run(
            setting, block,
            steps=steps, schedule=schedule, warmup=warmup, final=final, radius=radius,
        )  # fmt: skip
    settled = equilibrium(setting, **block)
    times = timescale(setting, batch=batch, data=data, **block)
    product = invariant(setting)
    half_life = times.half_life
    epoch = None if batch is None or data is None else data / batch
    return Forecast(
        setting=setting,
        block=block,
        decay=setting.decay or usual_decay(setting),
        equilibrium=settled,
        timescale=times,
        half_life_epochs=None if half_life is None or epoch is None else float(half_life / epoch),
        invariant=product,
        run=run,
        published=published,
        meaning=meaning(setting, settled, product),
        notes=(*settled.notes, *run_notes(setting, run, published)),
        warnings=run_warnings(run, times),
    )


def published_rows() -> list[dict[str, Any]]:
    """What each published setting implies for a normalised weight at its peak η: a row for each.

    Returns:
        Plain values; `times_settled` is the length of the run over the time in which a weight
        settles: below 1 the run ends before equilibrium. It is `None` where either is not known.

    Examples:
        >>> row = next(row for row in published_rows() if row["name"] == "gpt3-175b")
        >>> round(row["angle_degrees"], 4), round(row["times_settled"], 3)
        (0.0453, 0.375)
    """
    rows = []
    for published in PUBLISHED_SETTINGS:
        setting = published.setting
        times, turn = timescale(setting), equilibrium(setting).angle
        settled, steps = _plain(times.settled), published.steps
        known = settled is not None and steps is not None
        rows.append(
            {
                **{key: getattr(published, key) for key in ("name", "model", "data")},
                **{key: getattr(published, key) for key in ("optimizer", "lr", "wd", "steps")},
                "angle": _plain(turn),
                "angle_degrees": _degrees(turn),
                "half_life": _plain(times.half_life),
                "settled": settled,
                "times_settled": steps / settled if known else None,  # type: ignore[operator]
                "source": published.source,
            }
        )
    return rows


def _check_no_run(**arguments: Any) -> None:
    """Refuse what only a run has where there is none."""
    for name, value in arguments.items():
        if value:
            raise UsageError(f"`{name}` is of a run, and needs `steps`, its length.")


def _plain(value: Any) -> float | None:
    """A number of Python's, where it is known."""
    return None if value is None else float(value)


def _degrees(angle: Any) -> float | None:
    """The angle in degrees, where it is known."""
    return None if angle is None else float(np.rad2deg(angle))
