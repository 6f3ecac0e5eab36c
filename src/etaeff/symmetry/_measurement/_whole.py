"""Whether gradients tell all: they know nothing of a number that leaves torch, or is detached.

In a graph neither is lost. A model that no tracer follows is run as it is, and there a derivative
by differences tells: along a random direction all that moves an output takes part in it.
"""

from math import log
from typing import Final

import torch
from torch import Tensor

from etaeff.symmetry._measurement._experiment import Experiment
from etaeff.symmetry._measurement._weights import Weights

_STEP: Final = 1e-5  # of powers of two; the error is its square, and rounding over it
_DIFFERENCE: Final = 1e-4  # of the sizes that take part


def gradients_are_whole(experiment: Experiment) -> bool:
    """Whether autograd's derivative along random exponents is that of differences."""
    free = experiment.free
    noise = torch.randn(len(free), generator=torch.Generator().manual_seed(1)).tolist()
    exponents = dict(zip(free, noise, strict=True))

    def functional(step: float) -> tuple[Tensor, Weights]:
        generator = torch.Generator().manual_seed(0)
        powers = {name: step * power for name, power in exponents.items()}
        weights = Weights(
            experiment.parameters, generator, detailed=False, held=experiment.held, powers=powers
        )
        torch.manual_seed(0)
        with torch.autograd.graph.saved_tensors_hooks(weights.pack, weights.unpack):
            outputs = experiment.outputs(weights.lazy, experiment.inputs)
        drawn = (torch.randn(y.shape, generator=generator, dtype=torch.float64) for y in outputs)
        products = [(r.to(y.device) * y).sum().cpu() for r, y in zip(drawn, outputs, strict=True)]
        return torch.stack(products).sum(), weights

    value, weights = functional(0.0)
    if not value.requires_grad:
        return False
    value.backward()
    found = {name: sums[0].sum(1).tolist() for name, sums in weights.sums().items()}
    derivative = log(2) * sum(exponents[name] * found[name][0] for name in free)
    size = sum(abs(exponents[name]) * (found[name][1] * found[name][2]) ** 0.5 for name in free)
    with torch.no_grad():
        difference = float(functional(_STEP)[0] - functional(-_STEP)[0]) / (2 * _STEP)
    return bool(abs(difference - derivative) <= _DIFFERENCE * size)
