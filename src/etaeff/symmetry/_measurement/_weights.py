r"""Weights of a measurement: shaken, in float64, and made only while an operator needs them.

A copy of a large model in float64, and its gradients, would not fit beside it. So a weight is made
from the model's own parameter and a few numbers of noise each time that it is read: in the forward
pass, again in the backward pass in place of what autograd would keep, and once more, in pieces,
when its gradient is there. Of both only sums are kept.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from etaeff.symmetry._tracing._torch import Storage, address_of, version_of

_SHAKE: Final = 0.3  # of a tensor's own size
_VANISHING_SIZE: Final = 1e-3
_DEFAULT_SIZE: Final = 0.3  # size that is taken for tensors which begin at, or near, zero
_TILE: Final = 262_147  # noise, over and over; a prime, so that no two rows get the same
_LARGE_COUNT: Final = 1 << 19  # entries
_PIECE: Final = 1 << 17  # entries whose products are held at a time


@dataclass(frozen=True)
class Lazy:
    """A tensor that is made when it is read."""

    make: Callable[[], Tensor]


class _Kept(NamedTuple):
    """A view of a weight that autograd wants to see again."""

    name: str
    shape: torch.Size
    stride: tuple[int, ...]
    offset: int


class Weights:
    """The weights of one forward and backward pass.

    Args:
        parameters: The model's own, by name; they are read, and nothing else.
        generator: Of the noise.
    """

    def __init__(self, parameters: Mapping[str, Tensor], generator: torch.Generator) -> None:
        """Draw the noise."""
        self._parameters = {name: p.detach() for name, p in parameters.items()}
        # Twice, so that a whole tile lies in one piece from any start.
        self._tiles = torch.randn(_TILE, generator=generator, dtype=torch.float64).repeat(2)
        starts = torch.randint(_TILE, (len(parameters),), generator=generator).tolist()
        self._starts = dict(zip(parameters, starts, strict=True))
        self._noise = {name: _SHAKE * _size(p) for name, p in self._parameters.items()}
        self._handle = torch.zeros((), requires_grad=True)
        self._alive: dict[int, tuple[Storage, str]] = {}
        self._sums = {name: _zeros(p) for name, p in parameters.items()}

    def lazy(self, name: str) -> Lazy:
        """The weight, with its gradient followed."""
        return Lazy(lambda: _Read.apply(self._handle, self, name))  # type: ignore[no-untyped-call]

    def value(self, name: str) -> Tensor:
        """The weight itself."""
        parameter = self._parameters[name]
        return self._piece(name, 0, parameter.numel()).view(parameter.shape)

    def _piece(self, name: str, first: int, last: int) -> Tensor:
        """Entries of the flattened weight."""
        entries = self._parameters[name].reshape(-1)[first:last]
        piece = _buffer(entries.numel()).copy_(entries)
        start = (self._starts[name] + first) % _TILE
        noise = self._tiles[start : start + _TILE]
        size, whole = self._noise[name], len(piece) - len(piece) % _TILE
        piece[:whole].view(-1, _TILE).add_(noise, alpha=size)
        piece[whole:].add_(noise[: len(piece) - whole], alpha=size)
        return piece

    def read(self, name: str) -> Tensor:
        """The weight for an operator; it is known again when autograd keeps it."""
        weight = self.value(name)
        memory = Storage(weight)
        self._alive[memory.address] = memory, name
        return weight

    def add_gradient(self, name: str, gradient: Tensor) -> None:
        """The gradient from one of the operators that read a weight."""
        added = _zeros(self._parameters[name])
        for first, weight, part in self._pieces(name, gradient):
            for kind, product in enumerate((weight * part, weight * weight, part * part)):
                for axis, sums in enumerate(added):
                    others = [i for i in range(product.ndim) if i != axis]
                    total = product.sum(others) if others else product
                    start = first if axis == 0 else 0
                    sums[kind, start : start + len(total)] += total
        for sums, more in zip(self._sums[name], added, strict=True):
            sums[0] += more[0]
            sums[1] = more[1]
            sums[2] = (sums[2].sqrt() + more[2].sqrt()).square()

    def sums(self) -> dict[str, list[Tensor]]:
        """Sums along each axis of each weight; see `Sample`.

        Of a weight that was read more than once, ‖∇‖ is the sum of the parts' norms.
        """
        return self._sums

    def pack(self, tensor: Tensor) -> Any:
        """What is kept of a tensor for the backward pass."""
        memory, name = self._alive.get(address_of(tensor), (None, ""))
        if memory is None or memory.is_gone:
            return tensor, version_of(tensor)
        return _Kept(name, tensor.shape, tensor.stride(), int(tensor.storage_offset()))

    def unpack(self, kept: Any) -> Tensor:
        """The tensor again."""
        if not isinstance(kept, _Kept):
            tensor, version = kept
            if version_of(tensor) != version:  # with hooks, autograd does not look
                raise RuntimeError("a value that the backward pass needs was written to in place")
            return tensor  # type: ignore[no-any-return]
        return self.value(kept.name).as_strided(kept.shape, kept.stride, kept.offset)

    def _pieces(self, name: str, gradient: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Some rows at a time: the first of them, weight and gradient."""
        shape = gradient.shape or (1,)
        row = max(gradient.numel() // max(shape[0], 1), 1)
        rows = max(_PIECE // row, 1)
        for first in range(0, shape[0], rows):
            part = gradient.reshape(shape)[first : first + rows]
            weight = self._piece(name, first * row, (first + len(part)) * row)
            yield first, weight.view(part.shape), part


class _Read(torch.autograd.Function):
    """A weight enters the graph; its gradient goes to `Weights`, and no further."""

    @staticmethod
    def forward(ctx: Any, handle: Tensor, weights: Weights, name: str) -> Tensor:
        ctx.weights, ctx.name = weights, name
        return weights.read(name)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None]:
        ctx.weights.add_gradient(ctx.name, gradient)
        return None, None, None


def _buffer(entries: int) -> Tensor:
    """Storage that goes back at once when it is free; an allocator would keep what is large."""
    if entries < _LARGE_COUNT:
        return torch.empty(entries, dtype=torch.float64)
    return torch.frombuffer(mmap(-1, 8 * entries), dtype=torch.float64)


def _zeros(parameter: Tensor) -> list[Tensor]:
    """Sums of nothing, for each axis of a parameter."""
    return [torch.zeros(3, length, dtype=torch.float64) for length in parameter.shape or (1,)]


def _size(parameter: Tensor) -> float:
    """The size of an entry, on which the noise is measured."""
    if not parameter.numel():
        return 0.0
    size = float(parameter.to(torch.float32).norm()) / parameter.numel() ** 0.5
    return size if size > _VANISHING_SIZE else _DEFAULT_SIZE
