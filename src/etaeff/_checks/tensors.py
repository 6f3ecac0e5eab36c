"""What tensors on spheres must be, and their radii: one law for every package.

Notation
    norms    ‖w‖ of each piece of a block, of shape (count,), in float64
    names    the parameters of the block, for the sentence
"""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from etaeff.errors import UsageError

FLATTENED: Final = (
    "FullyShardedDataParallel (FSDP1) and DeepSpeed's stage 3 hold flattened shards, which have no "
    "channels. Use FSDP2 (`fully_shard`), which keeps shapes."
)
_FLATTENED_MARKS: Final = ("_is_flat_param", "_fsdp_flattened", "ds_id")
_SMALLEST: Final = 1e-15  # whose square float32 still holds in full


def is_flattened(tensor: Tensor) -> bool:
    """Whether FSDP1, with original parameters or without, or DeepSpeed has marked it."""
    return any(hasattr(tensor, mark) for mark in _FLATTENED_MARKS)


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is spread over processes (a DTensor)."""
    return hasattr(tensor, "placements") and hasattr(tensor, "to_local")


def check_dense_real(name: str, p: Tensor) -> None:
    """Refuse a parameter that is no dense tensor of real numbers, or a flattened shard."""
    if p.is_complex():
        raise UsageError(f"Parameter {name!r} is complex; spheres are of real numbers.")
    if p.is_meta:
        raise UsageError(f"Parameter {name!r} is on the meta device and has no norm yet.")
    if not p.is_floating_point() or p.layout is not torch.strided:
        raise UsageError(f"Parameter {name!r} must be a dense tensor of real numbers.")
    if is_flattened(p):
        raise UsageError(f"Parameter {name!r} is a flattened shard. {FLATTENED}")


def check_radius(radius: Any) -> None:
    """Refuse what is no radius of a sphere."""
    is_number = isinstance(radius, int | float) and not isinstance(radius, bool)
    if radius not in ("unit", "keep") and not (is_number and 0 < float(radius) < float("inf")):
        raise UsageError(f"`radius` must be 'unit', 'keep', or a positive number, got {radius!r}.")


def has_direction(norms: Tensor) -> Tensor:
    """Which pieces with these norms are neither zero nor NaN, nor beyond squares in float32."""
    return (norms > _SMALLEST) & (norms < 1 / _SMALLEST)


def check_direction(norms: Tensor, names: Sequence[str]) -> None:
    """Refuse pieces whose norm is zero, not finite, or too small or large for squares."""
    bad = ~has_direction(norms)
    if bool(bad.any()):
        first = int(bad.nonzero()[0])
        raise UsageError(
            f"Piece {first} of {len(norms)} of {quoted(names)} has norm "
            f"{float(norms[first]):.3g}, which gives it no direction. Initialise it at random, or "
            "leave it out of the blocks, as for a branch that is meant to begin at zero."
        )


def check_radii(radii: Tensor, names: Sequence[str], dtype: torch.dtype) -> None:
    """Refuse radii at which weights of a dtype have no direction, or overflow."""
    limits = torch.finfo(dtype)
    low, high = max(_SMALLEST, limits.tiny), min(1 / _SMALLEST, limits.max)
    bad = ~((radii > low) & (radii < high))
    if bool(bad.any()):
        first = int(bad.nonzero()[0])
        raise UsageError(
            f"`radius` must be above {low:.3g} and below {high:.3g} for weights in "
            f"{str(dtype).removeprefix('torch.')}, got {float(radii[first]):.3g} for piece {first} "
            f"of {len(radii)} of {quoted(names)}."
        )


def quoted(names: Sequence[str]) -> str:
    """The names of a block for a sentence: the first three of them."""
    return ", ".join(map(repr, names[:3])) + (", …" if len(names) > 3 else "")
