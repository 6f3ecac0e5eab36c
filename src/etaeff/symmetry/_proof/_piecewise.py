"""Degrees of values that are cut: an operator's rule, applied piece by piece.

A piece is followed only where it is known to stay one. Elsewhere all pieces must agree, which can
hide a symmetry and never invents one.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from torch import fx

from etaeff.symmetry._operators._arithmetic import converted
from etaeff.symmetry._operators._axes import Axes, Key
from etaeff.symmetry._operators._call import Call, Value
from etaeff.symmetry._operators._cuts import MOST, Classes, Cut, moved, refined, regrouped, shape_of
from etaeff.symmetry._operators._degree_rules import blind, constant, same, zero
from etaeff.symmetry._operators._degrees import Constraints, Degree
from etaeff.symmetry._operators._operator import Layout, Operator

_UNREAD: Final = (blind, constant, zero)  # rules that look at no degree
_FIRST: Final = (same, converted)  # rules that look at that of the first tensor


def cut_value(like: Value, axis: int, classes: Classes, degrees: Sequence[Degree]) -> Value:
    """A value of the shape of `like` with a degree for each class of positions.

    Classes of one degree become one, and zeros have the degree of another, if there is only one.
    """
    shown, own = np.unique(classes, return_inverse=True)
    present = [degrees[number] for number in shown.tolist()]
    known = [degree for degree in present if degree is not None]
    keys = [None if degree is None else frozenset(degree.items()) for degree in present]
    if len({key for key in keys if key is not None}) < 2:
        return like._replace(degree=known[0] if known else None, cut=None)
    numbers: dict[Any, int] = {}
    merged = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)
    kept = tuple(present[keys.index(key)] for key in numbers)
    return like._replace(degree=kept[0], cut=Cut(axis, merged[own.reshape(-1)], kept))


def whole(value: Value, constraints: Constraints, cause: str) -> Value:
    """A value whose pieces must have one degree."""
    if value.cut is None:
        return value
    return value._replace(degree=constraints.agree(value.degrees, cause), cut=None)


def whole_call(call: Call, row: Operator) -> Call:
    """A call whose values are not cut; of those whose degree no rule reads, nothing is demanded."""
    if row.degree in _UNREAD:
        return call
    first = next(iter(call.tensors), None)

    def one(value: Value) -> Value:
        if row.degree in _FIRST and value is not first:
            return value._replace(cut=None)
        return whole(value, call.constraints, call.cause)

    return call._replace(arguments=_mapped(call.arguments, one))


def followed(
    row: Operator, call: Call, node: fx.Node, rule: Callable[[Call], Degree | list[Degree]]
) -> Any:
    """What an operator with cut values puts out, if they can be followed; else `None`.

    Args:
        row: The operator.
        call: Its arguments.
        node: Where it is called.
        rule: The degree of a result by the row's rule.
    """
    cut = any(value.cut is not None for value in call.tensors)
    if row.layout in (Layout.JOINED, Layout.STACKED):
        return _put_together(row, call)
    if not cut:
        return None
    if row.layout is Layout.IN_ORDER:
        return _in_order(call)
    if row.layout is Layout.VIEWS:
        return _views(call, node)
    if row.axes is not None and call.shape:
        return _by_axes(row.axes(call), call, rule)
    return None


# ----------------------------------------------------------------------------------------- moving


def _in_order(call: Call) -> Value | None:
    """The same entries in another shape."""
    given = call.tensors[0]
    assert given.cut is not None
    if "dtype" in call.arguments:  # a view as numbers of another type
        return None
    place = regrouped(given.cut.axis, given.cut.classes, given.shape, call.shape)
    if place is None:
        return None
    return cut_value(given._replace(shape=call.shape), *place, given.cut.degrees)


def _views(call: Call, node: fx.Node) -> Any:
    """Views of a cut value, each with the pieces that it shows."""
    given = call.tensors[0]
    if given.cut is None:
        return None
    places = places_in_views(node, given.shape, given.cut.axis)
    meta = node.meta.get("val")
    metas = meta if isinstance(meta, list | tuple) else [meta]
    if places is None or len(places) != len(metas) or None in places:
        return None
    found = []
    for place, each in zip(places, metas, strict=True):
        shown = given.cut.classes[place.positions]
        value = given._replace(shape=shape_of(each))
        found.append(cut_value(value, max(place.axis, 0), shown, given.cut.degrees))
    return found if isinstance(meta, list | tuple) else found[0]


def places_in_views(node: fx.Node, shape: Sequence[int], axis: int) -> Any:
    """Where the positions along an axis of a node's first argument are in its results."""
    others = [*node.args[1:], *node.kwargs.values()]
    if any(True for _ in _nodes_in(others)):
        return None
    return moved(node.target, shape, axis, node.args[1:], dict(node.kwargs))


def _nodes_in(argument: Any) -> Iterator[fx.Node]:
    """The nodes in an argument."""
    found: list[fx.Node] = []
    fx.node.map_arg(argument, found.append)
    yield from found


