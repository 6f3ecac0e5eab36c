r"""What random batches say of the symmetries, in float64.

For a symmetry s any loss has $\sum_p s_p u_p = 0$ with $u_p = \langle\theta_p, \nabla_p\rangle$, at
any weights. So weights are shaken first: a bias that starts at zero would have u = 0 and show
nothing.
"""

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from etaeff.symmetry._float64 import Run, double
from etaeff.symmetry._weights import Lazy, Weights

ZERO: Final = 1e-9  # of float64's rounding, relative to what has cancelled
_FLOOR: Final = 1e-4  # of the functional: parameters that move it less are in its rounding
_HEARD: Final = 1e-2  # of ‖θ‖‖∇‖; if no ⟨θ, ∇⟩ comes to that, all may be rounding
_OUTLIER: Final = 1e6
_VARIED: Final = 0.5
_REDRAWN: Final = 4.0


@dataclass(frozen=True)
class Sample:
    """One backward pass, as sums along each axis of each parameter.

    The weights and gradients themselves are not kept: of a large model they would not fit.

    Attributes:
        scale: ‖r‖‖y‖ of the random functional ⟨r, y⟩ of the outputs, without those that no weight
            moves: what is far below it is rounding.
        sums: By parameter name and axis a tensor (3, length of the axis): ⟨θ, ∇⟩, ‖θ‖² and ‖∇‖²
            of each slice; the last from above where a weight is read more than once.
    """

    scale: float
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
    found: list[Sample] = []
    first: list[Tensor] = []
    moving: list[Tensor] = []
    for i in range(count):
        weights = Weights(parameters, generator)
        lazy = {name: weights.lazy(own) for name, own in aliases.items()}
        with torch.autograd.graph.saved_tensors_hooks(weights.pack, weights.unpack):
            outputs = _run_somehow(run, lazy, inputs, generator)
        outputs = [own for own in outputs if own.requires_grad and own.numel()]
        if parameters and not outputs:
            raise ValueError("no output can be differentiated by a parameter")
        here = [own.detach() for own in outputs]
        losses = [
            (torch.randn(own.shape, generator=generator, dtype=torch.float64) * own).sum()
            for own in outputs
        ]
        if losses:
            torch.stack(losses).sum().backward()
        if i == 1:
            moving = _moving(first, here)
            found[0] = replace(found[0], scale=_scale(first, moving))
        found.append(Sample(_scale(here, moving), weights.sums()))
        if not all(bool(own[0].isfinite().all()) for own in found[-1].sums.values()):
            raise ValueError("outputs or gradients are NaN or infinite")
        first = first or here
        del weights, lazy, outputs, losses  # before the next ones are made
    return found


def _run_somehow(
    run: Run, weights: Mapping[str, Lazy], inputs: Sequence[Any], generator: torch.Generator
) -> list[Tensor]:
    """On varied inputs, or where the model cannot take those, on its own."""
    try:
        return run(weights, varied(inputs, generator))
    except (IndexError, RuntimeError, ValueError):
        return run(weights, list(inputs))


def _moving(left: Sequence[Tensor], right: Sequence[Tensor]) -> list[Tensor]:
    """Where outputs are not the same at other weights and on other inputs."""
    if [own.shape for own in left] != [own.shape for own in right]:
        return []
    return [own != other for own, other in zip(left, right, strict=True)]


def _scale(outputs: Sequence[Tensor], moving: Sequence[Tensor]) -> float:
    """‖r‖‖y‖ of a random functional, over what moves, or over everything if that is not known."""
    total = 0.0
    for i, own in enumerate(outputs):
        kept = _ordinary(own)
        if moving and moving[i].shape == own.shape:
            kept &= moving[i]
        total += float(kept.sum().sqrt() * own[kept].norm())
    return total


