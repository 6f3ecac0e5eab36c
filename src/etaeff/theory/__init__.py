"""Closed forms: what learning rate and weight decay do to a normalised weight. No torch."""

from etaeff.theory._effective_lr import effective_lr, radius_power
from etaeff.theory._equilibrium import Equilibrium, equilibrium
from etaeff.theory._forecast import Forecast, forecast, published_rows
from etaeff.theory._invariant import Invariant, invariant, usual_decay
from etaeff.theory._predicted_run import PredictedRun, Waypoint
from etaeff.theory._schedule_law import (
    schedule_drive,
    schedule_from_drive,
    schedule_law,
    switched_lr,
)
from etaeff.theory._schedules import MILESTONES, SCHEDULES, lr_schedule
from etaeff.theory._timescale import Timescale, steps_after_drop, timescale
from etaeff.theory._trajectory import Trajectory, trajectory
from etaeff.theory._update_norm import update_norm
from etaeff.theory.settings import (
    PUBLISHED_SETTINGS,
    PublishedSetting,
    Setting,
    of_torch,
    published_setting,
)

__all__ = [
    "MILESTONES",
    "PUBLISHED_SETTINGS",
    "SCHEDULES",
    "Equilibrium",
    "Forecast",
    "Invariant",
    "PredictedRun",
    "PublishedSetting",
    "Setting",
    "Timescale",
    "Trajectory",
    "Waypoint",
    "effective_lr",
    "equilibrium",
    "forecast",
    "invariant",
    "lr_schedule",
    "of_torch",
    "published_rows",
    "published_setting",
    "radius_power",
    "schedule_drive",
    "schedule_from_drive",
    "schedule_law",
    "steps_after_drop",
    "switched_lr",
    "timescale",
    "trajectory",
    "update_norm",
    "usual_decay",
]
