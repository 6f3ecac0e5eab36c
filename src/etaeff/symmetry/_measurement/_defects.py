"""What samples say of exponents: how far they are from a symmetry."""

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from etaeff.symmetry._measurement._samples import Sample

ZERO: Final = 1e-9  # of float64's rounding, relative to what has cancelled
FLOOR: Final = 1e-4  # of the functional: parameters that move it less are in its rounding


def inert(drawn: Sequence[Sample]) -> set[str]:
    """Parameters without a gradient in any sample, to rounding."""
    names = set(drawn[0].sums)
    for sample in drawn:
        sizes = {name: sample.size(name) for name in sample.sums}
        rounding = ZERO * max([FLOOR * sample.scale, *sizes.values()])
        names = {name for name in names if sizes[name] <= rounding}
    return names


def defect(drawn: Sequence[Sample], exponents: Mapping[str, float]) -> float:
    r"""Largest $|\sum_p s_p u_p| / \sum_p |s_p| \|\theta_p\|\|\nabla_p\|$ of the samples."""
    worst = 0.0
    for sample in drawn:
        total = sum(s * sample.inner(n) for n, s in exponents.items())
        size = sum(abs(s) * sample.size(n) for n, s in exponents.items())
        size = max(size, FLOOR * sample.scale)
        worst = max(worst, abs(total) / size if size > 0 else 0.0)
    return worst


def cut_defects(drawn: Sequence[Sample], names: Sequence[str], axis: int, count: int) -> Tensor:
    """`defect` of each of `count` equal pieces along `axis`, all tensors together."""
    worst = torch.zeros(count, dtype=torch.float64)
    for sample in drawn:
        total = torch.zeros(count, dtype=torch.float64)
        size = torch.zeros(count, dtype=torch.float64)
        for name in names:
            inner, weight_sq, gradient_sq = sample.sums[name][axis].reshape(3, count, -1).sum(2)
            total += inner
            size += (weight_sq * gradient_sq).sqrt()
        size = size.clamp_min(FLOOR * sample.scale / count)
        worst = torch.maximum(worst, torch.where(size > 0, total.abs() / size, 0.0))
    return worst
