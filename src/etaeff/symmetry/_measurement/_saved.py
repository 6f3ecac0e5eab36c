"""What autograd keeps of a forward pass: no tensor that can be made again.

Weights are made again from the model's own, and what comes out of a cheap operator from what went
into it, which is kept anyway. Of a deep network that is the smaller half.
"""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple, TypeAlias
from weakref import ref

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from etaeff.symmetry._tracing._torch import Storage, address_of, has_memory, version_of

Make: TypeAlias = Callable[[], Tensor]

_REMEMBERED: Final = 3  # results that the next operators of a backward pass ask for too


class _View(NamedTuple):
    """A view of what can be made again; it may be of another type."""

    make: Make
    dtype: torch.dtype
    shape: torch.Size
    stride: tuple[int, ...]
    offset: int
    conjugate: bool
    negative: bool


class _Kept(NamedTuple):
    """A tensor itself, and how often it had been written to; -1 if that is not known."""

    tensor: Tensor
    version: int


class _Alive(NamedTuple):
    """The memory of what can be made again, as it was when it had been written to so often."""

    memory: Storage
    version: int
    make: Make


class Saved:
    """The tensors of one forward pass, by the memory in which they lie.

    What makes them must not refer to it: memory that waits for a cycle to be found is not free.
    """

    def __init__(self) -> None:
        """Nothing is known of any memory."""
        self._alive: dict[int, _Alive] = {}
        self._made: OrderedDict[ref[Make], Tensor] = OrderedDict()

    def remember(self, tensor: Tensor, make: Make) -> None:
        """Know a tensor again, and all views of it, by how it is made."""
        for address in [a for a, alive in self._alive.items() if alive.memory.is_gone]:
            del self._alive[address]
        memory = Storage(tensor)
        self._alive[memory.address] = _Alive(memory, version_of(tensor), make)

    def once(self, make: Make) -> Make:
        """The same, which does not make its result again as long as it is one of the last few."""
        made = self._made

        def found() -> Tensor:
            tensor = made.get(ref(make))
            if tensor is None:
                tensor = made[ref(make)] = make()
                if len(made) > _REMEMBERED:
                    made.popitem(last=False)
            return tensor

        return found

    def pack(self, tensor: Tensor) -> Any:
        """What is kept of a tensor for the backward pass."""
        if not has_memory(tensor):
            return _Kept(tensor, -1)
        alive = self._of(tensor)
        if alive is None:
            return _Kept(tensor, version_of(tensor))
        return _view(tensor, alive.make)

    @classmethod
    def kept_as(cls, make: Make) -> AbstractContextManager[Any]:
        """Where autograd keeps but one tensor, which can be made."""
        return saved_tensors_hooks(lambda tensor: _view(tensor, make), cls.unpack)

    def knows(self, tensor: Tensor) -> bool:
        """Whether it can be made again."""
        return has_memory(tensor) and self._of(tensor) is not None

    def _of(self, tensor: Tensor) -> _Alive | None:
        """What is known of its memory, unless that was written to since then."""
        alive = self._alive.get(address_of(tensor))
        if alive is None or alive.memory.is_gone or alive.version != version_of(tensor):
            return None
        return alive

    @staticmethod
    def unpack(kept: Any) -> Tensor:
        """The tensor again.

        Raises:
            RuntimeError: If it was written to since then; with hooks, autograd does not look.
        """
        if isinstance(kept, _Kept):
            if kept.version not in (-1, version_of(kept.tensor)):
                raise RuntimeError("a value that the backward pass needs was written to in place")
            return kept.tensor
        view = placed(kept.make(), kept.dtype, kept.shape, kept.stride, kept.offset)
        view = view.conj() if kept.conjugate else view
        return -view if kept.negative else view


def _view(tensor: Tensor, make: Make) -> _View:
    """A tensor as a view of what can be made."""
    layout = tensor.dtype, tensor.shape, tensor.stride(), int(tensor.storage_offset())
    return _View(make, *layout, tensor.is_conj(), tensor.is_neg())


def placed(
    memory: Tensor, dtype: torch.dtype, shape: torch.Size, stride: tuple[int, ...], offset: int = 0
) -> Tensor:
    """A tensor of any type in the memory of another, of which it is no view to autograd."""
    empty = torch.empty(0, dtype=dtype, device=memory.device)
    return empty.set_(memory.untyped_storage(), offset, shape, stride)
