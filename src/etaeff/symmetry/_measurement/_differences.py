"""Samples by differences, of a model whose gradients do not tell all."""

from collections.abc import Collection, Mapping, Sequence
from math import log
from typing import Any, Final

import torch
from torch import Tensor

from etaeff.symmetry._measurement._float64 import Run
from etaeff.symmetry._measurement._samples import Sample, varied
from etaeff.symmetry._measurement._weights import Lazy, Weights

STEP: Final = 1e-4  # of powers of two; the error is its square, and rounding over it
PRECISION: Final = 1e-6  # of what is found
_LEAST: Final = 1e-2  # of the outputs


def difference_samples(
    run: Run,
    parameters: Mapping[str, Tensor],
    aliases: Mapping[str, str],
    inputs: Sequence[Any],
    *,
    losses: int,
    seed: int,
    powers: Mapping[str, float],
    held: Collection[str] = (),
) -> list[Sample]:
    """Several random losses at one point; each parameter is scaled up and down for it.

    Args:
        run: The model.
        parameters: By canonical name.
        aliases: Canonical name of every name, tied ones too.
        inputs: The flat inputs that it was traced with.
        losses: How many.
        seed: Of the shakes, losses and inputs.
        powers: Of two, by canonical name.
        held: Names of parameters that are taken as they are.

    Returns:
        The samples that are finite.
    """
    generator = torch.Generator().manual_seed(seed)
    others = varied(inputs, generator, signs=seed % 2 == 0)

    def outputs(name: str, step: float) -> Tensor:
        scaled = {**powers, name: powers.get(name, 0.0) + step}
        noise = torch.Generator().manual_seed(seed)
        weights = Weights(parameters, noise, detailed=False, held=held, powers=scaled)
        made = {alias: _made(weights, first) for alias, first in aliases.items()}
        torch.manual_seed(seed)
        return torch.cat([y.reshape(-1).cpu() for y in run(made, others)])

    free = [name for name in parameters if name not in held]
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        derivatives = {
            name: (outputs(name, STEP) - outputs(name, -STEP)) / (2 * STEP * log(2))
            for name in free
        }
        usual = float(outputs(free[0], 0.0).norm()) if free else 0.0
    lengths = {len(derivative) for derivative in derivatives.values()}
    drawn = []
    for length in lengths if len(lengths) == 1 else ():
        for _ in range(losses):
            functional = torch.randn(length, generator=generator, dtype=torch.float64)
            sums = {name: [_sums(functional, d, usual)] for name, d in derivatives.items()}
            drawn.append(Sample(0.0, sums))
    return [sample for sample in drawn if sample.is_finite]


def _made(weights: Weights, name: str) -> Lazy:
    """A weight, without a gradient."""
    return Lazy(lambda: weights.value(name))


def _sums(functional: Tensor, derivative: Tensor, usual: float) -> Tensor:
    """What a `Sample` has of a tensor: ⟨θ, ∇⟩, and two whose product is what it could be."""
    # A derivative far below the outputs may be their rounding.
    size = functional.norm() * derivative.norm().clamp_min(_LEAST * usual)
    return torch.stack([functional.dot(derivative), size, size]).unsqueeze(1)