def _put_together(row: Operator, call: Call) -> Value | None:
    """Values one after another, or on top of each other: each keeps its degree."""
    values, shape = call.tensors, call.shape
    if not shape or not all(value.floating for value in values):
        return None
    axis = call.arguments.get("dim", 0) % len(shape)
    stacked = row.layout is Layout.STACKED
    lengths = [
        1 if stacked else value.shape[axis] if value.ndim == len(shape) else 0 for value in values
    ]
    if sum(lengths) != shape[axis] or min(lengths) < 0:  # of a length that depends on data
        return None
    across = [v for v in values if v.cut and (stacked or v.cut.axis != axis)]
    if across:
        return _side_by_side(values, across, axis if stacked else len(shape), call)
    degrees: list[Degree] = []
    classes = []
    for value, length in zip(values, lengths, strict=True):
        own = np.zeros(length, dtype=np.intp) if value.cut is None else value.cut.classes
        classes.append(own + len(degrees))
        degrees += value.degrees
    made = cut_value(Value(None, True, shape), axis, np.concatenate(classes), degrees)
    return None if len(made.degrees) > MOST or made.degrees == (None,) else made


def _side_by_side(
    values: Sequence[Value], across: Sequence[Value], new: int, call: Call
) -> Value | None:
    """Values that are cut along another axis than they are put together: pieces of one must agree.

    Args:
        values: All of them.
        across: Those that are cut so.
        new: The axis that is new; later ones move on by one.
        call: For what is demanded.
    """
    cuts = [value.cut for value in across if value.cut is not None]
    other_way = sum(value.cut is not None for value in values) > len(across)
    if other_way or len({cut.axis for cut in cuts}) > 1:
        return None
    classes = refined(*(cut.classes for cut in cuts))
    degrees = []
    for number in range(int(classes.max()) + 1):
        position = int(np.argmax(classes == number))
        parts = [
            value.degree if value.cut is None else value.cut.degrees[value.cut.classes[position]]
            for value in values
        ]
        degrees.append(call.join(*parts))
    axis = cuts[0].axis + (cuts[0].axis >= new)
    return cut_value(Value(None, True, call.shape), axis, classes, degrees)


# -------------------------------------------------------------------------------------- computing


def _by_axes(
    axes: Axes | None, call: Call, rule: Callable[[Call], Degree | list[Degree]]
) -> Value | None:
    """The result where an operator acts independently along the axis of a cut."""
    if axes is None:
        return None
    labels = {key: _label(value, axes.given.get(key)) for key, value in keyed(call.arguments)}
    present = [label for label in labels.values() if label is not None]
    if not present:
        return None
    label = next((one for one in present if one in axes.result), present[0])
    cuts = [v.cut.classes for key, v in keyed(call.arguments) if labels[key] == label and v.cut]
    if len({len(classes) for classes in cuts}) > 1:
        return None
    classes = refined(*cuts)
    count = int(classes.max()) + 1
    if count > MOST:
        return None
    other = {
        key: whole(value, call.constraints, call.cause)
        for key, value in keyed(call.arguments)
        if labels[key] != label
    }
    degrees: list[Degree] = []
    for number in range(count):
        position = int(np.argmax(classes == number))

        def piece(key: Key, value: Value, position: int = position) -> Value:
            if key in other:
                return other[key]
            assert value.cut is not None
            degree = value.cut.degrees[value.cut.classes[position]]
            return value._replace(degree=degree, cut=None)

        degree = rule(call._replace(arguments=_mapped_by_key(call.arguments, piece)))
        if isinstance(degree, list):
            return None
        degrees.append(degree)
    result = Value(None, True, call.shape)
    if label in axes.result:
        return cut_value(result, list(axes.result).index(label), classes, degrees)
    return result._replace(degree=call.join(*degrees))


def _label(value: Value, labels: Any) -> Any:
    """The label of the axis along which a value is cut."""
    if value.cut is None or labels is None or len(labels) != value.ndim:
        return None
    return labels[value.cut.axis]


def keyed(arguments: dict[str, Any]) -> Iterator[tuple[Key, Value]]:
    """The tensors among arguments, by what they are called; those in a list by their place too."""
    for name, argument in arguments.items():
        if isinstance(argument, Value):
            yield name, argument
        elif isinstance(argument, list | tuple):
            for i, value in enumerate(argument):
                if isinstance(value, Value):
                    yield (name, i), value


def _mapped_by_key(
    arguments: dict[str, Any], function: Callable[[Key, Value], Value]
) -> dict[str, Any]:
    """Arguments with other values in place of their tensors."""
    changed = dict(arguments)
    for name, argument in arguments.items():
        if isinstance(argument, Value):
            changed[name] = function(name, argument)
        elif isinstance(argument, list | tuple):
            changed[name] = [
                function((name, i), value) if isinstance(value, Value) else value
                for i, value in enumerate(argument)
            ]
    return changed


def _mapped(arguments: dict[str, Any], function: Callable[[Value], Value]) -> dict[str, Any]:
    """Arguments with other values in place of their tensors, whatever they are called."""
    return _mapped_by_key(arguments, lambda _, value: function(value))
