"""Samples by differences, of a model whose gradients do not tell all."""

from collections.abc import Mapping, Sequence
from math import log
from typing import Any, Final

import torch
from torch import Tensor

from etaeff.symmetry._measurement._experiment import Experiment
from etaeff.symmetry._measurement._samples import NOT_TAKEN, Sample, varied
from etaeff.symmetry._measurement._weights import Lazy, Weights

STEP: Final = 1e-4  # of powers of two; the error is its square, and rounding over it
PRECISION: Final = 1e-6  # of what is found
_LEAST: Final = 1e-2  # of the outputs


def difference_samples(
    experiment: Experiment,
    *,
    losses: int,
    seed: int,
    powers: Mapping[str, float],
) -> list[Sample]:
    """Several random losses at one point; each parameter is scaled up and down for it.

    Args:
        experiment: The model, and what it is run on.
        losses: How many.
        seed: Of the shakes, losses and inputs.
        powers: Of two, by canonical name.

    Returns:
        The samples that are finite.
    """
    generator = torch.Generator().manual_seed(seed)
    for inputs in (varied(experiment.inputs, generator, signs=seed % 2 == 0), experiment.inputs):
        try:
            derivatives, usual = _derivatives(experiment, inputs, seed, powers)
            drawn = [_sample(derivatives, usual, generator) for _ in range(losses)]
        except NOT_TAKEN:
            continue
        return [sample for sample in drawn if sample.is_finite]
    return []


def _derivatives(
    experiment: Experiment, inputs: Sequence[Any], seed: int, powers: Mapping[str, float]
) -> tuple[Mapping[str, Tensor], float]:
    """How all outputs change with the logarithm of each parameter, and the size of the outputs."""

    def outputs(name: str, step: float) -> Tensor:
        scaled = {**powers, name: powers.get(name, 0.0) + step}
        noise = torch.Generator().manual_seed(seed)
        weights = Weights(
            experiment.parameters, noise, detailed=False, held=experiment.held, powers=scaled
        )
        torch.manual_seed(seed)
        found = experiment.outputs(lambda first: Lazy(lambda: weights.value(first)), inputs)
        return torch.cat([y.reshape(-1).cpu() for y in found])

    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        usual = float(outputs("", 0.0).norm())
        steps = ((name, outputs(name, STEP) - outputs(name, -STEP)) for name in experiment.free)
        return {name: change / (2 * STEP * log(2)) for name, change in steps}, usual


def _sample(derivatives: Mapping[str, Tensor], usual: float, generator: torch.Generator) -> Sample:
    """A random functional of the outputs."""
    length = max(map(len, derivatives.values()), default=0)
    functional = torch.randn(length, generator=generator, dtype=torch.float64)
    return Sample(0.0, {name: [_sums(functional, d, usual)] for name, d in derivatives.items()})


def _sums(functional: Tensor, derivative: Tensor, usual: float) -> Tensor:
    """What a `Sample` has of a tensor: ⟨θ, ∇⟩, and two whose product is what it could be."""
    # A derivative far below the outputs may be their rounding.
    size = functional.norm() * derivative.norm().clamp_min(_LEAST * usual)
    return torch.stack([functional.dot(derivative), size, size]).unsqueeze(1)
