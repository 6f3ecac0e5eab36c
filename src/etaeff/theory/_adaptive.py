r"""Adam and RMSProp with L2 inside the gradient: the step length depends on where it leads.

The root mean square s of the gradient's entries divides the step, so weights move as under SGD
with the rate h = η/s, and s itself depends on the radius that results:
$s^2 = (G/r^2 + \lambda^2 r^2)/C$. The second moment is taken at its mean, which is exact as
β₂ → 1 (Adam) or α → 1 (RMSProp).
"""

from typing import Final, NamedTuple

import numpy as np

from etaeff._checks.numbers import FloatArray
from etaeff.theory.settings._update_rule import UpdateRule

_BISECTIONS: Final = 60  # of an interval of 100 in ln z: down to the last digit


class AdaptiveState(NamedTuple):
    """Where the feedback of the radius on the step length comes to rest.

    Attributes:
        shrinkage: z = hλ, what decay would take from w a step if momentum did not delay it.
        radius: r.
    """

    shrinkage: FloatArray
    radius: FloatArray


def buffer_shape(rule: UpdateRule) -> tuple[FloatArray, FloatArray, FloatArray]:
    """μ, κ and the factor of both in the stationary radius, 1 − μ over κ."""
    if rule.name == "rmsprop":
        mu = rule["momentum"]
        return mu, np.ones(()), 1 - mu
    beta1 = rule["betas"][0]
    return beta1, 1 - beta1, np.ones(())


def adaptive_state(
    rule: UpdateRule, *, lr: FloatArray, wd: FloatArray, dim: FloatArray, grad_norm_sq: FloatArray
) -> AdaptiveState:
    r"""Solve radius and step length together.

    SGD's law with h for η, $r^4 = zG / (\lambda^2 k (2 - cz))$, and h²s² = η² leave

    $$z^3 (k(2 - cz) + z)^2 = k(2 - cz)\,\eta^4 C^2 \lambda^2 / G, \qquad
      r^2 = \frac{\eta^2 C}{z\,(k(2 - cz) + z)},$$

    with k = (1 − μ)/κ and c = κ/(1 + μ). The left side grows with z and the right side falls,
    so there is one root in (0, 2/c); for small z it is z³ = η⁴C²λ²/(2kG).
    """
    mu, kappa, k = buffer_shape(rule)
    c = kappa / (1 + mu)
    strength = 4 * np.log(lr) + 2 * np.log(dim) + 2 * np.log(wd) - np.log(grad_norm_sq)

    def excess(u: FloatArray) -> FloatArray:
        z = np.exp(u)
        room = k * (2 - c * z)
        return np.asarray(3 * u + 2 * np.log(room + z) - np.log(room) - strength)

    high = np.broadcast_to(np.log(2 / c), np.broadcast_shapes(strength.shape, np.shape(k * c)))
    high = high - 1e-12  # left of where the right side vanishes, whatever the rounding
    # The root of the law for small z is never far above, nor below by more than the factors.
    low = np.minimum((strength - np.log(2 * k)) / 3 - 50, high - 50)
    high = np.minimum(high, low + 100)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        above = excess(middle) > 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    u = (low + high) / 2
    radius_sq = 2 * np.log(lr) + np.log(dim) - u - np.log(k * (2 - c * np.exp(u)) + np.exp(u))
    return AdaptiveState(np.exp(u), np.exp(radius_sq / 2))
