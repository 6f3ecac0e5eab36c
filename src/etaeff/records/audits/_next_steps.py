"""What to do with an audit: lines of Python that make an optimiser of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from etaeff.records.audits._words import DecayKind
from etaeff.theory.settings import OPTIMIZERS, Optimizer, Setting

_TORCH: Final = ("sgd", "rmsprop", "adam", "adamw", "nadam")  # that take tensors of any shape
_SPHERES: Final = ("sgd", "adamw")  # with the law that their sphere optimiser turns by
_EXAMPLE: Final = Setting(optimizer="adamw", lr=1e-3, wd=0.1)


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
    effects = {row["effect"] for row in values["parameters"].values()}
    if effects <= {DecayKind.FROZEN}:
        return ()
    setting = _setting_of(values.get("forecasts", ()))
    row = OPTIMIZERS[setting.optimizer]
    steps = [NextStep(_purpose(effects), _code(setting, None, f"torch.optim.{row.classes[0]}"))]
    if values["blocks"] and setting.optimizer in _SPHERES and setting.wd > 0:
        text = (
            "Or keep the scale-invariant blocks on spheres, where they turn from the first step on "
            "as decay would make them turn at equilibrium:"
        )
        sphere = next(name for name in row.classes if name.startswith("Sphere"))
        steps.append(NextStep(text, _code(setting, "equilibrium", f"etaeff.optim.{sphere}")))
    return tuple(steps)


def _purpose(effects: set[str]) -> str:
    """What the param groups are for."""
    if DecayKind.SETS_LR in effects:
        return (
            "Param groups in which decay sets the effective learning rate, regularises, or is "
            "left out, for gains, biases and what has no effect:"
        )
    return "Param groups with decay, and without, for gains, biases and what has no effect:"


def _setting_of(forecasts: Sequence[Mapping[str, Any]]) -> Setting:
    """The setting of the audited optimiser, of the group with most to set; else an example."""
    known = [one for one in forecasts if one["setting"]]
    for one in sorted(known, key=lambda one: len(one["names"]), reverse=True):
        setting = Setting.parse(one["setting"])
        if setting.optimizer in _TORCH:
            return setting
    return _EXAMPLE


def _code(setting: Setting, mode: str | None, optimizer: str) -> tuple[str, ...]:
    """The lines that make an optimiser."""
    others = "".join(
        f", {name}={value!r}"
        for name, value in setting.arguments().items()
        if name not in ("lr", "wd", "decay") and value != _default(setting.optimizer, name)
    )
    return (
        f"import {optimizer.rpartition('.')[0]}",
        "groups = audit.param_groups(",
        f"    lr={setting.lr:g}, weight_decay={setting.wd:g}, mode={mode!r}, "
        'without_decay="standard"',
        ")",
        f"optimizer = {optimizer}(groups, lr={setting.lr:g}{others})",
    )


def _default(optimizer: str, name: str) -> Any:
    """What a hyperparameter is if it is left out."""
    row: Optimizer = OPTIMIZERS[optimizer]
    return row.defaults.get(name)
