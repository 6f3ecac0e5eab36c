r"""Updates of known size, and how long they remember: AdamW, Lion, Muon, normalised gradients.

With decoupled decay, $w' = a w - \eta u$ with a = 1 − ηλ. These optimisers divide the scale of
the gradient out of the update u, so its mean squared norm U² and its autocorrelations ρ_k depend
on the betas alone. Here every ρ_k is a sum of powers, $\rho_k = \sum_i \rho_{1,i}\, b_i^{k-1}$ for
k ≥ 1, and everything follows from the one sum

$$T = \sum_{k \ge 1} a^{k-1} \rho_k = \sum_i \frac{\rho_{1,i}}{1 - a b_i}.$$
"""

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from etaeff._checks.numbers import FloatArray, count
from etaeff.errors import UsageError
from etaeff.theory._buffer import Moments
from etaeff.theory.settings._update_rule import UpdateRule

_ARCSINE_TERMS: Final = 1024  # beyond them 2e-5 of the sum at most, where beta1 nears beta2
_JACOBI_SIZE: Final = 256  # resolves singular values of a hundredth of the largest
_NEWTON_SCHULZ: Final = (3.4445, -4.7750, 2.0315)  # torch.optim.Muon's `ns_coefficients`
_NEWTON_SCHULZ_STEPS: Final = 5


class Memory(NamedTuple):
    """Size and autocorrelation of an update.

    Attributes:
        norm_sq: U² for each entry of the block, or in all where the optimiser fixes the norm;
            `None` where it needs an argument that was not given.
        first: The parts ρ_1i of the correlation of successive updates, on the last axis.
        decays: b_i in [0, 1), by which each part shrinks a step, on the last axis.
    """

    norm_sq: FloatArray | None
    first: FloatArray
    decays: FloatArray


def memory_of(rule: UpdateRule) -> Memory:
    """The memory of the update of `rule`, per entry for all but Muon and normalised gradients."""
    return {
        "adam": _adam,
        "adamw": _adam,
        "rmsprop": _rmsprop,
        "lion": _lion,
        "muon": _muon,
        "normalized": _normalized,
    }[rule.name](rule)


def memory_sum(memory: Memory, a: FloatArray) -> FloatArray:
    """T of the module, of the shape of a broadcast against the memory's."""
    return np.asarray((memory.first / (1 - np.expand_dims(a, -1) * memory.decays)).sum(-1))


def moments(x: FloatArray, memory: Memory) -> Moments:
    r"""Second moments of a weight that decays by x a step, for η = 1 and U = 1.

    $$E\|w\|^2 = \frac{1 + 2aT}{1 - a^2}, \qquad 1 - \cos = x\,\frac{1 - xT}{1 + 2aT}$$

    Exact for any x in (0, 2).
    """
    a = 1 - x
    t = memory_sum(memory, a)
    return Moments((1 + 2 * a * t) / (x * (2 - x)), x * (1 - x * t) / (1 + 2 * a * t))


def _adam(rule: UpdateRule) -> Memory:
    r"""Adam: an average of gradients over the root of an average of their squares.

    With the second moment at its mean, U² = (1 − β₁)/(1 + β₁) an entry and ρ_k = β₁^k. A finite
    β₂ lets it fluctuate by a variance of ω = 2ε/(1 + β₂), ε = 1 − β₂, and correlates it with the
    gradients that it is to divide, which normal gradients turn, to first order in ε, into

    $$E[u_t u_{t-k}] = \tfrac{1-\beta_1}{1+\beta_1}\,\beta_1^k \left[
      1 + \tfrac34\omega - \epsilon h + (\tfrac14\omega - \epsilon h)\,\beta_2^k \right],
      \qquad h = \frac{1 - \beta_1^2}{1 - \beta_1^2\beta_2}.$$
    """
    beta1, beta2 = rule["betas"]
    first, second = second_moment_noise(beta1, beta2)
    total = first + second
    size = (1 - beta1) / (1 + beta1) * total
    decays = _stack(beta1, beta1 * beta2)
    return Memory(np.asarray(size), _stack(first / total, second / total) * decays, decays)


def _rmsprop(rule: UpdateRule) -> Memory:
    """RMSProp: its buffer adds up gradients that were divided by their root mean square."""
    mu, alpha = rule["momentum"], rule["alpha"]
    size = sum(second_moment_noise(np.zeros(()), alpha)) / (1 - mu**2)
    return Memory(np.asarray(size), _stack(mu), _stack(mu))


