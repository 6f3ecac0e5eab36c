"""Shifts: what is added to a value if a parameter changes, and along which axes it is constant.

A shift is kept as a tensor without data, whose constant axes have a stride of zero. A rule says
what it becomes behind an operator: a shift again, or `None` where it is forgotten.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from etaeff.symmetry._operators._cuts import group_of


class NotForgottenError(Exception):
    """The shift reaches an operator that does not forget it."""


class MaskedShift(NamedTuple):
    """A shift of scores whose masked entries stay where they are: nothing to a softmax, only."""

    shift: Tensor


class ShiftedCall(NamedTuple):
    """An operator that a shift reaches through exactly one of its arguments."""

    node: fx.Node
    position: int
    shift: Tensor

    def argument(self, position: int, name: str = "", default: Any = None) -> Any:
        """An argument by its position or its name."""
        args = self.node.args
        return args[position] if position < len(args) else self.node.kwargs.get(name, default)

    @property
    def meta(self) -> Tensor:
        """What the operator puts out."""
        result = self.node.meta.get("val")
        if not isinstance(result, Tensor):
            raise NotForgottenError
        return result

    def only_at(self, *positions: int) -> None:
        """Refuse a shift that comes in by another argument."""
        if self.position not in positions:
            raise NotForgottenError

    def forget(self, axes: Iterable[int]) -> None:
        """Refuse a shift that varies along one of these axes; another one has no effect."""
        if not all(is_constant(self.shift, axis) for axis in axes):
            raise NotForgottenError


def is_constant(shift: Tensor, axis: int) -> bool:
    """Whether a shift is the same all along an axis."""
    return shift.shape[axis] < 2 or shift.stride(axis) == 0


def varying(shape: Sequence[int], axes: Iterable[int]) -> Tensor:
    """A shift that is constant along all axes but these."""
    kept = {axis % len(shape) for axis in axes}
    lengths = [length if axis in kept else 1 for axis, length in enumerate(shape)]
    return torch.empty(lengths, device="meta").expand(*shape)


def varying_axes(shift: Tensor) -> list[int]:
    """The axes along which a shift varies, counted from the last."""
    return [axis for axis in range(-shift.ndim, 0) if not is_constant(shift, axis)]


# ------------------------------------------------------------------------- rules that many share


def reshaped(call: ShiftedCall) -> Tensor:
    """Operators that only change the shape, run on the shift itself."""
    others = [*call.node.args, *call.node.kwargs.values()]
    if call.position or any(isinstance(other, fx.Node) for other in others[1:]):
        raise NotForgottenError
    target: Any = call.node.target
    name = str(target).split(".")[1]
    try:
        if name in ("reshape", "_unsafe_view", "flatten"):
            return call.shift.view(call.meta.shape)  # a copy would lose the strides
        result: Tensor = target(call.shift, *call.node.args[1:], **call.node.kwargs)
    except (RuntimeError, TypeError) as error:
        if name in ("view", "reshape", "_unsafe_view", "flatten"):
            return _merged(call)
        raise NotForgottenError from error
    return result


def _merged(call: ShiftedCall) -> Tensor:
    """A shift along axes that become one, of which it varies along some: it varies along that."""
    before, after = tuple(call.shift.shape), tuple(call.meta.shape)
    axes: set[int] = set()
    for axis in varying_axes(call.shift):
        group = group_of(axis % len(before), before, after)
        if group is None:
            raise NotForgottenError
        axes |= set(group[1])
    return varying(after, axes)


def passed_on(call: ShiftedCall) -> Tensor:
    """The shift itself, of the first argument."""
    call.only_at(0)
    return call.shift
