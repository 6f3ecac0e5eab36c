"""What a process holds of a parameter, read row by row along the axis that is cut.

Each row knows its piece. That is the same for a whole tensor, for a shard of rows, even or not,
and for a shard along another axis.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any, TypeAlias

import torch
from torch import Tensor

from etaeff._checks.tensors import is_sharded
from etaeff.errors import UsageError

Mesh: TypeAlias = tuple[Any, tuple[int, ...]]  # a DeviceMesh, and its dimensions that are summed


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process holds, as a view."""
    sharded: Any = tensor
    return sharded.to_local() if is_sharded(tensor) else tensor


@dataclass(frozen=True)
class Shard:
    """The rows that this process holds of a parameter, along the axis that is cut.

    Attributes:
        param: The parameter; a tensor, or a DTensor.
        axis: The axis, from 0.
        count: Pieces of the whole block.
    """

    param: Tensor
    axis: int
    count: int

    def rows(self, tensor: Tensor) -> Tensor:
        """The local rows of a tensor like the parameter; rows come first."""
        part = local(tensor)
        return part.movedim(self.axis, 0) if part.ndim else part.unsqueeze(0)

    @property
    def _rows_per_piece(self) -> int:
        length = self.param.shape[self.axis] if self.param.ndim else 1
        return int(length) // self.count

    @cached_property
    def _offsets(self) -> tuple[int, ...]:
        """Where in the whole tensor the local part begins, along each axis."""
        if not is_sharded(self.param):
            return (0,) * self.param.ndim
        # Private to torch, which has no public name for it: uneven shards follow its rule.
        from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

        p: Any = self.param
        _, offset = compute_local_shape_and_global_offset(p.shape, p.device_mesh, p.placements)
        return tuple(int(start) for start in offset)

    @cached_property
    def piece_ids(self) -> Tensor:
        """The piece of each local row, of shape (rows,)."""
        rows = self.rows(self.param)
        offset = self._offsets[self.axis] if self._offsets else 0
        return (torch.arange(len(rows), device=rows.device) + offset) // self._rows_per_piece

    @cached_property
    def entry_ids(self) -> Tensor:
        """The index of each entry in the whole tensor, in the shape of the local rows.

        In int32: entries that lie 2³² apart have the same.
        """
        part = local(self.param)
        ids = torch.zeros((), dtype=torch.int32, device=part.device)
        for length, size, start in zip(part.shape, self.param.shape, self._offsets, strict=True):
            along = torch.arange(start, start + length, dtype=torch.int32, device=part.device)
            ids = ids.unsqueeze(-1) * size + along
        return self.rows(ids)

    @cached_property
    def mesh(self) -> Mesh | None:
        """Over which processes the parameter is spread; `None` if it is whole in this one."""
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
    def splits_pieces(self) -> bool:
        """Whether any process holds a part of a piece."""
        if self.mesh is None:
            return False
        p: Any = self.param
        mesh, dims = self.mesh
        if len(dims) > 1 or p.placements[dims[0]].dim != self.axis:
            return True
        rows = ceil(p.shape[self.axis] / mesh.size(dims[0]))
        return bool(rows < p.shape[self.axis] and rows % self._rows_per_piece)

    def inner(self, left: Tensor, right: Tensor) -> Tensor:
        """⟨left, right⟩ of each piece as far as it is local, in float64, of shape (count,)."""
        x, y = self.rows(left), self.rows(right)
        dims = tuple(range(1, x.ndim))
        if left is right and dims:
            # Accumulated in float64: in float32, 5e7 squares err by 4e-3.
            wide = torch.complex128 if x.is_complex() else torch.float64
            sums: Tensor = torch.linalg.vector_norm(x, dim=dims, dtype=wide).square()
        elif left is right:
            sums = x.abs().double().square()
        elif dims:
            sums = (x.double() * y).sum(dim=dims)
        else:
            sums = x.double() * y.double()
        if self._rows_per_piece == 1 and len(sums) == self.count:
            return sums
        total = torch.zeros(self.count, dtype=torch.float64, device=sums.device)
        return total.index_add(0, self.piece_ids, sums)

    def spread(self, factor: Tensor, like: Tensor) -> Tensor:
        """A factor of each piece of the block, broadcasting against the local rows."""
        rows = self.rows(like)
        is_one_row = self._rows_per_piece == 1 and len(rows) == self.count
        column = factor if is_one_row else factor[self.piece_ids]
        return column.reshape(-1, *[1] * (rows.ndim - 1))
