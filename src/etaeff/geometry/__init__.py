"""Blocks of weights as points on spheres: the only place that computes an angle."""

from etaeff.geometry._block import Block, block_norms, block_pieces, pieces
from etaeff.geometry._sphere import angle, norm, normalize

__all__ = ["Block", "angle", "block_norms", "block_pieces", "norm", "normalize", "pieces"]
