"""The upper bound: exponents that no sample contradicts, beyond those that are known."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

import torch
from torch import Tensor

from etaeff.symmetry._measurement._defects import FLOOR, ZERO
from etaeff.symmetry._measurement._samples import Sample

_EULER_FLOOR: Final = 1e-2  # of a column; if no row comes to that, all may be rounding
_SMALL_COSINE: Final = 1e-4  # of a weight and its gradient; what is below may be rounding
_IMPRECISE: Final = 1e4  # times the precision, below which a column may be rounding
_NOISE_FACTOR: Final = 30.0  # of what known symmetries leave
_REMAINDER: Final = 1e-3  # of a direction; the rest is rounding
_LARGEST_DENOMINATOR: Final = 6
_IRRATIONAL: Final = 1e-5


def open_directions(
    drawn: Sequence[Sample],
    names: Sequence[str],
    known: Sequence[Mapping[str, float]],
    precision: float = ZERO,
) -> Tensor:
    """Exponents that no sample contradicts, orthogonal to the known ones: one direction in a row.

    The samples are rows ⟨θ_p, ∇_p⟩, each beside the sizes that could cancel in it, and each column
    is brought to a size of one, so that small tensors count as large ones do. What known
    symmetries leave in a row is rounding, and tells how much of the rest may be.

    Args:
        drawn: The samples.
        names: Parameters that have a gradient.
        known: Exponents of known symmetries by name.
        precision: Of the samples.
    """
    if not names:
        return torch.zeros(0, 0, dtype=torch.float64)
    columns = {name: i for i, name in enumerate(names)}
    rows, sizes = _rows(drawn, names)
    least = max(_SMALL_COSINE, _IMPRECISE * precision) * sizes.amax(0)
    scale = torch.maximum(rows.abs().amax(0), least).clamp_min(1e-300)
    space = torch.zeros(len(known), len(names), dtype=torch.float64)
    for row, exponents in zip(space, known, strict=True):
        for name in exponents.keys() & columns.keys():
            row[columns[name]] = float(exponents[name])
    space = _orthonormal(space * scale)
    rows = rows / scale
    noise = float((rows @ space.T).abs().max()) if len(space) else 0.0
    rows = rows - rows @ space.T @ space
    _, values, directions = torch.linalg.svd(rows, full_matrices=True)
    threshold = max(precision, _NOISE_FACTOR * noise) * max(float(values[0]), _EULER_FLOOR)
    free = directions[int((values > threshold).sum()) :]
    _, values, directions = torch.linalg.svd(free - free @ space.T @ space, full_matrices=False)
    free = directions[values > _REMAINDER] / scale
    if len(free):
        free = free / free.abs().amax(1, keepdim=True)
    return torch.as_tensor(free)


def rational(space: Tensor) -> list[dict[int, Fraction]]:
    """Vectors of small fractions in the span of some rows, as far as it has such a basis.

    Args:
        space: A direction in a row.
    """
    rows = space.clone()
    pivots: list[int] = []
    for i in range(len(rows)):
        left = rows[i:].abs()
        left[:, pivots] = 0.0
        place, column = divmod(int(left.argmax()), rows.shape[1])
        if float(left[place, column]) < _IRRATIONAL:
            rows = rows[:i]
            break
        rows[[i, i + place]] = rows[[i + place, i]]
        rows[i] /= rows[i, column].clone()
        others = torch.arange(len(rows)) != i
        rows[others] -= rows[others, column, None] * rows[i]
        pivots.append(column)
    found = []
    for row in rows:
        exact = [Fraction(v).limit_denominator(_LARGEST_DENOMINATOR) for v in row.tolist()]
        errors = [abs(float(e) - v) for e, v in zip(exact, row.tolist(), strict=True)]
        if max(errors) <= _IRRATIONAL:
            found.append({i: value for i, value in enumerate(exact) if value})
    return found


def _rows(drawn: Sequence[Sample], names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """⟨θ, ∇⟩ and ‖θ‖‖∇‖ of each parameter in each sample, beside the sample's size."""
    inner, sizes = [], []
    for sample in drawn:
        each = [sample.size(name) for name in names]
        total = max(sum(each), FLOOR * sample.scale, 1e-300)
        inner.append([sample.inner(name) / total for name in names])
        sizes.append([size / total for size in each])
    return torch.tensor(inner, dtype=torch.float64), torch.tensor(sizes, dtype=torch.float64)


def _orthonormal(rows: Tensor) -> Tensor:
    """An orthonormal basis of what rows span."""
    if not len(rows):
        return rows
    _, values, directions = torch.linalg.svd(rows, full_matrices=False)
    kept: Tensor = directions[values > ZERO * values[0]]
    return kept
