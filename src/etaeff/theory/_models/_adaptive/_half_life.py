"""How fast a weight settles whose step is divided by a second moment that remembers older radii."""

from typing import cast

import numpy as np

from etaeff._checks.numbers import FloatArray
from etaeff.theory._models._adaptive._equilibrium import growth_of
from etaeff.theory._models._adaptive._updates import DividedUpdate, update_of
from etaeff.theory._models._process import moments, process_of
from etaeff.theory._models._relaxation import (
    Complex,
    Step,
    advance,
    jacobian_of,
    slowest_half_life,
    step_at,
)
from etaeff.theory.settings._update_rule import UpdateRule


def half_life(rule: UpdateRule, x: FloatArray) -> FloatArray:
    """Half-life of ‖w‖² under an update that is divided by a lagging second moment.

    Where that keeps up, and x is small, it is ln 2 over 3x with L2 and over 2x with decoupled
    decay; where it does not, it sets the pace.

    Args:
        rule: The update rule.
        x: What decay takes from w a step, momentum aside: hλ with L2, ηλ decoupled.
    """
    update = update_of(rule)
    mu, kappa, _, _ = update.mixing
    step = step_at(update.mixing, x, decay=rule.decay)
    if rule.divides_decay:
        growth = growth_of(update)  # of the radius 1, with a rate of 1
        noise, turn = growth.inverse_variance(x), growth.turn(x)
        slow_rate = 3 * x / ((1 - mu) / kappa)
    else:
        variance, turn = moments(process_of(update.mixing, x, decay=rule.decay))
        noise, slow_rate = 1 / variance, 2 * x
    m, v = _inner_products(update, step, turn, noise)
    smoothing = update.smoothing

    def recursion(r: Complex, m: Complex, v: Complex, square: Complex) -> tuple[Complex, ...]:
        entry = (noise / r + step.l2**2 * r) / (noise + step.l2**2)
        square = smoothing * square + (1 - smoothing) * entry
        return (*_divided(update, step, r, m, v, noise / r, square), square)

    ones = np.ones(np.broadcast_shapes(np.shape(noise), np.shape(smoothing), np.shape(mu)))
    return slowest_half_life(jacobian_of(recursion, (ones, m * ones, v * ones, ones)), slow_rate)


def _divided(
    update: DividedUpdate,
    step: Step,
    r: Complex,
    m: Complex,
    v: Complex,
    noise: Complex,
    square: Complex,
) -> tuple[Complex, ...]:
    """R, M and V after a step that is divided by the root of `square`."""
    h = square**-0.5
    if not update.adds_divided:
        return advance(step, r, m, v, noise, h=h)
    rate = cast("FloatArray", h)  # complex, since it is differentiated
    mixing = step.mixing._replace(kappa=rate, e=rate)
    return advance(step._replace(mixing=mixing), r, m, v, noise, h=h**0)


def _inner_products(
    update: DividedUpdate, step: Step, turn: FloatArray, noise: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """M and V at the fixed point with radius 1 and a rate of 1."""
    (mu, kappa, e, f), l2, a = step
    along = a - 1 + turn  # of w and the step, from ⟨w, w'⟩ = 1 − turn
    m = np.where(f > 0, (along - e * l2) / np.where(f > 0, f, 1), 0)
    if update.mixes_gradient:
        pull = l2**2 + noise
        return m, np.asarray((2 * mu * kappa * l2 * m + kappa**2 * pull) / (1 - mu**2))
    return m, np.asarray(1 - a**2 + 2 * a * along)  # ‖v'‖², which is that of the step
