"""What is measured on a stack's normalised weights while it trains."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from etaeff.geometry import angle, norm
from etaeff.records import Trial
from etaeff.studies.engine._architecture import Architecture
from etaeff.studies.engine._networks import logits
from etaeff.theory import radius_power

RESCALE_FACTORS = (2.0, 0.5, 1000.0)
# Batch normalisation in torch refuses ε = 0. This is next to nothing against any variance but
# that of a channel that died, whose weight may have decayed to 1e-15 and less.
NO_EPS = 1e-30


class LayerMeans(NamedTuple):
    """Means over the measured steps; every field has shape (T,)."""

    radius: Tensor
    radius_4: Tensor
    effective_lr: Tensor
    angle: Tensor
    grad_norm_sq: Tensor


class LayerMeter:
    """Averages radius, effective rate, angle and gradient of one layer over an epoch.

    Use `before` with the weight and gradient that a step starts from, then `after` with the
    weight that it ends at; `means` returns the averages and starts anew.

    Args:
        trials: One for each network of the stack.
        dims: The axes of the stacked weight that form one block.
    """

    def __init__(self, trials: Sequence[Trial], dims: tuple[int, ...]) -> None:
        self._dims = dims
        self._power = radius_power(trials[0].setting.optimizer)
        self._lr = torch.tensor([trial.setting.lr for trial in trials])
        self._sum = torch.zeros(len(LayerMeans._fields), len(trials))
        self._count = 0

    def before(self, w: Tensor, gradient: Tensor, factors: Sequence[float]) -> None:
        """Take the state before a step whose rate is `factors[i]` times trial i's."""
        r = norm(w, self._dims)
        lr = self._lr * torch.tensor(factors)
        radius = _mean(r)
        self._w = w.clone()
        self._values = [
            radius,
            _mean(r**4),
            # Of the mean radius: the mean of η/r² would be that of the channels that died,
            # whose weights decay to zero because ReLU cuts their gradient off.
            lr / radius**self._power,
            _mean((r * norm(gradient, self._dims)) ** 2),
        ]

    def after(self, w: Tensor) -> None:
        """Take the weight after the step."""
        # A weight that has decayed to zero has no direction and gives NaN.
        turned = (angle(self._w, w, self._dims) ** 2).flatten(1).nanmean(dim=1)
        self._sum += torch.stack([*self._values, turned])
        self._count += 1

    def means(self) -> LayerMeans:
        """Averages since the last call; the angle's is the root mean square."""
        r, r4, eta, g, turned = self._sum / self._count
        self._sum, self._count = torch.zeros_like(self._sum), 0
        return LayerMeans(r, r4, eta, turned.sqrt(), g)


def _mean(x: Tensor) -> Tensor:
    """The mean of each network's entries, shape (T,)."""
    return x.flatten(1).mean(dim=1)


def output_change(
    architecture: Architecture,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    *,
    factor: float,
    eps: float,
) -> Tensor:  # (T,)
    r"""How far the outputs move when all normalised weights are scaled by `factor`.

    $$\max |f(\alpha w) - f(w)| / \max |f(w)|$$ in float64, with the batch's own statistics.
    """
    double = {name: p.double() for name, p in parameters.items()}
    scaled = {
        name: p * factor if name in architecture.weight_shapes else p for name, p in double.items()
    }
    reference = logits(architecture, double, x.double(), eps=eps)
    change = (logits(architecture, scaled, x.double(), eps=eps) - reference).abs()
    return change.amax(dim=(1, 2)) / reference.abs().amax(dim=(1, 2))
