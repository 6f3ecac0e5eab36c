"""Optimisers with their numbers: settings, the registry, what torch has, what papers publish."""

from etaeff.theory.settings._arguments import Hyperparameters
from etaeff.theory.settings._canonical import canonical
from etaeff.theory.settings._lawless import LAWLESS
from etaeff.theory.settings._published import PublishedSetting
from etaeff.theory.settings._recipes import PUBLISHED_SETTINGS, published_setting
from etaeff.theory.settings._recognition import of_torch
from etaeff.theory.settings._registry import (
    OPTIMIZERS,
    Assumption,
    Law,
    Optimizer,
    optimizer_of,
)
from etaeff.theory.settings._setting import Setting
from etaeff.theory.settings._titles import title
from etaeff.theory.settings._update_rule import UpdateRule, requested_run, rule_of

__all__ = [
    "LAWLESS",
    "OPTIMIZERS",
    "PUBLISHED_SETTINGS",
    "Assumption",
    "Hyperparameters",
    "Law",
    "Optimizer",
    "PublishedSetting",
    "Setting",
    "UpdateRule",
    "canonical",
    "of_torch",
    "optimizer_of",
    "published_setting",
    "requested_run",
    "rule_of",
    "title",
]
