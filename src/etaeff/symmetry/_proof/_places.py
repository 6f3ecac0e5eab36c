"""Where the graph cuts a parameter: the queries, keys and values of a fused matrix, say.

The graph is walked backwards from every operator that shows a part of its argument. A cut of its
result is one of the arguments that have the same axis, and so on up to the parameters. Nothing
rests on it: a piece too many makes an unknown too many, and one too few hides a symmetry.
"""

import operator
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from torch import fx

from etaeff.symmetry._operators._call import Call, value_of
from etaeff.symmetry._operators._cuts import Classes, refined, regrouped, shape_of
from etaeff.symmetry._operators._degrees import FREE, Constraints
from etaeff.symmetry._operators._operator import Layout
from etaeff.symmetry._operators._table import operator_of
from etaeff.symmetry._proof._piecewise import keyed, places_in_views
from etaeff.symmetry._tracing._graph import Graph
from etaeff.symmetry._tracing._nodes import name_of
from etaeff.symmetry._tracing._torch import argument_names, is_operator

_MOST: Final = 16  # pieces of a parameter


class Place(NamedTuple):
    """Where a parameter is cut.

    Attributes:
        axis: Of the parameter.
        classes: Of each position along it.
    """

    axis: int
    classes: Classes


def places(graph: Graph, parameters: Mapping[str, int]) -> dict[int, Place]:
    """Where parameters are cut, by their index; along one axis each."""
    walk = _Walk()
    for node in reversed(graph.module.graph.nodes):
        if node.op == "call_function":
            walk.back(node)
    found: dict[int, Place] = {}
    for node in graph.module.graph.nodes:
        name = graph.parameters.get(node.name) if node.op == "placeholder" else None
        for axis, classes in walk.wanted.get(node, {}).items() if name is not None else ():
            index = parameters[str(name)]
            other = found.get(index, Place(axis, classes))
            if other.axis == axis:  # by another name, or the first axis
                found[index] = Place(axis, refined(other.classes, classes))
    return {index: place for index, place in found.items() if place.classes.max() < _MOST}


class _Walk:
    """What is wanted of each value: classes along some of its axes."""

    def __init__(self) -> None:
        self.wanted: dict[Any, dict[int, Classes]] = {}

    def want(self, value: Any, axis: int, classes: Classes) -> None:
        """Tell apart positions of a node, or of one of its results, where there are several."""
        if classes.max() == classes.min():
            return
        axes = self.wanted.setdefault(value, {})
        both = refined(axes[axis], classes) if axis in axes else refined(classes, classes)
        if both.max() < _MOST:
            axes[axis] = both

    def back(self, node: fx.Node) -> None:
        """From a node to its arguments."""
        wanted = self.wanted.get(node, {})
        if node.target is operator.getitem:
            for axis, classes in wanted.items():
                self.want((node.args[0], node.args[1]), axis, classes)
            return
        row = operator_of(name_of(node))
        if row.layout is Layout.VIEWS:
            self._through_views(node)
        elif wanted and is_operator(node.target):
            call = shaped(node)
            for key, argument_axis, classes in self._through(row, call, wanted):
                self.want(_argument(node, key), argument_axis, classes)

    def _through(
        self, row: Any, call: Call, wanted: Mapping[int, Classes]
    ) -> Iterator[tuple[Any, int, Classes]]:
        """What a computation, or a new shape, or what is put together asks of its arguments."""
        shapes = {key: value.shape for key, value in keyed(call.arguments)}
        axes = row.axes(call) if row.axes is not None and call.shape else None
        for axis, classes in wanted.items():
            if row.layout is Layout.IN_ORDER:
                key, shape = next(iter(shapes.items()))
                place = regrouped(axis, classes, call.shape, shape)
                if place is not None:
                    yield key, *place
            elif row.layout is Layout.JOINED:
                yield from _before_joining(call, shapes, axis, classes)
            elif axes is not None and axes.result[axis] is not None:
                label = axes.result[axis]
                for key, labels in axes.given.items():
                    shape = shapes.get(key, ())
                    if len(shape) == len(labels) and label in labels:
                        at = list(labels).index(label)
                        if shape[at] == len(classes):
                            yield key, at, classes

    def _through_views(self, node: fx.Node) -> None:
        """What views show of each axis of their argument: here cuts begin."""
        base = node.args[0]
        if not isinstance(base, fx.Node):
            return
        several = isinstance(node.meta.get("val"), list | tuple)
        shape = shape_of(base.meta.get("val"))
        for axis, length in enumerate(shape):
            shown = places_in_views(node, shape, axis) if length > 1 else None
            if shown is None or None in shown:
                continue
            classes = np.full(length, -1, dtype=np.intp)
            for number, place in enumerate(shown):
                later = self.wanted.get((node, number) if several else node, {})
                own = later.get(place.axis, np.zeros(len(place.positions), dtype=np.intp))
                classes[place.positions] = number * _MOST + own
            self.want(base, axis, classes)


def _before_joining(
    call: Call, shapes: Mapping[Any, tuple[int, ...]], axis: int, classes: Classes
) -> Iterator[tuple[Any, int, Classes]]:
    """What is wanted of values that are put one after another."""
    along, start = call.arguments.get("dim", 0) % len(call.shape), 0
    for key, shape in shapes.items():
        if len(shape) != len(call.shape):
            continue
        if axis != along:
            yield key, axis, classes
        elif shape[axis] > 0:
            yield key, axis, classes[start : start + shape[axis]]
            start += shape[axis]


def shaped(node: fx.Node) -> Call:
    """A call of which only the shapes are known."""
    target: Any = node.target
    args, kwargs = fx.node.map_arg(
        (node.args, node.kwargs), lambda argument: value_of(argument.meta.get("val"), FREE)
    )
    arguments = dict(zip(argument_names(target), args, strict=False)) | dict(kwargs)
    shape = shape_of(node.meta.get("val"))
    return Call(name_of(node), arguments, Constraints(), "", shape)


def _argument(node: fx.Node, key: Any) -> Any:
    """The node that stands for an argument."""
    target: Any = node.target
    arguments = dict(zip(argument_names(target), node.args, strict=False)) | dict(node.kwargs)
    if isinstance(key, tuple):
        return arguments[key[0]][key[1]]  # type: ignore[index]
    return arguments[key]
