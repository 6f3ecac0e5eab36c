"""A model of the field: what is audited, and as what."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
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


def seeded(models: Sequence[FieldModel], *seeds: int) -> tuple[FieldModel, ...]:
    """The models, and each again for other seeds: of the audit, and of what it is built from."""
    again = [
        replace(
            model,
            name=f"{model.name}, seed {seed}",
            build=partial(_reseeded, model.build, seed),
            options={**model.options, "seed": seed},
        )
        for model in models
        for seed in seeds
    ]
    return (*models, *again)


def _reseeded(build: Callable[[], Built], seed: int) -> Built:
    """What is built where the generators of torch, NumPy and Python have another seed."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (what models draw from)
    random.seed(seed)
    return build()


def _simple(build: Callable[[], nn.Module], shapes: tuple[tuple[int, ...], ...]) -> Built:
    """The model and its inputs."""
    return build(), tuple(torch.randn(*shape) for shape in shapes), {}
