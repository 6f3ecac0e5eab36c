r"""Weights of a measurement: shaken, in float64, and made only while an operator needs them.

A copy of a large model in float64, and its gradients, would not fit beside it. So a weight is made
from the model's own parameter and a few numbers of noise each time that it is read: in the forward
pass, again in the backward pass in place of what autograd would keep, and once more, in pieces,
when its gradient is there. Of both only sums are kept.
"""

import contextlib
import mmap
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from weakref import ref

import torch
from torch import Tensor

from etaeff.symmetry._measurement._heap import give_back
from etaeff.symmetry._measurement._saved import Saved, placed
from etaeff.symmetry._measurement._sums import Pieces, Sums
from etaeff.symmetry._measurement._wide import double

_SHAKE: Final = 0.3  # of a tensor's own size
_VANISHING_SIZE: Final = 1e-3
_DEFAULT_SIZE: Final = 0.3  # size that is taken for tensors which begin at, or near, zero
_TILE: Final = 262_147  # noise, over and over; a prime, so that no two rows get the same
_LARGE_MODEL: Final = 1 << 22  # entries; of a smaller one, no memory is worth the time
_FEW_WEIGHTS: Final = 128
_LARGE_COUNT: Final = 1 << 19  # entries
_PIECE: Final = 1 << 17  # entries whose products are held at a time; they fit a core's cache
_DEVICE_PIECE: Final = 1 << 24  # on an accelerator, where a call costs more than its arithmetic


@dataclass(frozen=True)
class Lazy:
    """A tensor that is made when it is read.

    Attributes:
        make: What makes it.
        saved: What autograd keeps of the forward pass in which it is read.
    """

    make: Callable[[], Tensor]
    saved: Saved | None = None


