"""A model as a function of its weights, in float64: what the truth asks."""

import dataclasses
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from field._double import Ideal, idealise
from field._model import FieldModel

NOT_A_NUMBER_OF_THE_MODEL: Final = 1e30  # what masks put for −∞
Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Point:
    """Weights, inputs and the seed of what a model draws."""

    weights: Weights
    inputs: Sequence[Any]
    seed: int


class World:
    """A model of the field, built in float64."""

    def __init__(self, field_model: FieldModel) -> None:
        """Build it; the audit never sees this one."""
        with in_double():
            seed_all(0)
            self.model, args, kwargs = field_model.build()
            self._inputs, self._shape = pytree.tree_flatten((args, kwargs))
        _widen(self.model)
        self._inputs = [_wide(value) for value in self._inputs]
        idealise(self.model)
        self.parameters: dict[str, nn.Parameter] = dict(self.model.named_parameters())
        self.first = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.buffers = [
            (buffer, buffer.detach().clone())
            for buffer in self.model.buffers()
            if not any(_shares(buffer, p) for p in self.parameters.values())
        ]
        self.near = field_model.near
        self._known: dict[int, list[Tensor]] = {}
        self.held = {
            name
            for name, p in self.parameters.items()
            if not p.requires_grad or not (p.is_floating_point() or p.is_complex())
            or not bool(p.isfinite().all()) or not p.numel()
        }  # fmt: skip

    @property
    def free(self) -> list[str]:
        """The parameters that training can scale."""
        return [name for name in self.parameters if name not in self.held]

    def point(self, seed: int) -> Point:
        """Another point; that of seed 0 has the inputs that the model was given."""
        generator = torch.Generator().manual_seed(seed)
        weights = {
            name: p if name in self.held else drawn(p, generator, self.near)
            for name, p in self.first.items()
        }
        inputs = [_varied(value, generator) if seed else value for value in self._inputs]
        return Point(weights, inputs, seed)

    def __call__(self, point: Point, scale: Mapping[str, Any] | None = None) -> list[Tensor]:
        """The outputs, with some weights multiplied by factors that may be tensors."""
        scale = scale or {}
        changed = {
            name: p * scale[name] if name in scale else p for name, p in point.weights.items()
        }
        return self.at(changed, point)

    def unscaled(self, point: Point) -> list[Tensor]:
        """The outputs at a point as it is, which are asked for more than once."""
        if point.seed not in self._known:
            self._known[point.seed] = [y.detach() for y in self(point)]
        return self._known[point.seed]

    def at(self, weights: Weights, point: Point) -> list[Tensor]:
        """The outputs at other weights, everything else as at the point."""
        with torch.no_grad():
            for buffer, value in self.buffers:
                buffer.copy_(value)
            for name, p in self.parameters.items():
                p.copy_(weights[name])
        inputs = [_copied(value) for value in point.inputs]
        args, kwargs = pytree.tree_unflatten(inputs, self._shape)
        seed_all(point.seed)
        with in_double(), torch.enable_grad():
            outputs = tensors_of(self.model(*args, **kwargs))
        return [y for y in outputs if y.is_floating_point() or y.is_complex()]


def tensors_of(values: Any) -> list[Tensor]:
    """The tensors in nested lists, tuples, mappings and dataclasses; caches are none of these."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, Mapping):
        values = list(values.values())
    elif dataclasses.is_dataclass(values) and not isinstance(values, type):
        values = [getattr(values, f.name) for f in dataclasses.fields(values)]
    elif not isinstance(values, list | tuple):
        return []
    return [tensor for value in values for tensor in tensors_of(value)]


def drawn(p: Tensor, generator: torch.Generator, near: float = 1.0) -> Tensor:
    """Other weights of the same kind: positive ones stay so, and none is tiny."""
    noise = torch.randn(p.shape, generator=generator, dtype=p.dtype)
    real = torch.view_as_real(p) if p.is_complex() else p
    size = float(real.square().mean().sqrt()) if p.numel() else 0.0
    if near < 1:
        return p * (near * noise.real).exp() + near * (size or 1.0) * noise
    if not p.is_complex() and bool((p > 0).all()):
        return p * max(1.0, 0.1 / (size or 1.0)) * (0.3 * noise).exp()
    fan_in = p.numel() / p.shape[0] if p.ndim > 1 else 10.0
    target = max(size, fan_in**-0.5)
    return 0.5 * p * (target / size if size else 0.0) + target * noise


@contextmanager
def in_double() -> Iterator[None]:
    """Run in the ideal, where a tensor without a type is of double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with Ideal():
            yield
    finally:
        torch.set_default_dtype(before)


def seed_all(seed: int) -> None:
    """Seed every generator that a model may draw from."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (what models draw from)


def moved(outputs: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """The largest change, beside the largest size of each output; infinite if shapes differ."""
    if [y.shape for y in outputs] != [y.shape for y in others]:
        return float("inf")
    return max((_moved(y, z) for y, z in zip(outputs, others, strict=True)), default=0.0)


def _moved(y: Tensor, z: Tensor) -> float:
    """The largest change of one output."""
    y, z = y.detach(), z.detach()
    usual = y.isfinite() & (y.abs() < NOT_A_NUMBER_OF_THE_MODEL)
    if not bool((usual == (z.isfinite() & (z.abs() < NOT_A_NUMBER_OF_THE_MODEL))).all()):
        return float("inf")
    if not bool(usual.any()):
        return 0.0
    size = float(y[usual].abs().max())
    change = float((y - z)[usual].abs().max())
    return change / size if size else float("inf") if change else 0.0


def _shares(buffer: Tensor, p: Tensor) -> bool:
    """Whether two tensors are in one memory."""
    return buffer.untyped_storage().data_ptr() == p.untyped_storage().data_ptr()


def _widen(model: nn.Module) -> None:
    """Make wide what was built narrow all the same, one by one: sharing of memory stays."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.dtype in (torch.float32, torch.float16, torch.bfloat16):
            tensor.data = tensor.data.double()
        elif tensor.dtype is torch.complex64:
            tensor.data = tensor.data.to(torch.complex128)


def _wide(value: Any) -> Any:
    """An input in double precision."""
    narrow = isinstance(value, Tensor) and value.is_floating_point()
    return value.double() if narrow else value


def _copied(value: Any) -> Any:
    """An input that the model may write into."""
    return value.detach().clone().requires_grad_(value.requires_grad) if isinstance(
        value, Tensor
    ) else value  # fmt: skip


def _varied(value: Any, generator: torch.Generator) -> Any:
    """Another input of the same kind; zeros stay, and what is zero or one everywhere is a mask."""
    if not isinstance(value, Tensor) or value.numel() < 2:
        return value
    if value.is_floating_point():
        if bool(((value == 0) | (value == 1)).all()):
            return value
        noise = torch.randn(value.shape, generator=generator, dtype=value.dtype)
        return (value * (0.5 * noise).exp()).requires_grad_(value.requires_grad)
    if value.dtype == torch.int64 and int(value.max()) > 1:
        order = torch.randperm(value.numel(), generator=generator)
        return value.reshape(-1)[order].reshape(value.shape)
    return value
