"""The blocks of a parameter group, and the inner products that a step needs of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import torch
from torch import Tensor

from etaeff.errors import UsageError
from etaeff.geometry import Block, check_radii
from etaeff.optim._shards import Mesh, Rows, summed


@dataclass(frozen=True)
class Sphere:
    """One block of a group.

    Attributes:
        block: Its names, axis and count.
        params: The parameters.
    """

    block: Block
    params: tuple[Tensor, ...]

    @cached_property
    def rows(self) -> tuple[Rows, ...]:
        """Of each parameter."""
        axis, count = self.block.axis, self.block.count
        return tuple(Rows(p, axis % max(p.ndim, 1), count) for p in self.params)

    @cached_property
    def is_local(self) -> bool:
        """Whether no piece is spread: tensors cut in rows alike are sharded alike too."""
        if any(rows.crosses for rows in self.rows):
            return False
        return len({rows.sharded for rows in self.rows}) == 1

    @cached_property
    def here(self) -> Tensor | slice:
        """The pieces that this process sees: all, unless it holds whole ones."""
        first = self.rows[0]
        if not self.is_local or first.sharded is None:
            return slice(None)
        own: Tensor = first.pieces.unique()
        return own


# Of a sphere, two lists of tensors like its parameters.
Pair: TypeAlias = tuple[Sphere, Sequence[Tensor], Sequence[Tensor]]


def inners(pairs: Sequence[Pair], *, everywhere: bool = False) -> list[Tensor]:
    """⟨left, right⟩ of each piece over all tensors and processes, in float64, shapes (count,).

    All that crosses processes goes in one collective. Pieces that are not `here` are zero.

    Args:
        pairs: What to multiply.
        everywhere: Tell every process of all pieces.
    """
    parts: list[tuple[Tensor, Mesh | None]] = []
    for sphere, left, right in pairs:
        for rows, x, y in zip(sphere.rows, left, right, strict=True):
            mesh = rows.sharded if everywhere or not sphere.is_local else None
            parts.append((rows.sums(x, y), mesh))
    totals = iter(summed(parts))
    found = []
    for sphere, _, _ in pairs:
        own = [next(totals) for _ in sphere.rows]
        found.append(torch.stack([part.to(own[0].device) for part in own]).sum(0))
    return found


def spheres(group: Mapping[str, Any]) -> list[Sphere]:
    """The blocks of a group."""
    return [
        Sphere(
            Block(tuple(own["names"]), axis=own["axis"], count=own["count"]),
            tuple(group["params"][i] for i in own["params"]),
        )
        for own in group["blocks"]
    ]


def norms_of(found: Sequence[Sphere]) -> list[Tensor]:
    """Norm of each piece of each block, in float64, on every process."""
    pairs = [(own, _values(own), _values(own)) for own in found]
    return [square.sqrt() for square in inners(pairs, everywhere=True)]


def put_at_(found: Sequence[Sphere], radii: Sequence[Tensor]) -> None:
    """Put the pieces of blocks at their radius; all radii are checked before any weight moves."""
    refuse_radii(found, radii)
    scale_(found, radii, norms_of(found))


def refuse_radii(found: Sequence[Sphere], radii: Sequence[Tensor]) -> None:
    """Refuse radii that the weights of a block cannot have in their dtype."""
    for sphere, radius in zip(found, radii, strict=True):
        for dtype in {p.dtype for p in sphere.params}:
            check_radii(radius, sphere.block, dtype)


def scale_(found: Sequence[Sphere], radii: Sequence[Tensor], norms: Sequence[Tensor]) -> None:
    """Scale the pieces of blocks to their radius; those that are there, to rounding, stay."""
    for sphere, radius, norm in zip(found, radii, norms, strict=True):
        factor = radius / norm
        stays = (factor - 1).abs() <= _THERE * torch.finfo(sphere.params[0].dtype).eps
        with torch.no_grad():
            for rows in sphere.rows:
                own = rows.view(rows.param)
                new = own * rows.spread(factor.to(own.device), rows.param)
                own.copy_(torch.where(rows.spread(stays.to(own.device), rows.param), own, new))


def refuse_kind(name: str, p: Tensor) -> None:
    """Refuse a parameter that is no dense tensor of real numbers."""
    if p.is_complex():
        raise UsageError(f"Parameter {name!r} is complex; spheres are of real numbers.")
    if p.is_meta:
        raise UsageError(f"Parameter {name!r} is on the meta device and has no norm yet.")
    if not p.is_floating_point() or p.layout is not torch.strided:
        raise UsageError(f"Parameter {name!r} must be a dense tensor of real numbers.")


_THERE = 2  # units in the last place


def _values(sphere: Sphere) -> list[Tensor]:
    return [p.detach() for p in sphere.params]
