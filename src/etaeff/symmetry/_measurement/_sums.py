"""What is kept of a weight and its gradient: sums of their products, and not themselves."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

# Number of the first row, and rows of weight and gradient; a complex entry is two real ones.
Pieces: TypeAlias = Iterable[tuple[int, Tensor, Tensor]]


class Sums:
    """⟨θ, ∇⟩, ‖θ‖² and ‖∇‖² of a weight, of each slice along each axis.

    Args:
        shape: Of the weight.
        detailed: Whether slices count. Without them there is one, the whole.
        device: On which the gradient is.
    """

    def __init__(self, shape: Sequence[int], *, detailed: bool, device: torch.device) -> None:
        """Of no gradient yet, all are zero."""
        self._shape = tuple(shape) or (1,)
        self._detailed = detailed
        self._device = device
        self._weight: list[Tensor] | None = None  # ‖θ‖², which no other gradient changes
        self.forget()

    def forget(self) -> None:
        """Forget all gradients."""
        self._sums = self._zeros()

    def found(self) -> list[Tensor]:
        """For each axis a tensor (3, its length); without details (3, 1).

        Of a weight that was read more than once, ‖∇‖ is the sum of the parts' norms.
        """
        return [sums.cpu() for sums in self._sums]

    def add(self, pieces: Pieces) -> None:
        """Add the gradient from one of the operators that read the weight."""
        added = self._of_slices(pieces) if self._detailed else self._of_the_whole(pieces)
        if self._weight is None:
            self._weight = [more[1] for more in added]
        for sums, more, squares in zip(self._sums, added, self._weight, strict=True):
            sums[0] += more[0]
            sums[1] = squares
            sums[2] = (sums[2].sqrt() + more[2].sqrt()).square()

    def _of_the_whole(self, pieces: Pieces) -> list[Tensor]:
        """Three numbers."""
        (total,) = self._zeros()
        for _, *pair in pieces:
            weight, gradient = (part.reshape(-1) for part in pair)
            total[0] += weight.dot(gradient)
            total[2] += gradient.dot(gradient)
            if self._weight is None:
                total[1] += weight.dot(weight)
        return [total]

    def _of_slices(self, pieces: Pieces) -> list[Tensor]:
        """Three numbers for each slice: row by row along the first axis, then over all rows."""
        added = self._zeros()
        over_rows: list[Tensor | float] = [0.0, 0.0, 0.0]
        for first, weight, gradient in pieces:
            for kind, pair in enumerate(((weight, gradient), (weight, weight), (gradient,) * 2)):
                if kind == 1 and self._weight is not None:
                    continue
                product = torch.mul(*pair)
                added[0][kind, first : first + len(product)] = product.sum(1)
                if len(added) > 1:
                    over_rows[kind] = over_rows[kind] + product.sum(0)
        for kind, total in enumerate(over_rows):
            if isinstance(total, Tensor):
                self._add_along_others(kind, total, added)
        return added

    def _add_along_others(self, kind: int, total: Tensor, added: Sequence[Tensor]) -> None:
        """The sums along all axes but the first, from the sum of all rows."""
        inner = total.reshape(*self._shape[1:], -1).sum(-1)
        for axis, sums in enumerate(added[1:]):
            others = [i for i in range(inner.ndim) if i != axis]
            sums[kind] = inner.sum(others) if others else inner

    def _zeros(self) -> list[Tensor]:
        """Sums of nothing."""
        lengths = self._shape if self._detailed else (1,)
        return [torch.zeros(3, n, dtype=torch.float64, device=self._device) for n in lengths]
