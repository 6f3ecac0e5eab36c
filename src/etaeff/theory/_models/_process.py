r"""A weight under an update with a buffer, as a linear filter of the gradient noise.

The weight w and the buffer v take a step together, with g the gradient at w,

$$v' = \mu v + \kappa\,(g + \lambda w), \qquad
  w' = a w - \eta\,(e\,(g + \lambda w) + f v),$$

where κ weighs the gradient in the buffer, and (e, f) is (κ, μ) where the step is v' (heavy ball,
Adam). L2 has a = 1; decoupled decay has a = 1 − ηλ and no λ elsewhere.

Without v, this is $w'' = (\operatorname{tr} A)\, w' - (\det A)\, w + c_0 g' + c_1 g$, an
ARMA(2, 1) process, whose variance and first autocorrelation are known in closed form.
"""

from typing import NamedTuple

import numpy as np

from etaeff._checks.numbers import FloatArray


class Mixing(NamedTuple):
    """Constants of an update: μ and κ of the buffer, and e and f of the step."""

    mu: FloatArray
    kappa: FloatArray
    e: FloatArray
    f: FloatArray


class Filter(NamedTuple):
    """The ARMA(2, 1) process that w follows, in units of η.

    Attributes:
        det: det A.
        one_minus: det(I − A) = 1 − tr A + det A, computed without cancellation.
        c0: Weight of the new gradient, over η.
        c1: Weight of the one before, over η.
    """

    det: FloatArray
    one_minus: FloatArray
    c0: FloatArray
    c1: FloatArray


class Moments(NamedTuple):
    """Stationary second moments of w.

    Attributes:
        variance: E‖w‖² for η = 1 and gradient noise of variance 1.
        decorrelation: 1 − cosine of successive weights, computed without cancellation.
    """

    variance: FloatArray
    decorrelation: FloatArray


def process_of(mixing: Mixing, x: FloatArray, *, decay: str) -> Filter:
    """The process that w follows at x = ηλ, the noise held at its level.

    Args:
        mixing: The update.
        x: ηλ of the step, in (0, 2).
        decay: `"l2"` or `"decoupled"`.
    """
    mu, kappa, e, f = mixing
    c0, c1 = -e, mu * e - f * kappa
    if decay == "decoupled":
        return Filter((1 - x) * mu, x * (1 - mu), c0, c1)
    return Filter(mu - x * c1, x * (e * (1 - mu) + f * kappa), c0, c1)


def is_stationary(process: Filter) -> FloatArray:
    """Whether the weights settle: all roots of z² − (tr A) z + det A lie inside the circle."""
    trace_plus = 2 * (1 + process.det) - process.one_minus  # 1 + tr A + det A
    return np.asarray((np.abs(process.det) < 1) & (process.one_minus > 0) & (trace_plus > 0))


def moments(process: Filter) -> Moments:
    r"""Variance and decorrelation of a stationary ARMA(2, 1) process, exactly.

    With p = det(I − A), q = 1 − det A, s = 1 + det A, and N = s(c₀ + c₁)² − 2c₀c₁p,

    $$E\|w\|^2 = \frac{N}{q\,p\,(2s - p)}, \qquad
      1 - \cos = p\,\frac{(c_0 + c_1)^2 - c_0 c_1 (2q + p)}{N}.$$

    These are the Yule-Walker equations, solved: all differences of nearly equal numbers have
    been carried out by hand, so that the results keep their digits for x as small as 1e-300.
    """
    det, p, c0, c1 = process
    q, s, total = 1 - det, 1 + det, (c0 + c1) ** 2
    n = s * total - 2 * c0 * c1 * p
    return Moments(n / (q * p * (2 * s - p)), p * (total - c0 * c1 * (2 * q + p)) / n)
