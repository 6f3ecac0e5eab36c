"""A model of the field: what is audited, and as what."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

Built = tuple[nn.Module, tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class FieldModel:
    """A model that is built when it is asked for.

    Attributes:
        name: Of the model; no other has it.
        kind: What it is an example of.
        build: Makes the model and the arguments of its forward pass, positional and by name. It
            draws from torch's, NumPy's and Python's generators, whose seeds are set before.
        options: Further arguments of the audit.
        near: How far the truth may go from the weights that the model begins with: 1 draws all of
            them anew, and small values stay on the path through the model that its inputs take.
    """

    name: str
    kind: str
    build: Callable[[], Built]
    options: dict[str, Any] = field(default_factory=dict)
    near: float = 1.0


def simple(
    kind: str, name: str, build: Callable[[], nn.Module], *shapes: tuple[int, ...], **more: Any
) -> FieldModel:
    """A model of inputs of these shapes, whose entries are normal."""
    return FieldModel(name, kind, partial(_simple, build, shapes), **more)


def _simple(build: Callable[[], nn.Module], shapes: tuple[tuple[int, ...], ...]) -> Built:
    """The model and its inputs."""
    return build(), tuple(torch.randn(*shape) for shape in shapes), {}
