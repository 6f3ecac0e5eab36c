r"""How fast a disturbed radius returns to equilibrium.

The second moments R = E‖w‖², M = E⟨w, v⟩, V = E‖v‖² of weight and buffer (and the mean square of
the gradient, for optimisers that divide by its root) follow a recursion whose fixed point is the
equilibrium. The half-life is that of the slowest mode of its derivative there.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from etaeff._arguments import FloatArray
from etaeff.theory._adaptive import buffer_shape
from etaeff.theory._buffer import buffer_filter, moments, step_weights
from etaeff.theory._optimizers import Rule

_SLOW: Final = 1e-7  # below this drift the limit is better than eigenvalues near 1
_COMPLEX_STEP: Final = 1e-30

_Array = NDArray[np.complex128]


class _Mixing(NamedTuple):
    """Constants of one step: μ and κ of the buffer, e and f of the step, L2 and 1 − ηλ."""

    mu: FloatArray | _Array
    kappa: FloatArray | _Array
    e: FloatArray | _Array
    f: FloatArray | _Array
    l2: FloatArray | _Array
    a: FloatArray | _Array


def half_life_of_known_updates(x: FloatArray) -> FloatArray:
    """Half-life of ‖w‖² where updates have one size at any radius: it loses (1 − x)² a step."""
    with np.errstate(divide="ignore"):  # x = 1 forgets at once
        return np.asarray(-np.log(2) / (2 * np.log1p(-np.minimum(x, 2 - x))))  # of |1 − x|


def half_life_of_buffer(rule: Rule, x: FloatArray, kappa: FloatArray) -> FloatArray:
    """Half-life of ‖w‖² under SGD; for small x it is ln 2 over 4x, times 1 − μ with L2."""
    process = buffer_filter(rule, x, kappa=kappa)
    noise = 1 / moments(process).variance  # so that the radius is 1
    mu = rule["momentum"]
    e, f = step_weights(mu, kappa, nesterov=rule.arguments.get("nesterov", False))
    l2, a = (x, np.ones(())) if rule.decay == "l2" else (np.zeros(()), 1 - x)
    mixing = _Mixing(mu, kappa, e, f, l2, a)

    def step(r: _Array, m: _Array, v: _Array) -> tuple[_Array, ...]:
        return _advance(mixing, r, m, v, noise / r, h=np.ones((), complex))

    ones, zeros = np.ones(noise.shape), np.zeros(noise.shape)
    jacobian = _jacobian(step, (ones, zeros, zeros))  # M and V enter linearly: any will do
    return _half_life(jacobian, 4 * process.one_minus / (1 - process.det))


def half_life_of_adaptive(rule: Rule, z: FloatArray) -> FloatArray:
    """Half-life of ‖w‖² under Adam or RMSProp with L2; for small z it is ln 2 over 3z."""
    mu, kappa, k = buffer_shape(rule)
    c = kappa / (1 + mu)
    noise, turn = z * k * (2 - c * z), c * z  # of the law of SGD at radius 1, with h = 1
    mixing = _Mixing(mu, kappa, kappa, mu, z, np.ones(()))
    smoothing = rule["alpha"] if rule.name == "rmsprop" else rule["betas"][1]

    def step(r: _Array, m: _Array, v: _Array, square: _Array) -> tuple[_Array, ...]:
        entry = (noise / r + z**2 * r) / (noise + z**2)
        square = smoothing * square + (1 - smoothing) * entry
        h = square**-0.5
        if rule.name == "rmsprop":  # its buffer holds gradients that are divided already
            after = _advance(mixing._replace(kappa=h, e=h), r, m, v, noise / r, h=h**0)
        else:
            after = _advance(mixing, r, m, v, noise / r, h=h)
        return (*after, square)

    with np.errstate(invalid="ignore"):
        m = np.where(mu > 0, (turn - kappa * z) / np.where(mu > 0, mu, 1), 0)
    ones = np.ones(np.broadcast_shapes(noise.shape, np.shape(smoothing)))
    return _half_life(_jacobian(step, (ones, m * ones, 2 * turn * ones, ones)), 3 * z / k)


def _advance(
    mixing: _Mixing, r: _Array, m: _Array, v: _Array, noise: _Array, *, h: _Array
) -> tuple[_Array, _Array, _Array]:
    """R, M and V after a step of length h with gradient noise of squared norm `noise`."""
    mu, kappa, e, f, l2, a = mixing
    pull = l2**2 * r + noise
    along = e * l2 * r + f * m
    step_sq = e**2 * pull + 2 * e * f * l2 * m + f**2 * v
    step_buffer = e * kappa * pull + (e * mu + f * kappa) * l2 * m + f * mu * v
    return (
        a**2 * r - 2 * a * h * along + h**2 * step_sq,
        a * (mu * m + kappa * l2 * r) - h * step_buffer,
        mu**2 * v + 2 * mu * kappa * l2 * m + kappa**2 * pull,
    )


def _jacobian(step: Callable[..., tuple[_Array, ...]], point: tuple[FloatArray, ...]) -> FloatArray:
    """Derivative of `step` at `point` to the last digit, by complex steps; two new last axes."""
    columns = []
    for i in range(len(point)):
        moved = [p + 1j * _COMPLEX_STEP * (i == j) for j, p in enumerate(point)]
        columns.append(np.stack(np.broadcast_arrays(*step(*moved)), axis=-1).imag / _COMPLEX_STEP)
    return np.asarray(np.stack(columns, axis=-1), dtype=np.float64)


def _half_life(jacobian: FloatArray, slow_rate: FloatArray) -> FloatArray:
    """Steps until the slowest mode halves; by its limit ln 2/`slow_rate` where that is tiny."""
    radius = np.abs(np.linalg.eigvals(jacobian)).max(-1)
    with np.errstate(divide="ignore"):
        found = np.where(radius < 1, -np.log(2) / np.log(radius), np.inf)
    return np.asarray(np.where(slow_rate < _SLOW, np.log(2) / slow_rate, found))
