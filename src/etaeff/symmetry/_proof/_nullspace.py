"""The exact rational null space of the constraints, in a form that people can read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import gcd, lcm
from typing import TypeAlias

Vector: TypeAlias = dict[int, Fraction]  # no zeros


def null_space(rows: Sequence[Mapping[int, Fraction]], columns: int) -> list[Vector]:
    """A basis of what all rows vanish on, by sparse elimination over the rationals.

    Args:
        rows: Linear forms in `columns` unknowns.
        columns: Number of unknowns.

    Returns:
        Basis vectors: none for unknowns that are determined, one for each that is free.
    """
    from sympy import QQ
    from sympy.polys.matrices import DomainMatrix
    from sympy.polys.matrices.sdm import SDM

    rows = [row for row in rows if row]
    if not rows:
        return [{i: Fraction(1)} for i in range(columns)]
    entries = {
        i: {j: QQ(v.numerator, v.denominator) for j, v in row.items()} for i, row in enumerate(rows)
    }
    matrix = DomainMatrix.from_rep(SDM(entries, (len(rows), columns), QQ))
    basis = matrix.nullspace().to_sparse().rep
    return [
        {j: Fraction(int(v.numerator), int(v.denominator)) for j, v in row.items()}
        for row in (basis.to_dod() if hasattr(basis, "to_dod") else basis).values()
    ]


def integers(vector: Mapping[int, Fraction]) -> Vector:
    """The shortest multiple with whole numbers, most of them positive."""
    scale = lcm(*(v.denominator for v in vector.values()))
    whole = {i: int(v * scale) for i, v in vector.items()}
    common = gcd(*whole.values())
    positive = sum(v > 0 for v in whole.values())
    sign = (
        1
        if 2 * positive > len(whole) or (2 * positive == len(whole) and whole[min(whole)] > 0)
        else -1
    )
    return {i: Fraction(sign * v // common) for i, v in sorted(whole.items())}


def sparsest(
    basis: Sequence[Mapping[int, Fraction]], light: frozenset[int] = frozenset()
) -> list[Vector]:
    """Another basis of the same space, with few nonzero numbers in each vector.

    Vectors are shortened by multiples of the others until none gets shorter. Of two as short, one
    whose numbers share a sign is taken, then the one with fewer unknowns from `light`.
    """
    vectors = [dict(v) for v in basis]
    improved = True
    while improved:
        improved = False
        for i, vector in enumerate(vectors):
            for j, other in enumerate(vectors):
                if i == j or vector.keys().isdisjoint(other):
                    continue
                shorter = _shortened(vector, other, light)
                if shorter is not vector:
                    vectors[i] = vector = shorter
                    improved = True
    return [integers(v) for v in vectors]


def shortened(vector: Vector, others: Sequence[Vector]) -> Vector:
    """A vector made shorter by multiples of others, one after another until none helps."""
    while True:
        best = min((_shortened(vector, other) for other in others), key=_cost, default=vector)
        if _cost(best) >= _cost(vector):
            return vector
        vector = best


def _shortened(vector: Vector, other: Vector, light: frozenset[int] = frozenset()) -> Vector:
    """The best of `vector` − c · `other`; `vector` itself if none is better."""
    common = vector.keys() & other.keys()
    if len(other) > 2 * len(common):  # it would be longer, even if all of these were to vanish
        return vector
    best = vector
    vanishing = Counter(vector[i] / other[i] for i in sorted(common))
    for c, count in vanishing.items():
        if len(vector) + len(other) - len(common) - count > len(best):
            continue
        total = dict(vector)
        for i, v in other.items():
            total[i] = total.get(i, Fraction(0)) - c * v
            if not total[i]:
                del total[i]
        if _cost(total, light) < _cost(best, light):
            best = total
    return best


def _cost(vector: Vector, light: frozenset[int] = frozenset()) -> tuple[int, int, int, int]:
    """How hard a vector is to read; of equals, that of later parameters is taken.

    Those are what writes into a residual stream, rather than what feeds the writers.
    """
    signs = {v.numerator > 0 for v in vector.values()}
    return len(vector), len(signs), len(light & vector.keys()), -sum(vector)
