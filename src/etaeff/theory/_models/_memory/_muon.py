r"""Muon's update: the polar factor of the averaged gradient, as Newton-Schulz steps compute it."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from etaeff._checks.numbers import FloatArray, count
from etaeff.errors import UsageError
from etaeff.theory._models._correlation import Memory, parts
from etaeff.theory.settings._update_rule import UpdateRule

_JACOBI_SIZE: Final = 256  # resolves singular values of a hundredth of the largest
_NEWTON_SCHULZ: Final = (3.4445, -4.7750, 2.0315)  # torch.optim.Muon's `ns_coefficients`
_NEWTON_SCHULZ_STEPS: Final = 5


def muon_memory(rule: UpdateRule) -> Memory:
    r"""Muon: the polar factor of the averaged gradient, as Newton-Schulz steps find it.

    A function f of the singular values of a large normal matrix, seen again when the matrix has
    kept a share ρ of itself, has correlation Σ_n f_n² ρⁿ/Σ_n f_n²: f_n are its coefficients in the
    polynomials that belong to the matrix's singular values (the free Ornstein-Uhlenbeck
    semigroup). A matrix much wider than high has ρ itself, a square one forgets faster.
    """
    mu = rule["momentum"]
    first = _nesterov_correlation(mu) if rule["nesterov"] else mu
    if rule["shape"] is None:
        return Memory(None, parts(first), parts(mu))
    rows, cols = _checked_shape(rule["shape"])
    size, coefficients = _newton_schulz_moments(min(rows, cols), max(rows, cols))
    adjustment = _lr_adjustment(rule["adjust_lr_fn"], rows, cols)
    n = np.arange(len(coefficients))
    return Memory(
        np.asarray(size * adjustment**2), coefficients * odd_powers(first, n), odd_powers(mu, n)
    )


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
    factors = np.minimum(values / np.sqrt(small), 1)
    for _ in range(_NEWTON_SCHULZ_STEPS):
        factors = a * factors + b * factors**3 + c * factors**5
    coefficients = ((left[0] * factors) @ right) ** 2
    total = coefficients.sum()
    return float(small * total), coefficients / total


def _lr_adjustment(name: str, rows: int, cols: int) -> float:
    """What torch.optim.Muon multiplies lr by for a matrix of this shape."""
    if name == "original":
        return float(np.sqrt(max(1.0, rows / cols)))
    return float(0.2 * np.sqrt(max(rows, cols)))


def _checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns, if they are those of a matrix."""
    if not (isinstance(shape, tuple | list) and len(shape) == 2):
        raise UsageError(f"`shape` must be (rows, columns) of a matrix, got {shape!r}.")
    return count("shape[0]", shape[0]), count("shape[1]", shape[1])


def odd_powers(base: FloatArray, n: NDArray[np.int_]) -> FloatArray:
    """b^(2n + 1) of a number b, n on a new last axis."""
    with np.errstate(under="ignore"):
        return np.asarray(np.expand_dims(base, -1) ** (2 * n + 1))
