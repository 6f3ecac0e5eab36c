"""Blocks of weights as points on spheres: the only place that computes an angle."""

from etaeff.geometry._sphere import angle, norm, normalize

__all__ = ["angle", "norm", "normalize"]
