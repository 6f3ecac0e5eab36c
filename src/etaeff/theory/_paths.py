"""The second moments of one block, step by step, for the three kinds of update.

The loops are plain Python on floats: each step needs the one before, and for some twenty
multiplications a NumPy call costs more than the arithmetic.
"""

from collections.abc import Iterator
from math import sqrt
from typing import Final, NamedTuple

import numpy as np

from etaeff._checks.numbers import FloatArray
from etaeff.theory._adaptive import buffer_shape
from etaeff.theory._buffer import gradient_weight
from etaeff.theory._memory import Memory, memory_of, second_moment_noise
from etaeff.theory.settings._update_rule import UpdateRule

_CHUNK: Final = 65_536  # steps whose coefficients are held as Python numbers at a time
_PARTS: Final = 3  # of an update's memory that are followed one by one


class Path(NamedTuple):
    """‖w‖² before each step and after the last, and the turn of each step in radians."""

    radius_sq: FloatArray
    angle: FloatArray


def buffer_path(
    rule: UpdateRule, eta: FloatArray, lam: FloatArray, radius: float, *, g: float, dim: float = 1.0
) -> Path:
    """SGD, RMSProp and Adam with L2: R, M, V of weight and buffer, and the second moment.

    The recursion of R = ‖w‖², M = ⟨w, v⟩ and V = ‖v‖² is linear but for the noise G/R. The
    optimisers that divide by the root of a second moment divide by one that lags behind.
    """
    adaptive = rule.name != "sgd"
    mu, later_kappa, smoothing = _constants(rule)
    kappa = later_kappa if adaptive else 1.0  # SGD takes the first gradient in whole
    keeps_divided, nesterov = rule.name == "rmsprop", rule.arguments.get("nesterov", False)
    fresh, thinning = (1 - smoothing) / dim, _thinning(rule)
    kept, l2 = _decay(rule, eta, lam)
    r, m, v, square = radius**2, 0.0, 0.0, 0.0
    seen: tuple[list[float], ...] = ([r], [], [], [])
    add_r, add_h, add_along, add_length = (values.append for values in seen)
    for h, a, decay in _rows(_corrected(rule, eta), kept, l2):
        noise = g / r
        if adaptive:
            square = smoothing * square + fresh * (noise + decay * decay * r)
            noise *= thinning
            if keeps_divided:
                kappa = 1 / sqrt(square)
            else:
                h /= sqrt(square)
        old = mu * m
        along = old + kappa * decay * r  # ⟨w, v'⟩
        v = mu * mu * v + kappa * (decay * (along + old) + kappa * noise)
        length_sq = with_buffer = v
        m = along
        if nesterov:  # the step is the gradient and μv'
            across = kappa * noise + decay * along  # ⟨g + λw, v'⟩
            with_buffer = across + mu * v
            length_sq = noise + decay * decay * r + mu * (across + with_buffer)
            along = decay * r + mu * along
        m = a * m - h * with_buffer
        r = a * a * r + h * (h * length_sq - 2 * a * along)
        kappa = later_kappa
        add_r(r)
        add_h(h)
        add_along(along)
        add_length(length_sq)
    radius_sq, step, inner, size_sq = map(np.array, seen)
    return Path(radius_sq, _angle(radius_sq[:-1], kept * radius_sq[:-1], step, inner, size_sq))


def adamw_path(
    rule: UpdateRule, eta: FloatArray, lam: FloatArray, radius: float, dim: float
) -> Path:
    """Adam with decoupled decay: its update as the sum of two, each with a memory of its own.

    The second moment follows the radius with its lag, and its fluctuation is in the two parts,
    as `_memory` has them for equilibrium.
    """
    beta1, beta2 = (float(beta) for beta in rule["betas"])
    slow, fast = beta1, beta1 * beta2
    sizes = [float(part) for part in second_moment_noise(*rule["betas"])]
    size = (1 - beta1) / (1 + beta1)
    slow_noise, fast_noise = (
        size * part * (1 - b * b) for part, b in zip(sizes, (slow, fast), strict=True)
    )
    a, _ = _decay(rule, eta, lam)
    r, square = radius**2, 0.0
    m1 = m2 = v1 = v2 = 0.0
    seen: tuple[list[float], ...] = ([r], [], [], [])
    add_r, add_h, add_along, add_length = (values.append for values in seen)
    fresh = (1 - beta2) / dim
    for rate, kept in _rows(_corrected(rule, eta), a):
        noise = 1 / r  # the gradient's scale is divided out again, so any will do
        square = beta2 * square + fresh * noise
        h = rate / sqrt(square)
        v1 = slow * slow * v1 + slow_noise * noise
        v2 = fast * fast * v2 + fast_noise * noise
        m1, m2 = slow * m1, fast * m2
        along, length_sq = m1 + m2, v1 + v2
        m1, m2 = kept * m1 - h * v1, kept * m2 - h * v2
        r = kept * kept * r + h * (h * length_sq - 2 * kept * along)
        add_r(r)
        add_h(h)
        add_along(along)
        add_length(length_sq)
    radius_sq, step, inner, size_sq = map(np.array, seen)
    return Path(radius_sq, _angle(radius_sq[:-1], a * radius_sq[:-1], step, inner, size_sq))


