r"""How fast a disturbed radius returns to equilibrium.

The second moments R = E‖w‖², M = E⟨w, v⟩, V = E‖v‖² of weight and buffer (and the mean square of
the gradient, for optimisers that divide by its root) follow a recursion whose fixed point is the
equilibrium. The half-life is that of the slowest mode of its derivative there.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from etaeff._checks.numbers import FloatArray
from etaeff.theory._adaptive import buffer_shape
from etaeff.theory._buffer import Filter, buffer_filter, moments, step_weights
from etaeff.theory.settings._update_rule import UpdateRule

_SLOW: Final = 1e-8  # below this drift the limit is better than eigenvalues near 1
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


def half_life_of_buffer(rule: UpdateRule, x: FloatArray, kappa: FloatArray) -> FloatArray:
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


def half_life_of_adaptive(rule: UpdateRule, x: FloatArray) -> FloatArray:
    """Half-life of ‖w‖² under Adam and RMSProp, whose second moment remembers older radii.

    Where it keeps up, and x is small, that is ln 2 over 3x with L2 and over 2x with decoupled
    decay; where it does not, it sets the pace.

    Args:
        rule: The optimiser.
        x: What decay takes from w a step, momentum aside: hλ with L2, ηλ decoupled.
    """
    mu, kappa, k = buffer_shape(rule)
    if rule.decay == "l2":
        c = kappa / (1 + mu)
        # The law of SGD at radius 1, with a rate of 1.
        noise, turn, l2, a = x * k * (2 - c * x), c * x, x, np.ones(())
        slow = 3 * x / k
    else:
        found = moments(Filter((1 - x) * mu, x * (1 - mu), -kappa, np.zeros(())))
        noise, turn, l2, a = 1 / found.variance, found.decorrelation, np.zeros(()), 1 - x
        slow = 2 * x
    mixing = _Mixing(mu, kappa, kappa, mu, l2, a)
    smoothing = rule["alpha"] if rule.name == "rmsprop" else rule["betas"][1]

    def step(r: _Array, m: _Array, v: _Array, square: _Array) -> tuple[_Array, ...]:
        entry = (noise / r + l2**2 * r) / (noise + l2**2)
        square = smoothing * square + (1 - smoothing) * entry
        h = square**-0.5
        if rule.name == "rmsprop":  # its buffer holds gradients that are divided already
            after = _advance(mixing._replace(kappa=h, e=h), r, m, v, noise / r, h=h**0)
        else:
            after = _advance(mixing, r, m, v, noise / r, h=h)
        return (*after, square)

    along = a - 1 + turn  # ⟨w, v'⟩ at the fixed point, from ⟨w, w'⟩ = 1 − turn
    m = np.where(mu > 0, (along - kappa * l2) / np.where(mu > 0, mu, 1), 0)
    v = 1 - a**2 + 2 * a * along
    ones = np.ones(np.broadcast_shapes(np.shape(noise), np.shape(smoothing), np.shape(mu)))
    return _half_life(_jacobian(step, (ones, m * ones, v * ones, ones)), slow)


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
    """Steps until the slowest mode halves; NaN if it does not.

    By its limit ln 2/`slow_rate` where that is tiny.
    """
    finite = np.asarray(np.isfinite(jacobian).all((-2, -1)))
    radius = np.abs(np.linalg.eigvals(np.where(finite[..., None, None], jacobian, 0))).max(-1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = np.where(finite & (radius < 1), -np.log(2) / np.log(radius), np.nan)
        return np.asarray(np.where(slow_rate < _SLOW, np.log(2) / slow_rate, found))
