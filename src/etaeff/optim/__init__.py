"""Optimisers that keep blocks of weights on spheres, and the sphere for any other optimiser."""

from etaeff.optim._adam import SphereAdam
from etaeff.optim._constrain import Constraint, constrain_, project_
from etaeff.optim._lion import SphereLion
from etaeff.optim._muon import SphereMuon
from etaeff.optim._sgd import SphereSGD

__all__ = [
    "Constraint",
    "SphereAdam",
    "SphereLion",
    "SphereMuon",
    "SphereSGD",
    "constrain_",
    "project_",
]
