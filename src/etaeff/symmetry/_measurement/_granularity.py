"""The finest cut of an invariant block whose pieces are each invariant by themselves."""

from collections.abc import Sequence

import torch

from etaeff.geometry import Block
from etaeff.symmetry._measurement._defects import ZERO, cut_defects, inert
from etaeff.symmetry._measurement._samples import Sample


def finest_block(drawn: Sequence[Sample], names: Sequence[str]) -> Block:
    """The block of `names` with as many pieces as the samples allow.

    Pieces are equal and contiguous, along an axis in which all the tensors have the same length.
    The measurement is Euler's: each piece is orthogonal to its gradient.
    """
    if set(names) <= inert(drawn):
        return Block(tuple(names))  # an argmax, say, which Euler tells nothing of
    shapes = [tuple(sums.shape[1] for sums in drawn[0].sums[name]) for name in names]
    best = (1, 0)
    for axis in range(min(len(shape) for shape in shapes)):
        lengths = {shape[axis] for shape in shapes}
        if len(lengths) > 1:
            continue
        for count in _divisors(lengths.pop()):
            if count <= best[0]:
                break
            if float(cut_defects(drawn, names, axis, count).max()) <= ZERO:
                best = (count, axis)
                break
    count, axis = best
    return Block(tuple(names), axis=axis, count=count)


def invariant_parts(drawn: Sequence[Sample], name: str) -> tuple[int, int, list[int]] | None:
    """Axis, number of pieces, and which of them are invariant, in a tensor that as a whole is not.

    Such as the queries and keys of a fused matrix, each with a norm of its own, beside the values.
    Pieces that no sample moved count for nothing: rows of an embedding, say, that were not read.
    """
    for axis, sums in enumerate(drawn[0].sums[name]):
        moved = torch.stack([sample.sums[name][axis][2] for sample in drawn]).amin(0)
        for count in _divisors(sums.shape[1])[:-1]:
            invariant = cut_defects(drawn, [name], axis, count) <= ZERO
            parts = invariant & (moved.reshape(count, -1).amax(1) > ZERO**2 * moved.max())
            if parts.any():
                return axis, count, parts.nonzero().flatten().tolist()
    return None


def part_powers(shape: Sequence[int], axis: int, count: int, pieces: Sequence[int]) -> torch.Tensor:
    """One for the entries of some of `count` equal pieces along an axis, and zero for others."""
    ones = torch.zeros(count, dtype=torch.int64)
    ones[list(pieces)] = 1
    along = ones.repeat_interleave(shape[axis] // count)
    return along.reshape([-1 if i == axis else 1 for i in range(len(shape))])


def _divisors(length: int) -> list[int]:
    """All divisors, the largest first."""
    small = [d for d in range(1, int(length**0.5) + 1) if length % d == 0]
    return sorted({*small, *(length // d for d in small)}, reverse=True)
