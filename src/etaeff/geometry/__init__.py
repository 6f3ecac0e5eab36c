"""Blocks of weights as points on spheres: the only place that computes an angle."""

from etaeff.geometry._block import Block, block_norms, block_pieces, pieces
from etaeff.geometry._groups import (
    FLATTENED,
    STEPS,
    check_radii,
    check_radius,
    has_direction,
    is_flattened,
    param_groups,
    parameters_of,
    refuse_shared,
    sphere_radii,
)
from etaeff.geometry._sphere import angle, norm, normalize

__all__ = [
    "FLATTENED",
    "STEPS",
    "Block",
    "angle",
    "block_norms",
    "block_pieces",
    "check_radii",
    "check_radius",
    "has_direction",
    "is_flattened",
    "norm",
    "normalize",
    "param_groups",
    "parameters_of",
    "pieces",
    "refuse_shared",
    "sphere_radii",
]
