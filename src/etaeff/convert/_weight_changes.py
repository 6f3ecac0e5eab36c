"""Changes of the weights of blocks, planned before the first of them is made."""

from collections.abc import Iterable, Mapping
from functools import partial

import torch
from torch import Tensor

from etaeff._checks.tensors import has_direction, quoted
from etaeff.convert._optimizer_changes import Change
from etaeff.errors import UsageError
from etaeff.geometry import Block, Shard, block_norms


def radii(blocks: Iterable[Block], parameters: Mapping[str, Tensor]) -> list[tuple[Block, Tensor]]:
    """Every block with the norms of its pieces.

    Args:
        blocks: Blocks without common parameters.
        parameters: Parameters by name.

    Returns:
        Pairs of a block and its norms, of shape `(count,)`, float64, on the CPU.

    Raises:
        UnknownNameError: If a block names a parameter that is not there.
        UsageError: If a parameter is in two blocks or cannot be cut, or a piece has no
            direction: its norm is 0, not finite, or too small or large for squares in float32.
    """
    if isinstance(blocks, Block):
        raise UsageError("`blocks` must be a list of blocks, got a single one: write [block].")
    found: list[tuple[Block, Tensor]] = []
    taken: set[str] = set()
    for block in blocks:
        norms = block_norms(block, parameters).cpu()
        both = sorted(taken.intersection(block.names))
        if both:
            raise UsageError(
                f"`blocks` must not have parameters in common, got two with {both[0]!r}: it "
                "would be moved twice."
            )
        taken.update(block.names)
        _check_direction(block, norms)
        found.append((block, norms))
    return found


def weight_changes(
    block: Block, norms: Tensor, factors: Tensor, parameters: Mapping[str, Tensor]
) -> list[Change]:
    """Multiply the pieces of a block, and divide their gradients, in place.

    Args:
        block: The block.
        norms: Its radii, of shape `(count,)`.
        factors: c of every piece, of shape `(count,)`, float64.
        parameters: Parameters by name.

    Raises:
        UsageError: If the new radius is beyond the range of the parameter's dtype.
    """
    changes: list[Change] = []
    for name in block.names:
        parameter = parameters[name]
        _check_range(name, parameter.dtype, norms * factors)
        changes.append(_multiply(parameter.detach(), block, factors))
        if parameter.grad is not None:
            changes.append(_multiply(parameter.grad, block, 1 / factors))
    return changes


def _multiply(tensor: Tensor, block: Block, factors: Tensor) -> Change:
    """Multiply the pieces of a tensor by a factor each."""
    if bool((factors == factors[0]).all()):
        return partial(tensor.mul_, float(factors[0]))  # a gradient may be sparse
    if tensor.is_sparse:
        raise UsageError(
            f"The gradient of {quoted(block.names)} is sparse and cannot be divided piece by "
            "piece. Call this after `optimizer.zero_grad()`, or give all pieces one `scale`."
        )
    shard = Shard(tensor, block.axis % max(tensor.ndim, 1), block.count)
    rows = shard.rows(tensor)
    # Left in float64: rounded to bfloat16 first, it would miss the radius by 0.4 %.
    return partial(rows.mul_, shard.spread(factors.to(rows.device), tensor))


def _check_direction(block: Block, norms: Tensor) -> None:
    bad = ~has_direction(norms)
    if bool(bad.any()):
        piece = int(bad.nonzero()[0])
        raise UsageError(
            f"`blocks` must have pieces with a direction, got norm {float(norms[piece])} for "
            f"piece {piece} of {block.count} of {quoted(block.names)}."
        )


def _check_range(name: str, dtype: torch.dtype, radii: Tensor) -> None:
    limits = torch.finfo(dtype)
    if not limits.tiny <= float(radii.min()) <= float(radii.max()) <= limits.max:
        raise UsageError(
            f"The new radius of {name!r} must be within the range of its dtype, {dtype}, got "
            f"{float(radii.min()):.3g} to {float(radii.max()):.3g}."
        )
