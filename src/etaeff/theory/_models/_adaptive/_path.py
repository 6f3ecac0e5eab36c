"""A run whose steps are divided by a second moment that lags behind, step by step."""

from math import sqrt

from etaeff._checks.numbers import FloatArray
from etaeff.theory._models._adaptive._updates import DividedUpdate, Steps, update_of
from etaeff.theory._models._path import Path, Record, decay_of_steps, rows
from etaeff.theory.settings._update_rule import UpdateRule


def path(
    rule: UpdateRule, eta: FloatArray, lam: FloatArray, radius: float, dim: float, g: float
) -> Path:
    """The run of one block."""
    update = update_of(rule)
    kept, l2 = decay_of_steps(rule, eta, lam)
    steps = update.steps(eta)
    if rule.divides_decay:
        return _buffer_path(update, steps, kept, l2, radius, dim=dim, g=g, thinning=1.0)
    if update.adds_divided:
        # Under decoupled decay the step is the same at any scale of the gradient.
        thinning = update.thinning()
        return _buffer_path(update, steps, kept, l2, radius, dim=dim, g=g, thinning=thinning)
    return _parts_path(update, steps, kept, radius, dim)


def _buffer_path(
    update: DividedUpdate,
    steps: Steps,
    kept: FloatArray,
    l2: FloatArray,
    radius: float,
    *,
    dim: float,
    g: float,
    thinning: float,
) -> Path:
    """R, M, V of weight and buffer, and the second moment of the gradient's entries."""
    mu, kappa = float(update.mixing.mu), float(update.mixing.kappa)
    smoothing, keeps_divided = float(update.smoothing), update.adds_divided
    mixes = update.mixes_gradient
    fresh = (1 - smoothing) / dim
    r, m, v, square = radius**2, 0.0, 0.0, 0.0
    record = Record(r)
    add_r, add_h, add_along, add_length = record.adders()
    for step_rate, a, decay, lead, follow in rows(steps.rate, kept, l2, steps.lead, steps.follow):
        h, noise = step_rate, g / r
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
        if mixes:
            across = kappa * noise + decay * along  # ⟨g + λw, v'⟩
            with_buffer = lead * across + follow * v
            length_sq = lead * (lead * (noise + decay * decay * r) + follow * across)
            length_sq += follow * with_buffer
            along = lead * decay * r + follow * along
        m = a * m - h * with_buffer
        r = a * a * r + h * (h * length_sq - 2 * a * along)
        add_r(r)
        add_h(h)
        add_along(along)
        add_length(length_sq)
    return record.path(kept)


def _parts_path(
    update: DividedUpdate, steps: Steps, kept: FloatArray, radius: float, dim: float
) -> Path:
    """An update with decoupled decay, its buffer the sum of two, each with a memory of its own.

    The second moment follows the radius with its lag, and its fluctuation is in the two parts, as
    the memory has them for equilibrium.
    """
    drive = update.drive()
    slow, fast = map(float, drive.decays)
    slow_fed, fast_fed = map(float, drive.fed)
    slow_shared, fast_shared, lone = map(float, (*drive.shared, drive.lone))
    mixes = update.mixes_gradient
    smoothing = float(update.smoothing)
    r, square = radius**2, 0.0
    m1 = m2 = v1 = v2 = 0.0
    record = Record(r)
    add_r, add_h, add_along, add_length = record.adders()
    fresh = (1 - smoothing) / dim
    for step_rate, a, lead, follow in rows(steps.rate, kept, steps.lead, steps.follow):
        noise = 1 / r  # the gradient's scale is divided out again, so any will do
        square = smoothing * square + fresh * noise
        h = step_rate / sqrt(square)
        v1 = slow * slow * v1 + slow_fed * noise
        v2 = fast * fast * v2 + fast_fed * noise
        m1, m2 = slow * m1, fast * m2
        along, length_sq, with1, with2 = m1 + m2, v1 + v2, v1, v2
        if mixes:
            led1, led2 = lead * slow_shared * noise, lead * fast_shared * noise
            with1, with2 = led1 + follow * v1, led2 + follow * v2  # of the step with each part
            length_sq = lead * lead * lone * noise + follow * (led1 + led2 + with1 + with2)
            along *= follow
        m1, m2 = a * m1 - h * with1, a * m2 - h * with2
        r = a * a * r + h * (h * length_sq - 2 * a * along)
        add_r(r)
        add_h(h)
        add_along(along)
        add_length(length_sq)
    return record.path(kept)
