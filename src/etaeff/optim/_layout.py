"""The blocks of a parameter group as views, and the sums that a step needs of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from etaeff.geometry import Block, pieces


@dataclass(frozen=True)
class Sphere:
    """One block of a group.

    Attributes:
        block: Its names, axis and count.
        params: The parameters.
    """

    block: Block
    params: tuple[Tensor, ...]

    def cut(self, tensor: Tensor) -> Tensor:
        """The pieces of a tensor like one of its parameters."""
        return pieces(tensor, self.block.axis, self.block.count)

    def inner(self, left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
        """⟨left, right⟩ of each piece over all tensors, in float64, of shape (count,)."""
        parts = []
        for x, y in zip(left, right, strict=True):
            x, y = self.cut(x), self.cut(y)
            dims = tuple(range(1, x.ndim))
            if x is y or x.data_ptr() == y.data_ptr():
                # Accumulated in float64: in float32, 5e7 squares err by 4e-3.
                parts.append(torch.linalg.vector_norm(x, dim=dims, dtype=torch.float64).square())
            else:
                parts.append((x * y).sum(dim=dims, dtype=torch.float64))
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]

    def spread(self, factor: Tensor, tensor: Tensor) -> Tensor:
        """A factor for each piece in the shape of the tensor's pieces."""
        ndim = self.cut(tensor).ndim
        return factor.to(tensor.dtype if tensor.is_floating_point() else factor.dtype).reshape(
            -1, *[1] * (ndim - 1)
        )


def spheres(group: Mapping[str, Any]) -> list[Sphere]:
    """The blocks of a group."""
    return [
        Sphere(
            Block(tuple(own["names"]), axis=own["axis"], count=own["count"]),
            tuple(group["params"][i] for i in own["params"]),
        )
        for own in group["blocks"]
    ]
