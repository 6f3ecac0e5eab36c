"""Conversions that keep what a network learns: radii, schedules and hyperparameters.

Names are loaded when they are first used: importing the package loads no torch, and only
`rescale_` and `drop_lr_`, which change a model, need it.
"""

import importlib as _importlib
import typing as _typing

from etaeff.theory import Setting

if _typing.TYPE_CHECKING:
    from etaeff.convert._drop_lr import drop_lr_
    from etaeff.convert._exponential import (
        ExponentialSchedule,
        decay_schedule,
        exponential_schedule,
    )
    from etaeff.convert._match import Match, match
    from etaeff.convert._replay import from_trajectory
    from etaeff.convert._rescale import rescale_
    from etaeff.convert._sphere import SphereSchedule, to_sphere

__all__ = [
    "ExponentialSchedule",
    "Match",
    "Setting",
    "SphereSchedule",
    "decay_schedule",
    "drop_lr_",
    "exponential_schedule",
    "from_trajectory",
    "match",
    "rescale_",
    "to_sphere",
]

_HOMES = {
    "ExponentialSchedule": "_exponential",
    "Match": "_match",
    "SphereSchedule": "_sphere",
    "decay_schedule": "_exponential",
    "drop_lr_": "_drop_lr",
    "exponential_schedule": "_exponential",
    "from_trajectory": "_replay",
    "match": "_match",
    "rescale_": "_rescale",
    "to_sphere": "_sphere",
}


def __getattr__(name: str) -> _typing.Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _importlib.import_module(f"{__name__}.{_HOMES[name]}")
    globals()[name] = value = getattr(home, name)  # the next use does not come here
    return value


def __dir__() -> list[str]:
    return __all__
