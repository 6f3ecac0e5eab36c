"""The updates of the optimisers, as plain functions of gradient, state and hyperparameters."""

from etaeff.optim.rules.adam import ADAM
from etaeff.optim.rules.lion import LION
from etaeff.optim.rules.muon import MUON
from etaeff.optim.rules.rule import Group, Rule, State, moment_dtype
from etaeff.optim.rules.sgd import SGD

__all__ = ["ADAM", "LION", "MUON", "SGD", "Group", "Rule", "State", "moment_dtype"]
