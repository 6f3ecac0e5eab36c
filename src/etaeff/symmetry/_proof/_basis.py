"""The symmetries in a form that people can read, from what was proved and what was measured."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from etaeff.symmetry._proof._cone import one_signed, preferred
from etaeff.symmetry._proof._nullspace import Vector, integers, null_space, shortened, sparsest


def readable(
    vectors: Sequence[Vector], inert: Iterable[int], light: frozenset[int] = frozenset()
) -> list[Vector]:
    """A sparse basis of the span, with the inert directions taken out of the other vectors.

    Args:
        vectors: They span the symmetries together with the inert directions.
        inert: Indices of parameters without effect.
        light: Gains and shifts: of two vectors as short, the one with fewer of them is taken.
    """
    gone = set(inert)
    kept = [{i: v for i, v in vector.items() if i not in gone} for vector in vectors]
    return sparsest(independent([vector for vector in kept if vector]), light)


def with_one_signed(
    basis: Sequence[Vector], light: frozenset[int] = frozenset()
) -> tuple[list[Vector], dict[int, Vector]]:
    """A basis that shows what is scale-invariant, and the direction for each that is.

    Shortening may trade a direction of one sign for shorter ones of mixed signs. Where none is
    left that shows a parameter to be scale-invariant, one takes the place of the longest mixed one.
    """
    vectors = list(basis)
    cone = one_signed(vectors)
    while cone.beyond:
        ray = preferred(min(cone.beyond, key=len), vectors, light)
        mixed = [v for v in vectors if len({x > 0 for x in v.values()}) > 1]
        for vector in sorted(mixed, key=len, reverse=True):
            others = [v for v in vectors if v is not vector]
            if ray not in Span(others):
                vectors = [*others, ray]
                break
        else:
            break
        cone = one_signed(vectors)
    return vectors, cone.through


def independent(vectors: Sequence[Vector]) -> list[Vector]:
    """Vectors in echelon form with the same span."""
    pivots: dict[int, Vector] = {}
    for vector in vectors:
        rest = reduced(vector, pivots)
        if rest:
            first = min(rest)
            pivots[first] = {i: v / rest[first] for i, v in rest.items()}
    return list(pivots.values())


def reduced(vector: Mapping[int, Fraction], pivots: Mapping[int, Vector]) -> Vector:
    """What is left of a vector after elimination; nothing if it lies in the span."""
    rest = dict(vector)
    while True:
        hit = next((i for i in sorted(rest) if i in pivots), None)
        if hit is None:
            return rest
        factor = rest[hit]
        for i, v in pivots[hit].items():
            total = rest.get(i, Fraction(0)) - factor * v
            if total:
                rest[i] = total
            else:
                rest.pop(i, None)


class Span:
    """All combinations of some vectors."""

    def __init__(self, vectors: Sequence[Vector]) -> None:
        """The span of `vectors`."""
        self._pivots = {min(vector): vector for vector in independent(vectors)}

    def add(self, vector: Vector) -> bool:
        """Take in a vector; whether it is no combination of the others."""
        rest = reduced(vector, self._pivots)
        if rest:
            first = min(rest)
            self._pivots[first] = {i: v / rest[first] for i, v in rest.items()}
        return bool(rest)

    def __contains__(self, vector: Vector) -> bool:
        """Whether `vector` is one of the combinations."""
        return not reduced(vector, self._pivots)


def homogeneous(
    rows: Sequence[Mapping[int, Fraction]],
    outputs: Sequence[Mapping[int, Fraction]],
    symmetries: Sequence[Vector],
    columns: int,
) -> tuple[Vector, Fraction] | None:
    """A direction along which all outputs scale alike, and by what degree; `None` if none does.

    Args:
        rows: Constraints without those on the outputs.
        outputs: Degrees of the outputs.
        symmetries: Those that leave the outputs as they are.
        columns: Number of parameters.
    """
    if not outputs:
        return None
    equal = [_difference(outputs[0], other) for other in outputs[1:]]
    space = sparsest(null_space([*rows, *(row for row in equal if row)], columns))
    for vector in sorted(space, key=len):
        degree = sum((outputs[0].get(i, Fraction(0)) * v for i, v in vector.items()), Fraction(0))
        if degree:
            whole = integers(shortened(vector, symmetries))
            total = sum((outputs[0].get(i, Fraction(0)) * v for i, v in whole.items()), Fraction(0))
            if total < 0:
                whole, total = {i: -v for i, v in whole.items()}, -total
            return whole, total
    return None


def _difference(left: Mapping[int, Fraction], right: Mapping[int, Fraction]) -> Vector:
    """Left − right, without zeros."""
    total = dict(left)
    for i, v in right.items():
        total[i] = total.get(i, Fraction(0)) - v
    return {i: v for i, v in total.items() if v}
