"""Blocks at their radius: the radius of each piece, and weights scaled to it."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from etaeff._checks.tensors import check_direction, check_radii, check_radius
from etaeff.geometry._sums import BlockTensors, norms_of

_ULPS: Final = 2  # units in the last place within which a piece is at its radius


def sphere_radii(norms: Tensor, radius: str | float, names: Sequence[str]) -> Tensor:
    """The radius of each piece, from the norms that they have.

    Args:
        norms: Of each piece, of shape (count,).
        radius: `"unit"`, `"keep"`, or a positive number.
        names: The parameters of the block, for the sentence.

    Raises:
        UsageError: If a piece has no direction: its norm is zero, too small or large for squares
            in float32, or not finite.
    """
    check_radius(radius)
    check_direction(norms, names)
    if radius == "keep":
        return norms
    return torch.full_like(norms, 1.0 if radius == "unit" else float(radius))


def check_radii_of(blocks: Sequence[BlockTensors], radii: Sequence[Tensor]) -> None:
    """Refuse radii that the weights of a block cannot have in their dtype."""
    for of, radius in zip(blocks, radii, strict=True):
        for dtype in {p.dtype for p in of.params}:
            check_radii(radius, of.block.names, dtype)


def put_at_(blocks: Sequence[BlockTensors], radii: Sequence[Tensor]) -> None:
    """Put the pieces of blocks at their radius; all radii are checked before any weight moves."""
    check_radii_of(blocks, radii)
    scale_to_(blocks, radii, norms_of(blocks))


def scale_to_(
    blocks: Sequence[BlockTensors], radii: Sequence[Tensor], norms: Sequence[Tensor]
) -> None:
    """Scale pieces with these norms to their radius; those that are at it, to rounding, stay."""
    for of, radius, norm in zip(blocks, radii, norms, strict=True):
        factor = radius / norm
        stays = (factor - 1).abs() <= _ULPS * torch.finfo(of.params[0].dtype).eps
        with torch.no_grad():
            for shard in of.shards:
                rows = shard.rows(shard.param)
                scaled = rows * shard.spread(factor.to(rows.device), shard.param)
                at_it = shard.spread(stays.to(rows.device), shard.param)
                rows.copy_(torch.where(at_it, rows, scaled))