class Weights:
    """The weights of one forward pass, and sums over those and their gradients.

    A complex weight is scaled as a real one is, and its entries are pairs of real numbers:
    ⟨θ, ∇⟩ is the real part of Σ conj(θ)∇.

    Args:
        parameters: The model's own, by name; they are read, and nothing else.
        generator: Of the noise.
        detailed: Keep the sums of each slice along each axis. Without it there is one slice, the
            whole tensor.
        held: Names of those that keep their values, of any type, and have no gradient.
        powers: Of two, by which those named are multiplied, noise included.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        generator: torch.Generator,
        *,
        detailed: bool = True,
        held: Collection[str] = (),
        powers: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Draw the noise."""
        self._own = {name: p.detach() for name, p in parameters.items()}
        self._held = frozenset(held)
        self._factors = {name: 2.0**power for name, power in powers.items()}
        free = {name: p for name, p in self._own.items() if name not in self._held}
        # Twice, so that a whole tile lies in one piece from any start.
        noise = torch.randn(_TILE, generator=generator, dtype=torch.float64).repeat(2)
        self._tiles = {torch.device("cpu"): noise}
        starts = torch.randint(_TILE, (len(parameters),), generator=generator).tolist()
        self._starts = dict(zip(parameters, starts, strict=True))
        self._entries = {name: _real(p) for name, p in free.items()}
        self._noise = {name: _SHAKE * _size(entries) for name, entries in self._entries.items()}
        self._handle = torch.zeros((), requires_grad=True)
        self._saved = Saved()
        self._is_large = sum(p.numel() for p in self._own.values()) > _LARGE_MODEL
        self._used = 0
        self._sums = {
            name: Sums(self._own[name].shape, detailed=detailed, device=p.device)
            for name, p in self._entries.items()
        }

    def lazy(self, name: str) -> Lazy:
        """The weight, with its gradient followed unless it is held."""
        if name in self._held:
            return Lazy(lambda: self.value(name), self._saved)
        return Lazy(lambda: _Read.apply(self._handle, self, name), self._saved)  # type: ignore[no-untyped-call]

    def value(self, name: str) -> Tensor:
        """The weight itself, in memory of its own that is laid out as the model's."""
        own = self._own[name]
        if name in self._held:
            return double(own)  # type: ignore[no-any-return]
        entries = self._entries[name]
        memory = self._piece(name, 0, entries.numel())
        dtype = torch.complex128 if own.is_complex() else torch.float64
        # No view, or autograd would not let an operator write into it.
        found = placed(memory, dtype, own.shape, torch.empty(own.shape, device="meta").stride())
        if own.is_contiguous():
            return found
        return torch.empty_like(own, dtype=dtype).copy_(found)

    def _piece(self, name: str, first: int, last: int) -> Tensor:
        """Entries of the flattened weight; a complex one has two real ones for each."""
        entries = _flat(self._entries[name], first, last)
        piece = _buffer(entries).copy_(entries)
        start = (self._starts[name] + first) % _TILE
        noise = self._tile(piece.device)[start : start + _TILE]
        size, whole = self._noise[name], len(piece) - len(piece) % _TILE
        piece[:whole].view(-1, _TILE).add_(noise, alpha=size)
        piece[whole:].add_(noise[: len(piece) - whole], alpha=size)
        return piece.mul_(self._factors[name]) if name in self._factors else piece

    def _tile(self, device: torch.device) -> Tensor:
        """The noise, the same numbers on each device."""
        if device not in self._tiles:
            self._tiles[device] = self._tiles[torch.device("cpu")].to(device)
        return self._tiles[device]

    def read(self, name: str) -> Tensor:
        """The weight for an operator; it is known again when autograd keeps it."""
        weight = self.value(name)
        own = ref(self)  # which lives as long as the graph, in which `_Read` has it

        def make() -> Tensor:
            weights = own()
            assert weights is not None
            return weights.value(name)

        self._saved.remember(weight, make)
        self._give_back_at_times()
        return weight

    def add_gradient(self, name: str, gradient: Tensor) -> None:
        """The gradient from one of the operators that read a weight."""
        self._sums[name].add(self._pieces(name, gradient))
        self._give_back_at_times()

    def _give_back_at_times(self) -> None:
        """Give free memory back, in a model of real size, after each few weights."""
        self._used += 1
        if self._is_large and self._used % _FEW_WEIGHTS == 0:
            give_back()

    def forget_gradients(self) -> None:
        """Before another backward pass through the same forward pass."""
        for sums in self._sums.values():
            sums.forget()

    def sums(self) -> dict[str, list[Tensor]]:
        """Sums along each axis of each weight that is not held; see `Sample` and `Sums`."""
        return {name: sums.found() for name, sums in self._sums.items()}

    def pack(self, tensor: Tensor) -> Any:
        """What autograd keeps of a tensor; see `Saved`."""
        return self._saved.pack(tensor)

    def unpack(self, kept: Any) -> Tensor:
        """The tensor again."""
        return self._saved.unpack(kept)

    def _pieces(self, name: str, gradient: Tensor) -> Pieces:
        """Some rows at a time: the first of them, weight and gradient, one row in each."""
        own, entries = self._own[name], self._entries[name]
        gradient = _real(gradient)
        count = own.shape[0] if own.ndim else 1
        row = entries.numel() // max(count, 1)
        rows = max((_PIECE if gradient.is_cpu else _DEVICE_PIECE) // max(row, 1), 1)
        for first in range(0, count, rows):
            last = min(first + rows, count)
            part = _flat(gradient, first * row, last * row).reshape(last - first, row)
            weight = self._piece(name, first * row, last * row)
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


def _flat(tensor: Tensor, first: int, last: int) -> Tensor:
    """Entries of a flattened tensor, of which no more is copied than the rows that hold them."""
    if tensor.is_contiguous() or not tensor.ndim:
        return tensor.reshape(-1)[first:last]
    row = max(tensor.numel() // max(len(tensor), 1), 1)
    start = first // row
    return tensor[start : -(-last // row)].reshape(-1)[first - start * row : last - start * row]


def _buffer(entries: Tensor) -> Tensor:
    """Room for as many; on a CPU it goes back at once, where an allocator keeps what is large."""
    count = entries.numel()
    if count < _LARGE_COUNT or not entries.is_cpu:
        return torch.empty(count, dtype=torch.float64, device=entries.device)
    return torch.frombuffer(_memory(8 * count), dtype=torch.float64)


def _memory(size: int) -> mmap.mmap:
    """Memory in large private pages where there are some: to touch others takes six times as long.

    Other systems than Linux have neither, nor names for them.
    """
    private = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
    memory = mmap.mmap(-1, size, **({"flags": private} if private else {}))
    large = getattr(mmap, "MADV_HUGEPAGE", None)
    if large is not None:
        with contextlib.suppress(OSError):  # a kernel may have been built without
            memory.madvise(large)
    return memory


def _real(tensor: Tensor) -> Tensor:
    """A tensor, of pairs of numbers if it is complex."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _size(entries: Tensor) -> float:
    """The size of an entry, on which the noise is measured."""
    if not entries.numel():
        return 0.0
    size = float(entries.to(torch.float32).norm()) / entries.numel() ** 0.5
    return size if size > _VANISHING_SIZE else _DEFAULT_SIZE
