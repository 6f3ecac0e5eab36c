"""The model of updates of known size with decoupled decay: Lion, Muon, normalised gradients."""

from typing import Final

import numpy as np

from etaeff._checks.numbers import FloatArray, check_shapes, product, result
from etaeff.errors import UsageError
from etaeff.theory._models._correlation import Memory, radius_of, remembered_moments
from etaeff.theory._models._memory._updates import memory_of
from etaeff.theory._models._model import BareDecay, Model, Rest, Sizes, needed, radius_needs
from etaeff.theory._models._path import Path, angle, decay_of_steps, rows
from etaeff.theory.settings._update_rule import UpdateRule

_PARTS: Final = 3  # of an update's memory that are followed one by one
_POWER: Final = 0.5  # of η in the radius
_NO_SHAPE: Final = (
    "`radius` and `effective_lr` need `shape`; without it the matrix is taken to be much wider "
    "than high, and a square one turns further."
)


def _equilibrium(rule: UpdateRule, eta: FloatArray, lam: FloatArray, sizes: Sizes) -> Rest:
    """Where a weight rests that remembers updates of one size."""
    x, memory = product(eta, lam), memory_of(rule)
    variance, decorrelation = remembered_moments(x, memory)
    size, notes = memory.norm_sq, []
    if size is None:
        notes.append(_NO_SHAPE)
    elif rule.optimizer.length_needs == "dim":
        if sizes.dim is None:
            notes.append(radius_needs("dim"))
        size = None if sizes.dim is None else size * sizes.dim
    radius = None if size is None else radius_of(eta, size, variance)
    return Rest(radius, decorrelation, x, tuple(notes))


def half_life(_: UpdateRule, x: FloatArray) -> FloatArray:
    """Half-life of ‖w‖² where updates have one size at any radius: it loses (1 − x)² a step."""
    with np.errstate(divide="ignore"):  # x = 1 forgets at once
        return np.asarray(-np.log(2) / (2 * np.log1p(-np.minimum(x, 2 - x))))  # of |1 − x|


def _path(
    rule: UpdateRule, eta: FloatArray, lam: FloatArray, radius: float, dim: float, _: float
) -> Path:
    """The update's size is known, and w remembers it."""
    memory = memory_of(rule)
    assert memory.norm_sq is not None
    size_sq = float(memory.norm_sq) * dim
    a, _l2 = decay_of_steps(rule, eta, lam)
    # −⟨w, u⟩/U² before each step, part by part.
    inner = sum(
        (_linear(0.0, b * a, first * eta)[:-1] for first, b in _few_parts(memory, float(a.mean()))),
        start=np.zeros(len(eta)),
    )
    radius_sq = _linear(radius**2, a**2, size_sq * eta * (eta + 2 * a * inner))
    along, length_sq = -size_sq * inner, np.full(len(eta), size_sq)
    return Path(radius_sq, angle(radius_sq[:-1], a * radius_sq[:-1], eta, along, length_sq))


def update_norm(rule: UpdateRule, memory: Memory, sizes: Sizes) -> FloatArray:
    """The length of an update from its memory, for η = 1."""
    size = memory.norm_sq
    if size is None:
        raise UsageError(f"`shape`, (rows, columns) of the matrix, is needed for `{rule.name}`.")
    if rule.optimizer.length_needs != "dim":
        return result("norm of the update", np.sqrt(size))
    dim = needed(rule, "dim", sizes.dim)
    check_shapes(dim=dim, betas=size)
    return result("norm of the update", np.sqrt(size) * np.sqrt(dim))


def _update_norm(rule: UpdateRule, sizes: Sizes) -> FloatArray:
    """The length of an update, for η = 1."""
    return update_norm(rule, memory_of(rule), sizes)


def bare_decay(_: UpdateRule, x: FloatArray) -> BareDecay:
    """Decoupled decay takes ηλ a step."""
    return BareDecay(x, _POWER)


def _linear(start: float, factors: FloatArray, terms: FloatArray) -> FloatArray:
    """y_0 = start, then y → factor · y + term; one value more than there are terms."""
    y = start
    values = [y]
    add = values.append
    for factor, term in rows(factors, terms):
        y = factor * y + term
        add(y)
    return np.array(values)


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


MEMORY: Final = Model(_equilibrium, half_life, _path, _update_norm, bare_decay)
