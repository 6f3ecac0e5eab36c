"""Parameters that a later operator forgets: the small calculus of shifts.

A convolution's bias adds to each channel what does not depend on the position; Batch Normalization
subtracts the mean over positions. A bias of the keys adds the same to all scores of a query;
softmax does not notice. So a change of a parameter is followed through the graph as an added
*shift*, of which one thing is known: along which axes it is constant. `_operators/_shifts.py` says
what shifts are, and the table of operators what becomes of them.
"""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from etaeff.symmetry._operators._cuts import shape_of
from etaeff.symmetry._operators._nonlinear import softmax_of_shift
from etaeff.symmetry._operators._operator import Layout
from etaeff.symmetry._operators._shifts import MaskedShift, NotForgottenError, ShiftedCall
from etaeff.symmetry._operators._table import operator_of
from etaeff.symmetry._proof._places import Place
from etaeff.symmetry._proof._support import NOWHERE, Support, support_after
from etaeff.symmetry._tracing._graph import Graph
from etaeff.symmetry._tracing._nodes import name_of


def forgotten_biases(graph: Graph) -> set[str]:
    """Names of parameters that the graph does not read, or shows to have no effect."""
    names = graph.parameters
    nodes = list(graph.module.graph.nodes)
    order = {node: i for i, node in enumerate(nodes)}
    read = [node for node in nodes if node.name in names]
    return {names[node.name] for node in read if _is_forgotten(node, nodes, order)}


def forgotten_pieces(
    graph: Graph, parameters: Mapping[str, int], places: Mapping[int, Place]
) -> set[tuple[int, int]]:
    """Pieces that have no effect: the index of a parameter, and a class of its positions."""
    nodes = list(graph.module.graph.nodes)
    order = {node: i for i, node in enumerate(nodes)}
    named: dict[int, list[fx.Node]] = {}
    for node in nodes:
        if node.op == "placeholder" and node.name in graph.parameters:
            named.setdefault(parameters[graph.parameters[node.name]], []).append(node)
    return {
        (index, number)
        for index, place in places.items()
        for number in range(int(place.classes.max()) + 1)
        if len(named[index]) == 1  # by one name
        and _is_forgotten(
            named[index][0], nodes, order, Support(place.axis, place.classes == number)
        )
    }


def _is_forgotten(
    parameter: fx.Node,
    nodes: Sequence[fx.Node],
    order: dict[fx.Node, int],
    support: Support | None = None,
) -> bool:
    """Whether no output is shifted when a parameter, or the piece `support` of it, is."""
    meta = parameter.meta.get("val")
    if not parameter.users:
        return True
    if not isinstance(meta, Tensor):
        return False
    shifts: dict[fx.Node, Any] = {parameter: torch.empty(meta.shape, device="meta")}
    supports: dict[fx.Node, Any] = {parameter: support}
    waiting = {order[user] for user in parameter.users}
    try:
        while waiting:
            first = min(waiting)  # all that it reads is then known
            waiting.remove(first)
            shift = _after(nodes[first], shifts)
            where = None if support is None else _where(nodes[first], shifts, supports)
            if shift is not None and where is not NOWHERE:
                shifts[nodes[first]], supports[nodes[first]] = shift, where
                waiting |= {order[user] for user in nodes[first].users}
    except NotForgottenError:
        return False
    return True


def _after(node: fx.Node, shifts: dict[fx.Node, Any]) -> Any:
    """The shift of what a node puts out; `None` if it is forgotten."""
    if node.target is operator.getitem:
        return shifts[node.args[0]][node.args[1]]  # type: ignore[index]
    name = name_of(node)
    if name.startswith("sym_"):  # it reads a shape
        return None
    alone = _alone(node)
    if alone in shifts:
        return shifts[alone]
    rule = operator_of(name).shift
    positions = [i for i, argument in enumerate(node.args) if argument in shifts]
    if rule is None or len(positions) != 1 or len(_shifted(node, shifts)) != 1:
        raise NotForgottenError
    shift = shifts[node.args[positions[0]]]  # type: ignore[index]
    if isinstance(shift, MaskedShift) and rule is softmax_of_shift:
        shift = shift.shift
    if not isinstance(shift, Tensor):
        raise NotForgottenError
    try:
        return rule(ShiftedCall(node, positions[0], shift))
    except (IndexError, RuntimeError, TypeError) as error:  # shapes that a rule does not know
        raise NotForgottenError from error


def _where(node: fx.Node, shifts: dict[fx.Node, Any], supports: dict[fx.Node, Any]) -> Any:
    """Where the shift of what a node puts out can be."""
    alone = _alone(node)
    if alone in shifts:
        return supports[alone]
    given = next(argument for argument in node.args if argument in shifts)
    if node.target is operator.getitem:
        return supports[given][node.args[1]]  # type: ignore[index]
    return support_after(node, node.args.index(given), supports[given])  # type: ignore[index]


def _alone(node: fx.Node) -> fx.Node | None:
    """Of values that are put together the one that has entries, as where a cache begins."""
    if operator_of(name_of(node)).layout is not Layout.JOINED:
        return None
    parts: Any = node.args[0]
    filled = [part for part in parts if 0 not in shape_of(part.meta.get("val"))]
    return filled[0] if len(filled) == 1 else None


def _shifted(node: fx.Node, shifts: dict[fx.Node, Any]) -> list[fx.Node]:
    """All arguments of a node that have a shift, one that is given twice twice."""
    arguments: list[fx.Node] = []
    fx.node.map_arg((node.args, node.kwargs), arguments.append)
    return [argument for argument in arguments if argument in shifts]
