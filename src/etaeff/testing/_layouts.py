"""Ways to cut weights into spheres, and an optimiser on one of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from etaeff.geometry import Block, param_groups
from etaeff.testing._problem import Array, OptimizerCase


@dataclass(frozen=True)
class Layout:
    """A block, and the weights in it.

    Attributes:
        name: In the names of the tests.
        shapes: Of the weights, by name.
        axis: The axis that is cut.
        count: Pieces of it.
    """

    name: str
    shapes: Mapping[str, tuple[int, ...]]
    axis: int = 0
    count: int = 1

    def cut(self, arrays: Sequence[Array]) -> Array:
        """The pieces as rows, by numpy alone: nothing here comes from `etaeff.geometry`."""
        parts = [np.split(array, self.count, self.axis) for array in arrays]
        return np.stack([
            np.concatenate([own[i].ravel() for own in parts]) for i in range(self.count)
        ])  # fmt: skip


LAYOUTS: Final = (
    Layout("heads", {"weight": (6, 4)}, count=3),
    Layout("columns", {"weight": (4, 6)}, axis=1, count=6),
    Layout("tensor", {"weight": (4, 6)}),
    Layout("joint", {"first": (4, 6), "second": (4, 3)}, count=2),
    Layout("convolution", {"weight": (4, 3, 2, 2)}, count=4),
)


class LayoutRun:
    """A block of a layout, and an optimiser of it."""

    def __init__(
        self,
        case: OptimizerCase,
        mode: str,
        layout: Layout,
        dtype: torch.dtype = torch.float32,
        *,
        lr: float = 0.05,
        radius: float = 2.5,
    ) -> None:
        """Draw the weights and make the optimiser."""
        self.layout = layout
        self.source = torch.Generator().manual_seed(0)
        self.weights = {
            name: Parameter(self._normal(shape).to(dtype)) for name, shape in layout.shapes.items()
        }
        block = Block(tuple(layout.shapes), axis=layout.axis, count=layout.count)
        groups = param_groups(
            self.weights, [block], lr=lr, weight_decay=0.1, mode=mode, radius=radius
        )
        self.optimizer = case.optimizer(groups, **case.kwargs, **case.own)

    def _normal(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self.source, dtype=torch.float64)

    def draw(self) -> None:
        """New gradients."""
        for p in self.weights.values():
            p.grad = self._normal(tuple(p.shape)).to(p.dtype)

    def pieces(self) -> Array:
        """The weights, a piece in each row, in float64."""
        return self.layout.cut([p.detach().double().numpy() for p in self.weights.values()])

    def off_radius(self, radius: float = 2.5) -> float:
        """The largest distance of a norm from the radius, relative to it."""
        norms = np.sqrt((self.pieces() ** 2).sum(1))
        return float(np.abs(norms / radius - 1).max())