def known_path(
    rule: UpdateRule, eta: FloatArray, lam: FloatArray, radius: float, dim: float
) -> Path:
    """Lion, Muon, normalised gradients: the update's size is known, and w remembers it."""
    memory = memory_of(rule)
    assert memory.norm_sq is not None
    size_sq = float(memory.norm_sq) * dim
    a, _ = _decay(rule, eta, lam)
    # −⟨w, u⟩/U² before each step, part by part.
    inner = sum(
        (_linear(0.0, b * a, first * eta)[:-1] for first, b in _few_parts(memory, float(a.mean()))),
        start=np.zeros(len(eta)),
    )
    radius_sq = _linear(radius**2, a**2, size_sq * eta * (eta + 2 * a * inner))
    along, length_sq = -size_sq * inner, np.full(len(eta), size_sq)
    return Path(radius_sq, _angle(radius_sq[:-1], a * radius_sq[:-1], eta, along, length_sq))


def _linear(start: float, factors: FloatArray, terms: FloatArray) -> FloatArray:
    """Y_0 = start, then y → factor · y + term; one value more than there are terms."""
    y = start
    seen = [y]
    add = seen.append
    for factor, term in _rows(factors, terms):
        y = factor * y + term
        add(y)
    return np.array(seen)


def _decay(rule: UpdateRule, eta: FloatArray, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What w is multiplied by in a step, and the λ inside the gradient."""
    if rule.decay == "l2":
        return np.ones(len(eta)), lam
    return 1 - eta * lam, np.zeros(len(eta))


def _angle(
    r: FloatArray, kept: FloatArray, h: FloatArray, along: FloatArray, length_sq: FloatArray
) -> FloatArray:
    """Angle from w to aw − hd, without cancellation: r = ‖w‖², kept = ar, along = ⟨w, d⟩."""
    across = np.sqrt(np.maximum(r * length_sq - along**2, 0))
    return np.asarray(np.arctan2(h * across, kept - h * along))


def _constants(rule: UpdateRule) -> tuple[float, float, float]:
    """μ and κ of the buffer, and the smoothing constant of the second moment."""
    if rule.name == "sgd":
        return float(rule["momentum"]), float(gradient_weight(rule)), 0.0
    mu, kappa, _ = buffer_shape(rule)
    smoothing = rule["alpha"] if rule.name == "rmsprop" else rule["betas"][1]
    return float(mu), float(kappa), float(smoothing)


def _corrected(rule: UpdateRule, eta: FloatArray) -> FloatArray:
    """The rate of each step, with Adam's corrections for the empty start of its averages."""
    if rule.name not in ("adam", "adamw"):
        return eta
    beta1, beta2 = (float(beta) for beta in rule["betas"])
    steps = np.arange(1, len(eta) + 1)
    return np.asarray(eta * np.sqrt(1 - beta2**steps) / (1 - beta1**steps))


def _thinning(rule: UpdateRule) -> float:
    """What a second moment that fluctuates leaves of the noise in RMSProp's decoupled updates."""
    if rule.name == "rmsprop" and rule.decay == "decoupled":
        return float(sum(second_moment_noise(np.zeros(()), rule["alpha"])))
    return 1.0


def _few_parts(memory: Memory, a: float) -> list[tuple[float, float]]:
    """The first parts of a memory, and one that stands for the rest: (correlation, decay)."""
    first, decays = memory.first.ravel(), memory.decays.ravel()
    if len(first) > _PARTS and a > 0:
        kept = _PARTS - 1
        rest, total = first[kept:].sum(), (first[kept:] / (1 - a * decays[kept:])).sum()
        # Same correlation of successive updates, same sum over all lags at this decay.
        decay = (1 - rest / total) / a if total > 0 else 0.0
        first, decays = np.append(first[:kept], rest), np.append(decays[:kept], decay)
    return list(zip(first.tolist(), decays.tolist(), strict=True))


def _rows(*columns: FloatArray) -> Iterator[tuple[float, ...]]:
    """Rows of equally long arrays as Python floats, without holding all of them at once."""
    for begin in range(0, len(columns[0]), _CHUNK):
        yield from zip(*(c[begin : begin + _CHUNK].tolist() for c in columns), strict=True)
