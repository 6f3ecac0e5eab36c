"""Where a shift can be, if only a piece of a parameter is changed: along one axis, which positions.

Queries, keys and values that come from one matrix have one bias; what is added to its third for the
keys is in no query and in no value.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from torch import fx

from etaeff.symmetry._operators._cuts import Among, regrouped, shape_of
from etaeff.symmetry._operators._operator import Layout
from etaeff.symmetry._operators._table import operator_of
from etaeff.symmetry._proof._piecewise import places_in_views
from etaeff.symmetry._proof._places import shaped
from etaeff.symmetry._tracing._nodes import name_of


class Support(NamedTuple):
    """The positions along an axis at which a shift can be."""

    axis: int
    among: Among


NOWHERE: Final = Support(0, np.zeros(1, dtype=np.bool_))


def support_after(node: fx.Node, position: int, support: Support | None) -> Any:
    """Where the shift is in the result of a node that it reaches by one argument.

    Returns:
        A support, `None` if it may be everywhere, or a list of them for a list of results.
    """
    row, several = operator_of(name_of(node)), isinstance(node.meta.get("val"), list | tuple)
    given = node.args[position]
    if support is None or not isinstance(given, fx.Node):
        return [None] * len(node.meta["val"]) if several else None
    shape = shape_of(given.meta.get("val"))
    if row.layout is Layout.VIEWS and position == 0:
        return _in_views(node, shape, support, several)
    if several:
        return [None] * len(node.meta["val"])
    after = shape_of(node.meta.get("val"))
    if row.layout is Layout.IN_ORDER and position == 0:
        place = regrouped(support.axis, support.among.astype(np.intp), shape, after)
        return None if place is None else Support(place[0], place[1].astype(np.bool_))
    return _in_computed(node, position, support)


def _in_views(node: fx.Node, shape: tuple[int, ...], support: Support, several: bool) -> Any:
    """Views of a shifted value: those that do not show it have no shift."""
    places = places_in_views(node, shape, support.axis)
    count = len(node.meta["val"]) if several else 1
    if places is None or len(places) != count:
        return [None] * count if several else None
    found = [
        None if place is None else _shown(place.axis, support.among[place.positions])
        for place in places
    ]
    return found if several else found[0]


def _shown(axis: int, among: Among) -> Support | None:
    """The support of a view; everywhere, if all of it comes from one shifted position."""
    if not bool(among.any()):
        return NOWHERE
    return Support(axis, among) if axis >= 0 else None


def _in_computed(node: fx.Node, position: int, support: Support) -> Support | None:
    """The same positions of an axis along which an operator acts independently."""
    row, call = operator_of(name_of(node)), shaped(node)
    axes = row.axes(call) if row.axes is not None and call.shape else None
    if axes is None:
        return None
    labels = axes.given.get(list(call.arguments)[position], ())
    label = labels[support.axis] if support.axis < len(labels) else None
    if label is None or label not in axes.result:
        return None
    return Support(list(axes.result).index(label), support.among)
