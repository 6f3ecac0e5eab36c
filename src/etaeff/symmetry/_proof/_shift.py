"""Parameters that a later operator forgets: the small calculus of shifts.

A convolution's bias adds to each channel what does not depend on the place; Batch Normalization
subtracts the mean over places. A bias of the keys adds the same to all scores of a query; softmax
does not notice. So a change of a parameter is followed through the graph as an added *shift*, of
which one thing is known: along which axes it is constant. It is kept as a tensor without data,
whose constant axes have a stride of zero.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import torch
from torch import Tensor, fx

from etaeff.symmetry._tracing._graph import Graph
from etaeff.symmetry._tracing._nodes import name_of

_HIDDEN: Final = -1e4  # exp of this, or less, is zero


class _HeardError(Exception):
    """The shift reaches an operator that does not forget it."""


class _Hidden(NamedTuple):
    """A shift of scores whose masked entries stay where they are: nothing to a softmax, only."""

    shift: Tensor


class _Place(NamedTuple):
    """An operator that a shift reaches through exactly one of its arguments."""

    node: fx.Node
    position: int
    shift: Tensor

    def argument(self, position: int, name: str = "", default: Any = None) -> Any:
        """An argument by its place or its name."""
        args = self.node.args
        return args[position] if position < len(args) else self.node.kwargs.get(name, default)

    @property
    def meta(self) -> Tensor:
        """What the operator puts out."""
        found = self.node.meta.get("val")
        if not isinstance(found, Tensor):
            raise _HeardError
        return found


def forgotten_biases(graph: Graph) -> set[str]:
    """Names of parameters that the graph does not read, or shows to have no effect."""
    names = graph.parameters
    nodes = list(graph.module.graph.nodes)
    order = {node: i for i, node in enumerate(nodes)}
    read = [node for node in nodes if node.name in names]
    return {names[node.name] for node in read if _is_forgotten(node, nodes, order)}


def _is_forgotten(parameter: fx.Node, nodes: Sequence[fx.Node], order: dict[fx.Node, int]) -> bool:
    meta = parameter.meta.get("val")
    if not parameter.users:
        return True
    if not isinstance(meta, Tensor):
        return False
    shifts: dict[fx.Node, Any] = {parameter: torch.empty(meta.shape, device="meta")}
    waiting = {order[user] for user in parameter.users}
    try:
        while waiting:
            first = min(waiting)  # all that it reads is then known
            waiting.remove(first)
            shift = _after(nodes[first], shifts)
            if shift is not None:
                shifts[nodes[first]] = shift
                waiting |= {order[user] for user in nodes[first].users}
    except _HeardError:
        return False
    return True


def _after(node: fx.Node, shifts: dict[fx.Node, Any]) -> Any:
    """The shift of what a node puts out; `None` if it is forgotten."""
    if node.target is operator.getitem:
        return shifts[node.args[0]][node.args[1]]  # type: ignore[index]
    name = name_of(node)
    if name.startswith("sym_"):  # it reads a shape
        return None
    reached = [i for i, found in enumerate(node.args) if found in shifts]
    if name not in _RULES or len(reached) != 1 or len(_nodes(node, shifts)) != 1:
        raise _HeardError
    shift = shifts[node.args[reached[0]]]  # type: ignore[index]
    if isinstance(shift, _Hidden) and name in ("softmax", "_softmax"):
        shift = shift.shift
    if not isinstance(shift, Tensor):
        raise _HeardError
    place = _Place(node, reached[0], shift)
    return _RULES[name](place)


def _nodes(node: fx.Node, shifts: dict[fx.Node, Any]) -> list[fx.Node]:
    found: list[fx.Node] = []
    fx.node.map_arg((node.args, node.kwargs), found.append)
    return [own for own in found if own in shifts]


# ------------------------------------------------------------------- what shifts are, and become


def _constant(shift: Tensor, axis: int) -> bool:
    return shift.shape[axis] < 2 or shift.stride(axis) == 0


def _varying(shape: Sequence[int], axes: Iterable[int]) -> Tensor:
    """A shift that is constant along all axes but these."""
    kept = {axis % len(shape) for axis in axes}
    own = [length if axis in kept else 1 for axis, length in enumerate(shape)]
    return torch.empty(own, device="meta").expand(*shape)


def _axes(shift: Tensor) -> list[int]:
    """The axes along which a shift varies, counted from the last."""
    return [axis for axis in range(-shift.ndim, 0) if not _constant(shift, axis)]


def _moved(place: _Place) -> Tensor:
    """Operators that only change the shape, run on the shift itself."""
    others = [*place.node.args, *place.node.kwargs.values()]
    if place.position or any(isinstance(other, fx.Node) for other in others[1:]):
        raise _HeardError
    target: Any = place.node.target
    try:
        if str(target).split(".")[1] in ("reshape", "_unsafe_view", "flatten"):
            return place.shift.view(place.meta.shape)  # a copy would lose the strides
        found: Tensor = target(place.shift, *place.node.args[1:], **place.node.kwargs)
    except (RuntimeError, TypeError) as error:
        raise _HeardError from error
    return found


def _same(place: _Place) -> Tensor:
    if place.position:
        raise _HeardError
    return place.shift


def _joined(place: _Place) -> Tensor:
    """Sums: the other part adds nothing to the shift."""
    if place.node.kwargs:  # alpha
        raise _HeardError
    return place.shift.expand(place.meta.shape)


def _multiplied(place: _Place) -> Tensor:
    """The shift varies where one of the factors does."""
    other = place.argument(1 - place.position)
    if not isinstance(other, fx.Node):
        return place.shift
    meta = other.meta.get("val")
    if not isinstance(meta, Tensor):
        return place.shift.expand(place.meta.shape)
    wide = [axis for axis in range(-meta.ndim, 0) if meta.shape[axis] > 1]
    return _varying(place.meta.shape, {*_axes(place.shift), *wide})


def _divided(place: _Place) -> Tensor:
    if place.position or place.node.kwargs:
        raise _HeardError
    return _multiplied(place)


def _hidden(place: _Place) -> _Hidden:
    value = place.argument(2)
    if place.position or not isinstance(value, int | float) or value > _HIDDEN:
        raise _HeardError
    return _Hidden(place.shift.expand(place.meta.shape))


def _matmul(place: _Place) -> Tensor:
    """Constant columns on the right, or rows on the left, stay so."""
    shift, shape = place.shift, place.meta.shape
    other = place.argument(1 - place.position).meta.get("val")
    if shift.ndim < 2 or other.ndim < 2:
        raise _HeardError
    free = -1 if place.position else -2
    everything = set(range(-len(shape), 0))
    return _varying(shape, everything - {free} if _constant(shift, free) else everything)


def _linear(place: _Place) -> Tensor:
    if place.position == 2:
        return _varying(place.meta.shape, {-1})
    if place.position:
        raise _HeardError
    return _varying(place.meta.shape, {*_axes(place.shift), -1})


def _convolution(spatial: int) -> Callable[[_Place], Tensor]:
    def rule(place: _Place) -> Tensor:
        if place.position != 2:
            raise _HeardError
        return _varying(place.meta.shape, {-1 - spatial})

    return rule


# ------------------------------------------------------------------------------ what is forgotten


def _forgotten(place: _Place, axes: Iterable[int]) -> None:
    if not all(_constant(place.shift, axis) for axis in axes):
        raise _HeardError


def _softmax(place: _Place) -> None:
    if place.position:
        raise _HeardError
    _forgotten(place, [place.argument(1, "dim")])


def _attention(place: _Place) -> Tensor | None:
    if place.position not in (1, 2) or (place.position == 2 and place.argument(4, "dropout_p", 0)):
        raise _HeardError
    _forgotten(place, [-2])
    if place.position == 1:  # the keys
        return None
    return _varying(place.meta.shape, _axes(place.shift))  # values: their weights sum to one


def _batch_norm(place: _Place) -> Tensor | None:
    if place.position == 2:  # its own bias
        return _varying(place.meta.shape, {1 - len(place.meta.shape)})
    if place.position or not place.argument(5, "training", True):
        raise _HeardError
    _forgotten(place, [axis for axis in range(place.shift.ndim) if axis != 1])
    return None


def _instance_norm(place: _Place) -> Tensor | None:
    if place.position == 2:
        return _varying(place.meta.shape, {1 - len(place.meta.shape)})
    if place.position or not place.argument(5, "use_input_stats", True):
        raise _HeardError
    _forgotten(place, range(2, place.shift.ndim))
    return None


def _group_norm(place: _Place) -> Tensor | None:
    """Groups of one channel are as good as instances."""
    if place.position == 3:
        return _varying(place.meta.shape, {1 - len(place.meta.shape)})
    if place.position:
        raise _HeardError
    alone = place.argument(1) == place.shift.shape[1]
    _forgotten(place, range(2 if alone else 1, place.shift.ndim))
    return None


def _layer_norm(place: _Place) -> Tensor | None:
    axes = range(-len(place.argument(1)), 0)
    if place.position == 3:  # its own bias
        return _varying(place.meta.shape, axes)
    if place.position:
        raise _HeardError
    _forgotten(place, axes)
    return None


_Rule: TypeAlias = Callable[[_Place], Tensor | _Hidden | list[Tensor] | None]
_SHAPE_ONLY: Final = """view reshape _unsafe_view unflatten flatten transpose t mT permute unsqueeze
squeeze movedim swapaxes swapdims expand select slice narrow split split_with_sizes chunk unbind"""
_RULES: Final[dict[str, _Rule]] = {
    **dict.fromkeys(_SHAPE_ONLY.split(), _moved),
    **dict.fromkeys(("contiguous", "clone", "alias", "detach", "neg"), _same),
    **dict.fromkeys(("add", "sub"), _joined),
    **dict.fromkeys(("mul", "multiply"), _multiplied),
    **dict.fromkeys(("div", "divide", "true_divide"), _divided),
    "masked_fill": _hidden,
    **dict.fromkeys(("matmul", "bmm"), _matmul),
    "linear": _linear,
    **{f"conv{n}d": _convolution(n) for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _convolution(n) for n in (1, 2, 3)},
    **dict.fromkeys(("softmax", "_softmax", "log_softmax", "_log_softmax"), _softmax),
    "scaled_dot_product_attention": _attention,
    "batch_norm": _batch_norm,
    "instance_norm": _instance_norm,
    "group_norm": _group_norm,
    "layer_norm": _layer_norm,
}
