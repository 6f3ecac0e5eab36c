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
from etaeff.theory._models._process import Mixing

_NEGLIGIBLE: Final = 1e-8  # below this drift the limit is better than eigenvalues near 1
_COMPLEX_STEP: Final = 1e-30

Complex = NDArray[np.complex128]


class Step(NamedTuple):
    """Constants of one step of the second moments: the update, λ inside its gradient, and a."""

    mixing: Mixing
    l2: FloatArray
    a: FloatArray


def step_at(mixing: Mixing, x: FloatArray, *, decay: str) -> Step:
    """The step that takes the share x of the weight, from the gradient or directly."""
    if decay == "l2":
        return Step(mixing, x, np.ones(()))
    return Step(mixing, np.zeros(()), 1 - x)


def advance(
    step: Step, r: Complex, m: Complex, v: Complex, noise: Complex, *, h: Complex
) -> tuple[Complex, Complex, Complex]:
    """R, M and V after a step of length h with gradient noise of squared norm `noise`."""
    (mu, kappa, e, f), l2, a = step
    pull = l2**2 * r + noise
    along = e * l2 * r + f * m
    step_sq = e**2 * pull + 2 * e * f * l2 * m + f**2 * v
    step_buffer = e * kappa * pull + (e * mu + f * kappa) * l2 * m + f * mu * v
    return (
        a**2 * r - 2 * a * h * along + h**2 * step_sq,
        a * (mu * m + kappa * l2 * r) - h * step_buffer,
        mu**2 * v + 2 * mu * kappa * l2 * m + kappa**2 * pull,
    )


def jacobian_of(
    recursion: Callable[..., tuple[Complex, ...]], point: tuple[FloatArray, ...]
) -> FloatArray:
    """Derivative at `point` to the last digit, by complex steps; two new last axes."""
    columns = []
    for i in range(len(point)):
        moved = [p + 1j * _COMPLEX_STEP * (i == j) for j, p in enumerate(point)]
        columns.append(np.stack(np.broadcast_arrays(*recursion(*moved)), axis=-1).imag)
    return np.asarray(np.stack(columns, axis=-1) / _COMPLEX_STEP, dtype=np.float64)


def slowest_half_life(jacobian: FloatArray, slow_rate: FloatArray) -> FloatArray:
    """Steps until the slowest mode halves; NaN if it does not.

    By its limit ln 2/`slow_rate` where that is tiny.
    """
    finite = np.asarray(np.isfinite(jacobian).all((-2, -1)))
    radius = np.abs(np.linalg.eigvals(np.where(finite[..., None, None], jacobian, 0))).max(-1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        steps = np.where(finite & (radius < 1), -np.log(2) / np.log(radius), np.nan)
        return np.asarray(np.where(slow_rate < _NEGLIGIBLE, np.log(2) / slow_rate, steps))
