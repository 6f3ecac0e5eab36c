"""Which pieces of a block this process holds, and sums over all processes in one collective.

A tensor is read row by row along the axis that is cut; each row knows its piece. That is the same
for a whole tensor, for a shard of rows, even or not, and for a shard along another axis.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any, TypeAlias

import torch
import torch.distributed as dist
from torch import Tensor

from etaeff.errors import UsageError

Mesh: TypeAlias = tuple[Any, tuple[int, ...]]  # a DeviceMesh, and its dimensions that are summed


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is spread over processes (a DTensor)."""
    return hasattr(tensor, "placements") and hasattr(tensor, "to_local")


def local(tensor: Tensor) -> Tensor:
    """The part that is here, as a view."""
    own: Any = tensor
    return own.to_local() if is_sharded(tensor) else tensor


@dataclass(frozen=True)
class Rows:
    """The rows of a parameter along the axis that is cut.

    Attributes:
        param: The parameter; a tensor, or a DTensor.
        axis: The axis, from 0.
        count: Pieces of the whole block.
    """

    param: Tensor
    axis: int
    count: int

    def view(self, tensor: Tensor) -> Tensor:
        """The rows that are here, of a tensor like the parameter; rows come first."""
        own = local(tensor)
        return own.movedim(self.axis, 0) if own.ndim else own.unsqueeze(0)

    @property
    def _size(self) -> int:
        length = self.param.shape[self.axis] if self.param.ndim else 1
        return int(length) // self.count

    @cached_property
    def _offsets(self) -> tuple[int, ...]:
        if not is_sharded(self.param):
            return (0,) * self.param.ndim
        from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

        p: Any = self.param
        _, offset = compute_local_shape_and_global_offset(p.shape, p.device_mesh, p.placements)
        return tuple(int(own) for own in offset)

    @cached_property
    def pieces(self) -> Tensor:
        """The piece of each row that is here."""
        rows = self.view(self.param)
        offset = self._offsets[self.axis] if self._offsets else 0
        return (torch.arange(len(rows), device=rows.device) + offset) // self._size

    @cached_property
    def places(self) -> Tensor:
        """The index of each entry in the whole tensor, in the shape of the rows that are here.

        In int32: entries that lie 2³² apart have the same.
        """
        own = local(self.param)
        found = torch.zeros((), dtype=torch.int32, device=own.device)
        for length, size, start in zip(own.shape, self.param.shape, self._offsets, strict=True):
            along = torch.arange(start, start + length, dtype=torch.int32, device=own.device)
            found = found.unsqueeze(-1) * size + along
        return self.view(found)

    @cached_property
    def sharded(self) -> Mesh | None:
        """Over which processes the parameter is spread; `None` if it is whole here."""
        if not is_sharded(self.param):
            return None
        p: Any = self.param
        for placement in p.placements:
            if type(placement).__name__ not in ("Shard", "Replicate"):
                raise UsageError(
                    f"Parameters on spheres may be sharded or replicated, not {placement}."
                )
        dims = [i for i, placement in enumerate(p.placements) if placement.is_shard()]
        dims = [i for i in dims if p.device_mesh.size(i) > 1]
        return (p.device_mesh, tuple(dims)) if dims else None

    @cached_property
    def crosses(self) -> bool:
        """Whether any process holds a part of a piece."""
        if self.sharded is None:
            return False
        p: Any = self.param
        mesh, dims = self.sharded
        if len(dims) > 1 or p.placements[dims[0]].dim != self.axis:
            return True
        shard = ceil(p.shape[self.axis] / mesh.size(dims[0]))
        return bool(shard < p.shape[self.axis] and shard % self._size)

    def sums(self, left: Tensor, right: Tensor) -> Tensor:
        """⟨left, right⟩ of each piece as far as it is here, in float64, of shape (count,)."""
        x, y = self.view(left), self.view(right)
        dims = tuple(range(1, x.ndim))
        if left is right and dims:
            # Accumulated in float64: in float32, 5e7 squares err by 4e-3.
            own: Tensor = torch.linalg.vector_norm(x, dim=dims, dtype=torch.float64).square()
        elif dims:
            own = (x.double() * y).sum(dim=dims)
        else:
            own = x.double() * y.double()
        if self._size == 1 and len(own) == self.count:
            return own
        total = torch.zeros(self.count, dtype=torch.float64, device=own.device)
        return total.index_add(0, self.pieces, own)

    def spread(self, factor: Tensor, like: Tensor) -> Tensor:
        """A factor for each piece of the block, in the shape of the rows that are here."""
        rows = self.view(like)
        own = factor if self._size == 1 and len(rows) == self.count else factor[self.pieces]
        return own.reshape(-1, *[1] * (rows.ndim - 1))


def summed(parts: Sequence[tuple[Tensor, Mesh | None]]) -> list[Tensor]:
    """Sums of partial results over the processes that hold the rest; one collective for all.

    Args:
        parts: What is here, and where the rest is; `None` if there is no rest.
    """
    groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    meshes: dict[tuple[int, tuple[int, ...]], Mesh] = {}
    for i, (_, mesh) in enumerate(parts):
        if mesh is not None:
            key = id(mesh[0]), mesh[1]
            meshes[key] = mesh
            groups.setdefault(key, []).append(i)
    found = [part for part, _ in parts]
    for key, members in groups.items():
        whole = torch.cat([found[i] for i in members])
        mesh, dims = meshes[key]
        for dim in dims:
            dist.all_reduce(whole, group=mesh.get_group(dim))
        lengths = [len(found[i]) for i in members]
        for i, total in zip(members, whole.split(lengths), strict=True):
            found[i] = total
    return found
