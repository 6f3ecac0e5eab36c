r"""The model of updates that are linear in the gradient: SGD, with and without a buffer.

κ = 1 − dampening, and (e, f) is (κ, μ) for heavy ball (the step is v') and (1 + μκ, μ²) for
Nesterov (it is g + λw + μv').
"""

from typing import Final

import numpy as np

from etaeff._checks.numbers import FloatArray, check_shapes, product, result
from etaeff.errors import UsageError
from etaeff.theory._models._model import BareDecay, Model, Rest, Sizes, needed, radius_needs
from etaeff.theory._models._path import Path, Record, decay_of_steps, rows
from etaeff.theory._models._process import Filter, Mixing, is_stationary, moments, process_of
from etaeff.theory._models._relaxation import (
    Complex,
    advance,
    jacobian_of,
    slowest_half_life,
    step_at,
)
from etaeff.theory.settings._update_rule import UpdateRule

_REFUSED_BY_TORCH: Final = "torch.optim.SGD refuses Nesterov momentum with dampening."
_POWER: Final = 0.25  # of η in the radius


def _mixing(rule: UpdateRule) -> Mixing:
    """The update's constants; without momentum torch has no buffer to damp, and κ is 1."""
    mu = rule["momentum"]
    kappa = np.where(mu > 0, 1 - rule["dampening"], 1.0)
    if rule["nesterov"]:
        return Mixing(mu, kappa, 1 + mu * kappa, mu**2)
    return Mixing(mu, kappa, kappa, mu)


def _equilibrium(rule: UpdateRule, eta: FloatArray, lam: FloatArray, sizes: Sizes) -> Rest:
    """Where the ARMA(2, 1) process rests, if it does."""
    x, g = product(eta, lam), sizes.grad_norm_sq
    process = process_of(_mixing(rule), x, decay=rule.decay)
    if not np.all(is_stationary(process)):
        raise UsageError(
            f"`lr` times `wd` is {np.max(x)}, too large for this momentum: the decay alone makes "
            "the weight oscillate without bound, and there is no equilibrium."
        )
    variance, decorrelation = moments(process)
    notes = []
    if rule["nesterov"] and np.any(rule["dampening"] > 0):
        notes.append(_REFUSED_BY_TORCH)
    radius = None
    if g is None:
        notes.append(radius_needs("grad_norm_sq"))
    else:
        radius = np.exp((np.log(g) + np.log(variance)) / 4 + np.log(eta) / 2)
    return Rest(radius, decorrelation, x, tuple(notes))


def _half_life(rule: UpdateRule, x: FloatArray) -> FloatArray:
    """Half-life of ‖w‖²; for small x it is ln 2 over 4x, times 1 − μ with L2."""
    mixing = _mixing(rule)
    process = process_of(mixing, x, decay=rule.decay)
    noise = 1 / moments(process).variance  # so that the radius is 1
    step = step_at(mixing, x, decay=rule.decay)

    def recursion(r: Complex, m: Complex, v: Complex) -> tuple[Complex, ...]:
        return advance(step, r, m, v, noise / r, h=np.ones((), complex))

    ones, zeros = np.ones(noise.shape), np.zeros(noise.shape)
    jacobian = jacobian_of(recursion, (ones, zeros, zeros))  # M and V enter linearly: any will do
    return slowest_half_life(jacobian, 4 * process.one_minus / (1 - process.det))


def _path(
    rule: UpdateRule, eta: FloatArray, lam: FloatArray, radius: float, _: float, g: float
) -> Path:
    """R, M, V of weight and buffer: a recursion that is linear but for the noise G/R."""
    mu, later_kappa = (float(number) for number in _mixing(rule)[:2])
    nesterov, kappa = rule["nesterov"], 1.0  # torch takes the first gradient in whole
    kept, l2 = decay_of_steps(rule, eta, lam)
    r, m, v = radius**2, 0.0, 0.0
    record = Record(r)
    add_r, add_h, add_along, add_length = record.adders()
    for h, a, decay in rows(eta, kept, l2):
        noise = g / r
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
    return record.path(kept)


def _update_norm(rule: UpdateRule, sizes: Sizes) -> FloatArray:
    """The length of a step of gradients and buffer, for η = 1."""
    mu, kappa, e, f = _mixing(rule)
    g = needed(rule, "grad_norm_sq", sizes.grad_norm_sq)
    check_shapes(grad_norm_sq=g, momentum=mu, dampening=kappa)
    with np.errstate(all="ignore"):
        step_sq = e**2 + (f * kappa) ** 2 / (1 - mu**2)
        return result("norm of the update", np.sqrt(g) * np.sqrt(step_sq))


def _bare_decay(rule: UpdateRule, x: FloatArray) -> BareDecay:
    """What a weight loses of itself a step: 1 − the larger root of its process."""
    mixing = _mixing(rule)
    check_shapes(lr_wd=x, momentum=mixing.mu, dampening=mixing.kappa)
    process: Filter = process_of(mixing, x, decay=rule.decay)
    trace = 1 + process.det - process.one_minus
    if np.any((trace**2 < 4 * process.det) | (trace <= 0)):
        raise UsageError(
            "`lr` times `wd` is too large for this momentum: decay alone makes the weight "
            "oscillate, and it passes zero."
        )
    root = (trace + np.sqrt(trace**2 - 4 * process.det)) / 2
    lost = np.asarray(process.one_minus / (1 - process.det / root))  # 1 − root, all its digits
    return BareDecay(lost, _POWER)


BUFFER: Final = Model(_equilibrium, _half_life, _path, _update_norm, _bare_decay)
