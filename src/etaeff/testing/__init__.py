"""Contracts as classes of tests, to run on what you wrote yourself."""

from etaeff.testing._optimizers import SphereOptimizerContract
from etaeff.testing._problem import OptimizerCase

__all__ = ["OptimizerCase", "SphereOptimizerContract"]
