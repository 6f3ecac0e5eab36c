"""The finest cut of an invariant block whose pieces are each invariant by themselves."""

from collections.abc import Sequence

from etaeff.geometry import Block
from etaeff.symmetry._measure import ZERO, Sample, cut_defects


def finest_block(drawn: Sequence[Sample], names: Sequence[str]) -> Block:
    """The block of `names` with as many pieces as the samples allow.

    Pieces are equal and contiguous, along the first or second axis, in which all the tensors must
    have the same length.
    The measurement is Euler's: each piece is orthogonal to its gradient.
    """
    shapes = [tuple(own.shape[1] for own in drawn[0].sums[name]) for name in names]
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


def _divisors(length: int) -> list[int]:
    """All divisors, the largest first."""
    small = [d for d in range(1, int(length**0.5) + 1) if length % d == 0]
    return sorted({*small, *(length // d for d in small)}, reverse=True)
