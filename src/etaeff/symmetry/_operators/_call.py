"""One call of an operator, as the rules of degrees see it."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from etaeff.symmetry._operators._cuts import Cut, shape_of
from etaeff.symmetry._operators._degrees import FREE, Constraints, Degree


class NoRuleError(Exception):
    """The arguments are of a kind that the rule does not know."""


class Value(NamedTuple):
    """A tensor in the network.

    Attributes:
        degree: Of all of it; where it is cut, of its first piece.
        floating: Whether it holds real or complex numbers.
        shape: With −1 for lengths that depend on data.
        is_condition: Whether it holds what is true or not.
        cut: The degrees of its pieces, if they are not all one.
    """

    degree: Degree
    floating: bool
    shape: tuple[int, ...] = ()
    is_condition: bool = False
    cut: Cut | None = None

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def degrees(self) -> tuple[Degree, ...]:
        """Of all its pieces."""
        return (self.degree,) if self.cut is None else self.cut.degrees


class Call(NamedTuple):
    """One operator with its arguments by name; tensors are `Value`s, as are those in lists.

    Attributes:
        name: The operator.
        arguments: By their names in its schema.
        constraints: Where a rule puts what it demands.
        cause: The operator and its module, in words.
        shape: Of the result, if that is one tensor.
        guards: Name of the argument that is an ε; nothing if none is.
    """

    name: str
    arguments: dict[str, Any]
    constraints: Constraints
    cause: str
    shape: tuple[int, ...] = ()
    guards: str = ""

    @property
    def tensors(self) -> list[Value]:
        """The tensors among the arguments, those in lists too."""
        return flat(list(self.arguments.values()))

    def degree(self, name: str) -> Degree:
        """Degree of the argument; of a number, zero, and any if it is 0."""
        return degree_of(self.arguments.get(name))

    def kept(self, *names: str) -> list[Degree]:
        """Degrees of the arguments, without that of an ε, unless it is all that is not zero."""
        others = [self.degree(name) for name in names if name != self.guards]
        if any(degree is not None for degree in others):
            return others
        return [self.degree(name) for name in names]

    def join(self, *degrees: Degree) -> Degree:
        """The one degree that all must have."""
        return self.constraints.agree(degrees, self.cause)

    def vanish(self, *degrees: Degree) -> Degree:
        """Zero, which all must be."""
        for degree in degrees:
            self.constraints.vanish(degree, self.cause)
        return FREE


def is_real(meta: Any) -> bool:
    """Whether it is a tensor of real or complex numbers: indices have no scale."""
    return isinstance(meta, Tensor) and (meta.is_floating_point() or meta.is_complex())


def value_of(meta: Any, degree: Degree) -> Any:
    """The value of what `meta` describes; numbers and sizes stand for themselves."""
    if isinstance(meta, Tensor):
        floating = is_real(meta)
        if 0 in [length for length in meta.shape if type(length) is int]:
            degree = None  # it has no entry, as caches begin
        condition = meta.dtype in (torch.bool, torch.uint8)
        return Value(degree if floating else FREE, floating, shape_of(meta), condition)
    return meta


def degree_of(value: Any) -> Degree:
    """Degree of a tensor or a number; `None` stands for one that is zero, infinite or absent."""
    if isinstance(value, Value):
        return value.degree
    if value is None or (isinstance(value, int | float) and (value == 0 or math.isinf(value))):
        return None
    return FREE


def flat(values: Sequence[Any]) -> list[Value]:
    """The tensors of arguments, those in lists too."""
    tensors: list[Value] = []
    for value in values:
        if isinstance(value, Value):
            tensors.append(value)
        elif isinstance(value, list | tuple):
            tensors += flat(value)
    return tensors
