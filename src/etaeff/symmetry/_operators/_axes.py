"""Which axes of a result belong to which axes of the arguments: rules that many operators share.

An operator acts *independently along* an axis if each position of its result only depends on the
same position of those arguments that have the axis. A rule gives every axis a label, as einsum
does: axes of one label belong together, what the result lacks is summed over, or stands for a
demand that each position makes by itself, and `None` is an axis whose positions are mixed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from etaeff.symmetry._operators._call import Call, Value

Labels: TypeAlias = Sequence[Any]
Key: TypeAlias = str | tuple[str, int]  # an argument, or one in a list


class Axes(NamedTuple):
    """The labels of one call.

    Attributes:
        given: Of each argument that has some.
        result: Of the result.
    """

    given: Mapping[Key, Labels]
    result: Labels


AxesRule: TypeAlias = Callable[[Call], Axes | None]


def broadcast(shape: Sequence[int], into: Sequence[int], labels: Labels | None = None) -> Labels:
    """Labels of an argument whose last axes are the last of a result; of length 1 it has none."""
    labels = range(len(into)) if labels is None else labels
    skipped = len(into) - len(shape)
    return [
        labels[skipped + i] if skipped + i >= 0 and length == into[skipped + i] else None
        for i, length in enumerate(shape)
    ]


def elementwise(call: Call) -> Axes:
    """Entry by entry, with broadcasting."""
    given: dict[Key, Labels] = {
        name: broadcast(value.shape, call.shape)
        for name, value in call.arguments.items()
        if isinstance(value, Value)
    }
    return Axes(given, range(len(call.shape)))


def all_but(*names: str) -> AxesRule:
    """The rule of what mixes the axes that these arguments name, and keeps all lengths."""

    def rule(call: Call) -> Axes:
        axes = elementwise(call)
        mixed = {
            axis % max(len(call.shape), 1)
            for name in names
            for axis in _listed(call.arguments.get(name))
        }
        given = {
            name: [None if label in mixed else label for label in labels]
            for name, labels in axes.given.items()
        }
        return Axes(given, axes.result)

    return rule


def reduced(call: Call) -> Axes | None:
    """A number for each position along the axes that stay; their degrees must agree over others."""
    (name, value), *others = [
        (name, value) for name, value in call.arguments.items() if isinstance(value, Value)
    ]
    given = call.arguments.get("dim")
    if others or (given is not None and not _listed(given) and given != []):
        return None
    count = len(value.shape)
    gone = {axis % count for axis in _listed(given)} if _listed(given) else set(range(count))
    labels: list[Any] = list(range(count))
    if call.arguments.get("keepdim"):
        return Axes({name: labels}, [None if i in gone else i for i in labels])
    return Axes({name: labels}, [i for i in labels if i not in gone])


def _listed(axes: Any) -> list[int]:
    """One axis or several, as a list of whole numbers."""
    if isinstance(axes, int) and not isinstance(axes, bool):
        return [axes]
    known = isinstance(axes, list | tuple) and all(isinstance(axis, int) for axis in axes)
    return list(axes) if known else []