def _lion(rule: UpdateRule) -> Memory:
    r"""Lion: the sign of a mixture of the gradient and its average.

    The mixture's autocorrelations shrink by β₂ a step, and two normal numbers of correlation ρ
    have signs of correlation (2/π) arcsin ρ, whose Taylor series is a sum of powers in k.
    """
    beta1, beta2 = rule["betas"]
    old = beta1**2 * (1 - beta2) / (1 + beta2)
    first = ((1 - beta1) * beta1 * (1 - beta2) + old * beta2) / ((1 - beta1) ** 2 + old)
    n = np.arange(_ARCSINE_TERMS)
    taylor = np.cumprod(np.append(1.0, (2 * n[1:] - 1) / (2 * n[1:]))) / (2 * n + 1)
    return Memory(np.ones(()), 2 / np.pi * taylor * _odd_powers(first, n), _odd_powers(beta2, n))


def _muon(rule: UpdateRule) -> Memory:
    r"""Muon: the polar factor of the averaged gradient, as Newton-Schulz steps find it.

    A function f of the singular values of a large normal matrix, seen again when the matrix has
    kept a share ρ of itself, has correlation Σ_n f_n² ρⁿ/Σ_n f_n²: f_n are its coefficients in the
    polynomials that belong to the matrix's singular values (the free Ornstein-Uhlenbeck
    semigroup). A matrix much wider than high has ρ itself, a square one forgets faster.
    """
    mu = rule["momentum"]
    first = _nesterov_correlation(mu) if rule["nesterov"] else mu
    if rule["shape"] is None:
        return Memory(None, _stack(first), _stack(mu))
    rows, cols = _checked_shape(rule["shape"])
    size, coefficients = _newton_schulz_moments(min(rows, cols), max(rows, cols))
    adjustment = _lr_adjustment(rule["adjust_lr_fn"], rows, cols)
    n = np.arange(len(coefficients))
    return Memory(
        np.asarray(size * adjustment**2), coefficients * _odd_powers(first, n), _odd_powers(mu, n)
    )


def _normalized(rule: UpdateRule) -> Memory:
    """The averaged gradient over its norm: of norm 1, and it remembers as the average does."""
    return Memory(np.ones(()), _stack(rule["momentum"]), _stack(rule["momentum"]))


def second_moment_noise(beta1: FloatArray, beta2: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The two terms in brackets of `_adam`, the second without its β₂^k."""
    epsilon = 1 - beta2
    omega = 2 * epsilon / (1 + beta2)
    kept = epsilon * (1 - beta1**2) / (1 - beta1**2 * beta2)
    return np.asarray(1 + 0.75 * omega - kept), np.asarray(0.25 * omega - kept)


def _nesterov_correlation(mu: FloatArray) -> FloatArray:
    """Correlation of successive mixtures (1 − μ)g + μm, where the average m holds g already."""
    tail = mu**4 / (1 - mu**2)
    return np.asarray(mu * ((1 + mu) * mu + tail) / ((1 + mu) ** 2 + tail))


@lru_cache(maxsize=64)
def _newton_schulz_moments(small: int, large: int) -> tuple[float, FloatArray]:
    """U² of an orthogonalised update, and the shares f_n²/Σf_n² for odd n.

    The singular values of a normal matrix have a Jacobi matrix with off-diagonals that take
    turns between 1 and √(small/large), in units of √large times the entries' deviation. It
    couples even rows with odd ones only: half of it is a bidiagonal matrix.
    """
    half = np.eye(_JACOBI_SIZE) + np.diag(np.full(_JACOBI_SIZE - 1, np.sqrt(small / large)), -1)
    left, values, right = np.linalg.svd(half)
    a, b, c = _NEWTON_SCHULZ
    # torch divides by the Frobenius norm first, past which no singular value goes.
    found = np.minimum(values / np.sqrt(small), 1)
    for _ in range(_NEWTON_SCHULZ_STEPS):
        found = a * found + b * found**3 + c * found**5
    coefficients = ((left[0] * found) @ right) ** 2
    total = coefficients.sum()
    return float(small * total), coefficients / total


def _lr_adjustment(name: str, rows: int, cols: int) -> float:
    """What torch.optim.Muon multiplies lr by for a matrix of this shape."""
    if name == "original":
        return float(np.sqrt(max(1.0, rows / cols)))
    return float(0.2 * np.sqrt(max(rows, cols)))


def _checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    if not (isinstance(shape, tuple | list) and len(shape) == 2):
        raise UsageError(f"`shape` must be (rows, columns) of a matrix, got {shape!r}.")
    return count("shape[0]", shape[0]), count("shape[1]", shape[1])


def _odd_powers(base: FloatArray, n: NDArray[np.int_]) -> FloatArray:
    """Base^(2n + 1), n on a new last axis."""
    with np.errstate(under="ignore"):
        return np.asarray(np.expand_dims(base, -1) ** (2 * n + 1))


def _stack(*parts: FloatArray) -> FloatArray:
    return np.stack(np.broadcast_arrays(*parts), axis=-1)
