"""Symmetries beyond those of whole tensors: parts of a tensor are scaled, others not so."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from etaeff.symmetry._proof._basis import Span, readable
from etaeff.symmetry._proof._nullspace import Vector, null_space
from etaeff.symmetry._proof._pieces import Pieces, pieces_of
from etaeff.symmetry._proof._places import places
from etaeff.symmetry._proof._propagate import propagate
from etaeff.symmetry._proof._shift import forgotten_pieces
from etaeff.symmetry._tracing._graph import Graph


def piece_vectors(
    graph: Graph, parameters: Mapping[str, int], whole: Sequence[Vector], fixed: Iterable[int] = ()
) -> tuple[Pieces, list[Vector], set[int]]:
    """Where the graph cuts parameters, and a basis of what that adds to the symmetries.

    Args:
        graph: A traced model.
        parameters: Index of each parameter by every name that it has.
        whole: The symmetries of whole tensors.
        fixed: Indices of parameters that are not scaled.

    Returns:
        The pieces, and short vectors of their exponents, which with `whole` span all symmetries.
        A part that is not read, such as places beyond the length of the inputs, is in none. And
        the exponents of pieces without any effect, each of which is a vector of its own.
    """
    pieces = pieces_of(places(graph, parameters), parameters.values())
    if not pieces.places:
        return pieces, [], set()
    flow = propagate(graph, parameters, pieces)
    rows = [*flow.constraints.rows, *(value.degree for value in flow.outputs if value.degree)]
    read = flow.read.union(*(value.degree or () for value in flow.outputs))
    still = {u for index in fixed for u in pieces.unknowns.get(index, (index,))}
    still |= set(range(pieces.count)) - read
    rows += [{unknown: Fraction(1)} for unknown in sorted(still)]
    known = Span([pieces.spread(vector) for vector in whole])
    inert = {
        pieces.unknowns[index][number]
        for index, number in forgotten_pieces(graph, parameters, pieces.places)
    } - still
    units: list[Vector] = [{unknown: Fraction(1)} for unknown in sorted(inert)]
    fine = null_space(rows, pieces.count)
    if all(vector in known for vector in [*units, *fine]):
        return pieces, [], set()
    shortest = [*units, *sorted(readable(fine, inert), key=len)]
    return pieces, [vector for vector in shortest if known.add(vector)], inert
