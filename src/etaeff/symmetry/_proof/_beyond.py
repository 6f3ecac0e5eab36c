"""Symmetries beyond those of whole tensors: parts of a tensor are scaled, others not so."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from etaeff.symmetry._proof._basis import Span
from etaeff.symmetry._proof._nullspace import Vector, null_space, sparsest
from etaeff.symmetry._proof._pieces import Pieces, pieces_of
from etaeff.symmetry._proof._places import places
from etaeff.symmetry._proof._propagate import propagate
from etaeff.symmetry._tracing._graph import Graph


def piece_vectors(
    graph: Graph, parameters: Mapping[str, int], whole: Sequence[Vector], fixed: Iterable[int] = ()
) -> tuple[Pieces, list[Vector]]:
    """Where the graph cuts parameters, and a basis of what that adds to the symmetries.

    Args:
        graph: A traced model.
        parameters: Index of each parameter by every name that it has.
        whole: The symmetries of whole tensors.
        fixed: Indices of parameters that are not scaled.

    Returns:
        The pieces, and short vectors of their exponents, which with `whole` span all symmetries.
        A part that is not read, such as places beyond the length of the inputs, is in none.
    """
    pieces = pieces_of(places(graph, parameters), parameters.values())
    if not pieces.places:
        return pieces, []
    flow = propagate(graph, parameters, pieces)
    rows = [*flow.constraints.rows, *(value.degree for value in flow.outputs if value.degree)]
    read = flow.read.union(*(value.degree or () for value in flow.outputs))
    unread = set(range(pieces.count)) - read
    still = {u for index in fixed for u in pieces.unknowns.get(index, (index,))}
    rows += [{unknown: Fraction(1)} for unknown in sorted(unread | still)]
    return pieces, _added(null_space(rows, pieces.count), [pieces.spread(v) for v in whole])


def _added(fine: Sequence[Vector], whole: Sequence[Vector]) -> list[Vector]:
    """Of a space, short vectors that are not combinations of others and of known ones."""
    known = Span(whole)
    if all(vector in known for vector in fine):
        return []
    return [vector for vector in sorted(sparsest(fine), key=len) if known.add(vector)]
