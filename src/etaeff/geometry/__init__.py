"""Blocks of weights as points on spheres: the only place that computes an angle."""

from etaeff.geometry._block import Block, block_pieces, pieces
from etaeff.geometry._groups import (
    MODES,
    check_mode,
    param_groups,
    parameters_of,
    tensors_in_blocks,
)
from etaeff.geometry._radii import check_radii_of, put_at_, scale_to_, sphere_radii
from etaeff.geometry._shards import Shard, local
from etaeff.geometry._sphere import angle, norm, normalize
from etaeff.geometry._sums import (
    BlockTensors,
    Pair,
    block_norms,
    block_tensors,
    inner_products,
    norms_of,
    reduced,
)

__all__ = [
    "MODES",
    "Block",
    "BlockTensors",
    "Pair",
    "Shard",
    "angle",
    "block_norms",
    "block_pieces",
    "block_tensors",
    "check_mode",
    "check_radii_of",
    "inner_products",
    "local",
    "norm",
    "normalize",
    "norms_of",
    "param_groups",
    "parameters_of",
    "pieces",
    "put_at_",
    "reduced",
    "scale_to_",
    "sphere_radii",
    "tensors_in_blocks",
]
