"""What to do with an audit: lines of Python that make an optimiser of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from etaeff.records.audits._words import DecayKind

if TYPE_CHECKING:
    from etaeff.theory.settings import Setting  # with NumPy, so only where it is used

_TORCH: Final = ("sgd", "rmsprop", "adam", "adamw", "nadam")  # that take tensors of any shape
_SPHERES: Final = ("sgd", "adamw")  # with the law that their sphere optimiser turns by
_EXAMPLE: Final = "adamw lr=0.001 wd=0.1"


@dataclass(frozen=True)
class NextStep:
    """Something to do.

    Attributes:
        text: What for, in a sentence.
        code: Lines of Python, which run where `audit` is the audit.
    """

    text: str
    code: tuple[str, ...]


def next_steps(values: Mapping[str, Any]) -> tuple[NextStep, ...]:
    """How to make an optimiser of an audit, with the numbers of the one that it was given.

    Args:
        values: What `Audit.to_dict` returned.
    """
    from etaeff.theory.settings import OPTIMIZERS, Setting

    effects = {row["effect"] for row in values["parameters"].values()}
    if effects <= {DecayKind.FROZEN}:
        return ()
    given = _setting_of(values.get("forecasts", ()))
    setting = Setting.parse(given or _EXAMPLE)
    row = OPTIMIZERS[setting.optimizer]
    purpose = f"{_purpose(effects)}{'' if given else ' Put in your own numbers.'}"
    steps = [NextStep(purpose, _code(setting, None, f"torch.optim.{row.classes[0]}"))]
    if values["blocks"] and setting.optimizer in _SPHERES and setting.wd > 0:
        text = (
            "Or keep the scale-invariant blocks on spheres, where they turn from the first step on "
            "as far as decay would make them turn at equilibrium."
        )
        sphere = next(name for name in row.classes if name.startswith("Sphere"))
        steps.append(NextStep(text, _code(setting, "equilibrium", f"etaeff.optim.{sphere}")))
    return tuple(steps)


def _purpose(effects: set[str]) -> str:
    """What the param groups are for."""
    if DecayKind.SETS_LR in effects:
        return (
            "Make param groups of what is scale-invariant, of the rest, and, without decay, of "
            "gains, biases and what has no effect."
        )
    return "Make param groups with decay and, for gains, biases and what has no effect, without."


def _setting_of(forecasts: Sequence[Mapping[str, Any]]) -> str:
    """The setting of the audited optimiser, that of the group with most to set, if it will do."""
    for one in sorted(forecasts, key=lambda one: len(one["names"]), reverse=True):
        if one["setting"].partition(" ")[0] in _TORCH:
            return str(one["setting"])
    return ""


def _code(setting: "Setting", mode: str | None, optimizer: str) -> tuple[str, ...]:
    """The lines that make an optimiser."""
    from etaeff.theory.settings import OPTIMIZERS

    defaults = OPTIMIZERS[setting.optimizer].defaults
    others = "".join(
        f", {name}={value!r}"
        for name, value in setting.arguments().items()
        if name not in ("lr", "wd", "decay") and value != defaults.get(name)
    )
    quoted = "None" if mode is None else f'"{mode}"'
    return (
        f"import {optimizer.rpartition('.')[0]}",
        "groups = audit.param_groups(",
        f"    lr={setting.lr:g}, weight_decay={setting.wd:g}, mode={quoted}, "
        'without_decay="standard"',
        ")",
        f"optimizer = {optimizer}(groups, lr={setting.lr:g}{others})",
    )
