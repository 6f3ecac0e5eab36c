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
    from etaeff.convert._rows import exponential_rows, match_rows
    from etaeff.convert._sphere import SphereSchedule, to_sphere
    from etaeff.convert._sphere_setting import SphereSetting, sphere_setting

__all__ = [
    "ExponentialSchedule",
    "Match",
    "Setting",
    "SphereSchedule",
    "SphereSetting",
    "decay_schedule",
    "drop_lr_",
    "exponential_rows",
    "exponential_schedule",
    "from_trajectory",
    "match",
    "match_rows",
    "rescale_",
    "sphere_setting",
    "to_sphere",
]

_HOMES = {
    "ExponentialSchedule": "_exponential",
    "Match": "_match",
    "SphereSchedule": "_sphere",
    "SphereSetting": "_sphere_setting",
    "decay_schedule": "_exponential",
    "drop_lr_": "_drop_lr",
    "exponential_rows": "_rows",
    "exponential_schedule": "_exponential",
    "from_trajectory": "_replay",
    "match": "_match",
    "match_rows": "_rows",
    "rescale_": "_rescale",
    "sphere_setting": "_sphere_setting",
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
