r"""What random batches say of the symmetries, in float64.

For a symmetry s any loss has $\sum_p s_p u_p = 0$ with $u_p = \langle\theta_p, \nabla_p\rangle$, at
any weights. So weights are shaken first: a bias that starts at zero would have u = 0 and show
nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from etaeff.symmetry._measurement._float64 import Run, double
from etaeff.symmetry._measurement._weights import Lazy, Weights

_OUTLIER: Final = 1e6
_VARIED: Final = 0.5


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
        kept = ordinary(own)
        if moving and moving[i].shape == own.shape:
            kept &= moving[i]
        total += float(kept.sum().sqrt() * own[kept].norm())
    return total


def ordinary(own: Tensor) -> Tensor:
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
