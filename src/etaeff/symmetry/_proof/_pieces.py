"""Exponents of pieces of a tensor: symmetries in which parts of one tensor differ."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from etaeff.symmetry._operators._call import Value
from etaeff.symmetry._operators._cuts import Cut
from etaeff.symmetry._proof._nullspace import Vector
from etaeff.symmetry._proof._places import Place


@dataclass(frozen=True)
class Pieces:
    """Where parameters are cut, with an unknown exponent for each piece.

    Attributes:
        places: Where a parameter is cut, by its index; the others are whole.
        unknowns: Indices of the exponents of its pieces, beyond those of all parameters.
        count: Of all unknowns; those of parameters that are cut are not used.
    """

    places: Mapping[int, Place]
    unknowns: Mapping[int, tuple[int, ...]]
    count: int

    def value(self, index: int, whole: Value) -> Value:
        """The value of a parameter."""
        place = self.places.get(index)
        if place is None or whole.ndim <= place.axis:
            return whole._replace(degree={index: Fraction(1)})
        degrees = tuple({unknown: Fraction(1)} for unknown in self.unknowns[index])
        return whole._replace(degree=degrees[0], cut=Cut(place.axis, place.classes, degrees))

    def spread(self, vector: Mapping[int, Fraction]) -> Vector:
        """A vector of exponents of whole tensors, with that of a tensor for each of its pieces."""
        return {
            unknown: value
            for index, value in vector.items()
            for unknown in self.unknowns.get(index, (index,))
        }


def pieces_of(places: Mapping[int, Place], indices: Iterable[int]) -> Pieces:
    """The pieces of parameters, numbered after all parameters."""
    count = 1 + max(indices, default=-1)
    unknowns = {}
    for index, place in sorted(places.items()):
        number = int(place.classes.max()) + 1
        unknowns[index] = tuple(range(count, count + number))
        count += number
    return Pieces(places, unknowns, count)


def joined_again(pieces: Pieces, vectors: Sequence[Vector]) -> dict[int, list[list[int]]]:
    """The pieces that no vector tells apart, together: unknowns by parameter."""
    groups: dict[int, list[list[int]]] = {}
    for index, unknowns in pieces.unknowns.items():
        alike: dict[tuple[Fraction, ...], list[int]] = {}
        for unknown in unknowns:
            key = tuple(vector.get(unknown, Fraction(0)) for vector in vectors)
            alike.setdefault(key, []).append(unknown)
        groups[index] = list(alike.values())
    return groups