def _ordinary(own: Tensor) -> Tensor:
    """Where numbers have a usual size, and do not stand for −∞ in a mask."""
    sizes = own.abs()
    usual = sizes[own.isfinite() & (sizes > 0)]
    if not usual.numel():
        return own.isfinite()
    quartile = float(usual.kthvalue(1 + usual.numel() // 4).values)
    return own.isfinite() & (sizes <= _OUTLIER * max(quartile, 1.0))


def varied(inputs: Sequence[Any], generator: torch.Generator) -> list[Any]:
    """Other inputs of the same kind: of the same signs, and the same whole numbers shuffled.

    Zeros stay, and so do infinities and what is zero or one everywhere: they may be a mask.
    """
    found = []
    for value in inputs:
        if isinstance(value, Tensor) and value.is_floating_point() and value.numel() > 1:
            noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            own = double(value).cpu()
            mask = bool(own.any()) and bool(((own == 0) | (own == 1)).all())
            shaken = own * (_VARIED * noise).exp() if bool(own.any()) else noise
            found.append(own if mask else shaken)
        elif isinstance(value, Tensor) and value.dtype == torch.int64 and value.numel() > 1:
            order = torch.randperm(value.numel(), generator=generator)
            found.append(value.cpu().reshape(-1)[order].reshape(value.shape))
        else:
            found.append(value)
    return found


def inert(drawn: Sequence[Sample]) -> set[str]:
    """Parameters without a gradient in any sample, to rounding."""
    names = set(drawn[0].sums)
    for sample in drawn:
        sizes = {name: sample.size(name) for name in sample.sums}
        heard = ZERO * max([_FLOOR * sample.scale, *sizes.values()])
        names = {name for name in names if sizes[name] <= heard}
    return names


def defect(drawn: Sequence[Sample], exponents: Mapping[str, float]) -> float:
    r"""Largest $|\sum_p s_p u_p| / \sum_p |s_p| \|\theta_p\|\|\nabla_p\|$ of the samples."""
    worst = 0.0
    for sample in drawn:
        total = sum(s * sample.inner(n) for n, s in exponents.items())
        size = sum(abs(s) * sample.size(n) for n, s in exponents.items())
        size = max(size, _FLOOR * sample.scale)
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
        size = size.clamp_min(_FLOOR * sample.scale / count)
        worst = torch.maximum(worst, torch.where(size > 0, total.abs() / size, 0.0))
    return worst


def measured_null_space(drawn: Sequence[Sample]) -> Tensor:
    """The exponents that no sample contradicts: an orthonormal basis, one direction in a row."""
    names = list(drawn[0].sums)
    rows = []
    for sample in drawn:
        total = max(sum(sample.size(n) for n in names), _FLOOR * sample.scale, 1e-300)
        rows.append([sample.inner(n) / total for n in names])
    matrix = torch.tensor(rows, dtype=torch.float64)
    _, values, directions = torch.linalg.svd(matrix, full_matrices=True)
    rank = int((values > ZERO * values[0].clamp_min(_HEARD)).sum()) if len(values) else 0
    found: Tensor = directions[rank:]
    return found


def change(
    run: Run,
    parameters: Mapping[str, Tensor],
    aliases: Mapping[str, str],
    inputs: Sequence[Any],
    other: Callable[[str, Tensor], Tensor],
) -> float:
    """Largest relative change of an output when shaken weights are replaced by others.

    Args:
        run: The model.
        parameters: By canonical name.
        aliases: Canonical name of every name.
        inputs: The flat inputs.
        other: The other weight, of name and weight; it may write into that.
    """
    weights = Weights(parameters, torch.Generator().manual_seed(0))

    def as_it_is(name: str) -> Lazy:
        return Lazy(lambda: weights.value(name))

    def replaced(name: str) -> Lazy:
        return Lazy(lambda: other(name, weights.value(name)))

    found = []
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for make in (as_it_is, replaced):
            torch.manual_seed(0)  # the same chance in both, such as stochastic depth
            found.append(run({n: make(own) for n, own in aliases.items()}, list(inputs)))
    return max((_change(old, new) for old, new in zip(*found, strict=True)), default=0.0)


def _change(old: Tensor, new: Tensor) -> float:
    """The largest change of an entry, beside the largest entry of a usual size."""
    if old.shape != new.shape:
        return float("inf")
    differs = ~((old == new) | (old.isnan() & new.isnan()))
    if not bool(differs.any()):
        return 0.0
    moved = float((new - old)[differs].abs().max())
    usual = old[_ordinary(old)].abs()
    size = float(usual.max()) if usual.numel() else 0.0
    return float("inf") if math.isnan(moved) else moved / (size or 1.0)


def scaled_by(exponents: Mapping[str, float | Tensor]) -> Callable[[str, Tensor], Tensor]:
    """For `change`: weights times 2 to their exponents, which is exact if those are whole.

    An exponent is a number, or a tensor that is broadcast to its weight.
    """

    def other(name: str, weight: Tensor) -> Tensor:
        power = exponents.get(name, 0)
        if isinstance(power, Tensor):
            one = torch.ones(power.shape, dtype=torch.float64)
            return weight.mul_(torch.ldexp(one, power))  # `exp2` need not be exact
        return weight.mul_(2.0**power)

    return other


def redrawn(names: Container[str]) -> Callable[[str, Tensor], Tensor]:
    """For `change`: other weights of the same signs under some names."""

    def other(name: str, weight: Tensor) -> Tensor:
        if name not in names:
            return weight
        noise = torch.randn(
            weight.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
        )
        return weight.mul_(noise.mul_(_REDRAWN).exp_())

    return other
