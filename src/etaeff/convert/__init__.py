"""Conversions that keep what a network learns: radii, schedules and hyperparameters.

Names are loaded when they are first used: importing the package loads no torch, and only
`rescale_` and `drop_lr_`, which change a model, need it.
"""

import typing as _typing

from etaeff._lazy import lazy_names as _lazy_names
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
    "ExponentialSchedule": "etaeff.convert._exponential",
    "Match": "etaeff.convert._match",
    "SphereSchedule": "etaeff.convert._sphere",
    "SphereSetting": "etaeff.convert._sphere_setting",
    "decay_schedule": "etaeff.convert._exponential",
    "drop_lr_": "etaeff.convert._drop_lr",
    "exponential_rows": "etaeff.convert._rows",
    "exponential_schedule": "etaeff.convert._exponential",
    "from_trajectory": "etaeff.convert._replay",
    "match": "etaeff.convert._match",
    "match_rows": "etaeff.convert._rows",
    "rescale_": "etaeff.convert._rescale",
    "sphere_setting": "etaeff.convert._sphere_setting",
    "to_sphere": "etaeff.convert._sphere",
}
__getattr__, __dir__ = _lazy_names(__name__, __all__, _HOMES)
