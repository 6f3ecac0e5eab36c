"""Inner products and norms of the pieces of blocks, over all tensors and processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import torch
import torch.distributed as dist
from torch import Tensor

from etaeff.geometry._block import Block, check_block
from etaeff.geometry._shards import Mesh, Shard


@dataclass(frozen=True)
class BlockTensors:
    """A block with its parameters.

    Attributes:
        block: Its names, axis and count.
        params: The parameters, in the order of the names.
    """

    block: Block
    params: tuple[Tensor, ...]

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """What this process holds of each parameter."""
        axis, count = self.block.axis, self.block.count
        return tuple(Shard(p, axis % max(p.ndim, 1), count) for p in self.params)

    @cached_property
    def has_whole_pieces(self) -> bool:
        """Whether no piece is spread: tensors cut in rows alike are sharded alike too."""
        if any(shard.splits_pieces for shard in self.shards):
            return False
        return len({shard.mesh for shard in self.shards}) == 1

    @cached_property
    def local_pieces(self) -> Tensor | slice:
        """The pieces of which this process knows the sums: all, unless it holds whole ones."""
        first = self.shards[0]
        if not self.has_whole_pieces or first.mesh is None:
            return slice(None)
        ids: Tensor = first.piece_ids.unique()
        return ids


# Of a block, two lists of tensors like its parameters.
Pair: TypeAlias = tuple[BlockTensors, Sequence[Tensor], Sequence[Tensor]]


def inner_products(pairs: Sequence[Pair], *, everywhere: bool = False) -> list[Tensor]:
    """⟨left, right⟩ of each piece over all tensors and processes, in float64, shapes (count,).

    All that crosses processes goes in one collective. Pieces that are not local are zero.

    Args:
        pairs: What to multiply.
        everywhere: Give every process the sums of all pieces.
    """
    partial = [
        [shard.inner(x, y) for shard, x, y in zip(of.shards, left, right, strict=True)]
        for of, left, right in pairs
    ]
    return reduced(list(zip((of for of, _, _ in pairs), partial, strict=True)), everywhere)


def reduced(
    partial: Sequence[tuple[BlockTensors, Sequence[Tensor]]], everywhere: bool = False
) -> list[Tensor]:
    """The sums of blocks from the part of each tensor that is local, in one collective.

    Args:
        partial: A block, and for each of its tensors sums of shape (…, count).
        everywhere: Give every process the sums of all pieces.
    """
    parts: list[tuple[Tensor, Mesh | None]] = []
    for of, sums in partial:
        crosses = everywhere or not of.has_whole_pieces
        parts += [(x, s.mesh if crosses else None) for s, x in zip(of.shards, sums, strict=True)]
    summed = iter(_all_reduced(parts))
    totals = []
    for of, _ in partial:
        tensors = [next(summed) for _ in of.shards]
        # A block may lie on several devices.
        totals.append(torch.stack([x.to(tensors[0].device) for x in tensors]).sum(0))
    return totals


def _all_reduced(parts: Sequence[tuple[Tensor, Mesh | None]]) -> list[Tensor]:
    """Sums over the processes that hold the rest; one collective for each mesh.

    Args:
        parts: What is local, and where the rest is; `None` if there is no rest.
    """
    groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    meshes: dict[tuple[int, tuple[int, ...]], Mesh] = {}
    for i, (_, mesh) in enumerate(parts):
        if mesh is not None:
            key = id(mesh[0]), mesh[1]
            meshes[key] = mesh
            groups.setdefault(key, []).append(i)
    totals = [part for part, _ in parts]
    for key, members in groups.items():
        whole = torch.cat([totals[i].flatten() for i in members])
        mesh, dims = meshes[key]
        for dim in dims:
            dist.all_reduce(whole, group=mesh.get_group(dim))
        sizes = [totals[i].numel() for i in members]
        for i, total in zip(members, whole.split(sizes), strict=True):
            totals[i] = total.view(totals[i].shape)
    return totals


def norms_of(blocks: Sequence[BlockTensors]) -> list[Tensor]:
    """Norm of each piece of each block, in float64, on every process."""
    values = [[p.detach() for p in of.params] for of in blocks]
    squares = inner_products(list(zip(blocks, values, values, strict=True)), everywhere=True)
    return [square.sqrt() for square in squares]


def block_norms(block: Block, tensors: Mapping[str, Tensor]) -> Tensor:
    r"""Radius of every piece of a block.

    $$r_i = \sqrt{\textstyle\sum_{\mathrm{tensors}} \|\mathrm{piece}_i\|^2}$$

    Args:
        block: The block.
        tensors: Tensors by name, as in `block_pieces`. Real or complex; whole, or sharded
            (DTensors), where all processes must call this together.

    Returns:
        Radii of shape `(count,)`, in float64 and outside the graph of gradients; of sharded
        tensors too, plain and the same on every process.

    Raises:
        UnknownNameError: If a name of the block is not in `tensors`.
        UsageError: If a tensor cannot be cut as the block says.

    Examples:
        >>> w = {"weight": torch.tensor([[3.0], [5.0]]), "bias": torch.tensor([4.0, 12.0])}
        >>> block_norms(Block(("weight", "bias"), count=2), w)
        tensor([ 5., 13.], dtype=torch.float64)
    """
    (norms,) = norms_of([block_tensors(block, tensors)])
    return norms


def block_tensors(block: Block, tensors: Mapping[str, Tensor]) -> BlockTensors:
    """A block with its parameters, refused if one is not there or cannot be cut."""
    check_block(block, tensors)
    return BlockTensors(block, tuple(tensors[name] for name in block.names))
