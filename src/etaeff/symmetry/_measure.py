r"""What random batches say of the symmetries, in float64.

For a symmetry s any loss has $\sum_p s_p u_p = 0$ with $u_p = \langle\theta_p, \nabla_p\rangle$, at
any weights. So weights are shaken first: a bias that starts at zero would have u = 0 and show
nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from etaeff.symmetry._float64 import Run, double, runner, scaled
from etaeff.symmetry._graph import Graph
from etaeff.symmetry._weights import Weights

ZERO: Final = 1e-9  # of float64's rounding, relative to what has cancelled


@dataclass(frozen=True)
class Sample:
    """One backward pass, as sums along each axis of each parameter.

    The weights and gradients themselves are not kept: of a large model they would not fit.

    Attributes:
        sums: By parameter name and axis a tensor (3, length of the axis): ⟨θ, ∇⟩, ‖θ‖² and ‖∇‖²
            of each slice; the last from above where a weight is read more than once.
    """

    sums: Mapping[str, Sequence[Tensor]]

    def inner(self, name: str) -> float:
        """U of a tensor."""
        return float(self.sums[name][0][0].sum())

    def size(self, name: str) -> float:
        """What |u| could be: ‖θ‖‖∇‖."""
        _, weight_sq, gradient_sq = self.sums[name][0].sum(1).tolist()
        return float((weight_sq * gradient_sq) ** 0.5)

    def gradient(self, name: str) -> float:
        """‖∇‖."""
        return float(self.sums[name][0][2].sum().sqrt())


def samples(
    run: Run,
    parameters: Mapping[str, Tensor],
    aliases: Mapping[str, str],
    inputs: Sequence[Any],
    *,
    count: int,
    seed: int,
) -> list[Sample]:
    """Backward passes of random losses at shaken weights on varied inputs.

    Args:
        run: The model.
        parameters: By canonical name.
        aliases: Canonical name of every name, tied ones too.
        inputs: The flat inputs that it was traced with.
        count: How many.
        seed: Of the shakes, losses and inputs.
    """
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        weights = Weights(parameters, generator)
        with torch.autograd.graph.saved_tensors_hooks(weights.pack, weights.unpack):
            outputs = run(
                {name: weights.lazy(own) for name, own in aliases.items()},
                varied(inputs, generator),
            )
        losses = [
            (o * torch.randn(o.shape, generator=generator, dtype=torch.float64)).sum()
            for o in outputs
            if o.requires_grad and o.numel()
        ]
        if parameters and not losses:
            raise ValueError("no output can be differentiated by a parameter")
        if losses:
            torch.stack(losses).sum().backward()
        found.append(Sample(weights.sums()))
        if not all(bool(own[0].isfinite().all()) for own in found[-1].sums.values()):
            raise ValueError("outputs or gradients are NaN or infinite")
        del weights, outputs, losses  # before the next ones are made
    return found


def varied(inputs: Sequence[Any], generator: torch.Generator) -> list[Any]:
    """Other inputs of the same kind: noise of the same size, the same whole numbers shuffled."""
    found = []
    for value in inputs:
        if isinstance(value, Tensor) and value.is_floating_point() and value.numel() > 1:
            size = float(value.double().square().mean().sqrt()) or 1.0
            noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            found.append(double(value).cpu() + size * noise)
        elif isinstance(value, Tensor) and value.dtype == torch.int64 and value.numel() > 1:
            order = torch.randperm(value.numel(), generator=generator)
            found.append(value.cpu().reshape(-1)[order].reshape(value.shape))
        else:
            found.append(value)
    return found


def inert(drawn: Sequence[Sample]) -> set[str]:
    """Parameters whose gradient is zero in every sample, to rounding."""
    names = set(drawn[0].sums)
    for sample in drawn:
        largest = max((sample.gradient(n) for n in sample.sums), default=0.0)
        names = {n for n in names if sample.gradient(n) <= ZERO * largest}
    return names


def defect(drawn: Sequence[Sample], exponents: Mapping[str, float]) -> float:
    r"""Largest $|\sum_p s_p u_p| / \sum_p |s_p| \|\theta_p\|\|\nabla_p\|$ of the samples."""
    worst = 0.0
    for sample in drawn:
        total = sum(s * sample.inner(n) for n, s in exponents.items())
        scale = sum(abs(s) * sample.size(n) for n, s in exponents.items())
        worst = max(worst, abs(total) / scale if scale > 0 else 0.0)
    return worst


def cut_defects(drawn: Sequence[Sample], names: Sequence[str], axis: int, count: int) -> Tensor:
    """`defect` of each of `count` equal pieces along `axis`, all tensors together."""
    worst = torch.zeros(count, dtype=torch.float64)
    for sample in drawn:
        total = torch.zeros(count, dtype=torch.float64)
        scale = torch.zeros(count, dtype=torch.float64)
        for name in names:
            inner, weight_sq, gradient_sq = sample.sums[name][axis].reshape(3, count, -1).sum(2)
            total += inner
            scale += (weight_sq * gradient_sq).sqrt()
        worst = torch.maximum(worst, torch.where(scale > 0, total.abs() / scale, 0.0))
    return worst


def measured_rank(drawn: Sequence[Sample]) -> tuple[int, Tensor]:
    """Dimension of the null space of the samples, and the space, one row for each direction."""
    names = list(drawn[0].sums)
    rows = []
    for sample in drawn:
        sizes = [max(sample.size(n), 1e-300) for n in names]
        total = sum(sizes)
        rows.append([sample.inner(n) / total for n in names])
    matrix = torch.tensor(rows, dtype=torch.float64)
    _, values, directions = torch.linalg.svd(matrix, full_matrices=True)
    rank = int((values > ZERO * values[0]).sum()) if len(values) else 0
    return len(names) - rank, directions[rank:]


def change_when_scaled(
    graph: Graph,
    parameters: Mapping[str, Tensor],
    aliases: Mapping[str, str],
    inputs: Sequence[Any],
    exponents: Mapping[str, int],
) -> float:
    """Largest relative change of an output when each tensor is scaled by 2 to its exponent.

    With every ε at 1e-30; powers of two are exact, so that a symmetry changes no bit, unless a
    sum meets ε.
    """
    run = runner(graph, own_epsilon=False)
    found = []
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for factors in ({}, {name: 2.0**exponent for name, exponent in exponents.items()}):
            torch.manual_seed(0)  # the same chance in both, such as stochastic depth
            own = {name: scaled(p, factors.get(name, 1.0)) for name, p in parameters.items()}
            found.append(run({n: own[c] for n, c in aliases.items()}, list(inputs)))
    worst = 0.0
    for old, new in zip(*found, strict=True):
        size = float(old.abs().max()) if old.numel() else 0.0
        change = float((new - old).abs().max()) if old.numel() else 0.0
        worst = max(worst, change / size if size > 0 else change)
    return worst
