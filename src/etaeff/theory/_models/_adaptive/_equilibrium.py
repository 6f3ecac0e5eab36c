r"""Where a weight rests whose update is divided by the root of a second moment.

With L2 the root mean square s of the gradient's entries divides the step, so weights move as under
SGD with the rate h = η/s, and s itself depends on the radius that results:
$s^2 = (G/r^2 + \lambda^2 r^2)/C$. The second moment is taken at its mean, which is exact as
β₂ → 1 (Adam) or α → 1 (RMSProp). With decoupled decay the update has one size at any radius.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from etaeff._checks.numbers import FloatArray, product
from etaeff._words import listed
from etaeff.theory._models._adaptive._updates import DividedUpdate, update_of
from etaeff.theory._models._correlation import radius_of, remembered_moments
from etaeff.theory._models._model import Rest, Sizes, radius_needs
from etaeff.theory._models._process import moments, process_of
from etaeff.theory.settings._update_rule import UpdateRule

_LARGEST_SHARE: Final = 0.1  # 1 − β₂ up to which its first order is enough
_FIRST_ORDER: Final = (
    "The second moment is taken to first order in 1 − β₂, which is no longer small here."
)
_BISECTIONS: Final = 60  # of an interval of 100 in ln z: down to the last digit


class Growth(NamedTuple):
    """A weight under L2 with a rate of 1, at the shrinkage z = hλ.

    Attributes:
        room: 1/(zV), V being ‖w‖² for noise of squared norm 1; it falls with z.
        limit: Where it vanishes.
        inverse_variance: 1/V.
        turn: 1 − cosine of successive weights.
    """

    room: Callable[[FloatArray], FloatArray]
    limit: FloatArray
    inverse_variance: Callable[[FloatArray], FloatArray]
    turn: Callable[[FloatArray], FloatArray]


def growth_of(update: DividedUpdate) -> Growth:
    """SGD's law: in closed form 1/V = kz(2 − cz), with k = (1 − μ)/κ and c = κ/(1 + μ)."""
    if update.mixes_gradient:
        return _growth_of_mixed(update)
    mu, kappa, _, _ = update.mixing
    k, c = (1 - mu) / kappa, kappa / (1 + mu)
    return Growth(
        lambda z: np.asarray(k * (2 - c * z)),
        np.asarray(2 / c),
        lambda z: np.asarray(z * k * (2 - c * z)),
        lambda z: np.asarray(c * z),
    )


def _growth_of_mixed(update: DividedUpdate) -> Growth:
    """SGD's law where a step has the gradient beside the buffer: an ARMA(2, 1) process."""
    mu, kappa, e, f = update.mixing
    share = e * (1 - mu) + f * kappa  # of z in det(I − A)
    later = mu * e - f * kappa  # what it has of the gradient before

    def room(z: FloatArray) -> FloatArray:
        det, p = mu - z * later, z * share
        n = (1 + det) * (later - e) ** 2 + 2 * e * later * p
        return np.asarray((1 - det) * share * (2 * (1 + det) - p) / n)

    return Growth(
        room,
        np.asarray(2 * (1 + mu) / (share + 2 * later)),
        lambda z: np.asarray(z * room(z)),
        lambda z: moments(process_of(update.mixing, z, decay="l2")).decorrelation,
    )


def equilibrium(rule: UpdateRule, eta: FloatArray, lam: FloatArray, sizes: Sizes) -> Rest:
    """Where the weight rests, by where its decay acts."""
    if rule.divides_decay:
        return _with_divided_decay(rule, eta, lam, sizes)
    return _with_decoupled_decay(rule, eta, product(eta, lam), sizes)


def _with_decoupled_decay(rule: UpdateRule, eta: FloatArray, x: FloatArray, sizes: Sizes) -> Rest:
    """Where a weight rests that remembers updates of one size."""
    update = update_of(rule)
    memory = update.memory()
    variance, decorrelation = remembered_moments(x, memory)
    notes, radius = [], None
    if sizes.dim is None:
        notes.append(radius_needs("dim"))
    else:
        assert memory.norm_sq is not None
        radius = radius_of(eta, memory.norm_sq * sizes.dim, variance)
    if np.any(update.smoothing < 1 - _LARGEST_SHARE):
        notes.append(_FIRST_ORDER)
    return Rest(radius, decorrelation, x, (*notes, *update.notes()))


def _with_divided_decay(rule: UpdateRule, eta: FloatArray, lam: FloatArray, sizes: Sizes) -> Rest:
    """Radius and step length together; nothing is known without both C and G."""
    dim, g = sizes
    if dim is None or g is None:
        missing = listed(f"`{name}`" for name, value in sizes._asdict().items() if value is None)
        note = f"Every quantity needs {missing}: the decay that Adam sees depends on both."
        return Rest(None, None, None, (note,))
    update = update_of(rule)
    growth = growth_of(update)
    u = _log_shrinkage(growth, 4 * np.log(eta) + 2 * np.log(dim) + 2 * np.log(lam) - np.log(g))
    z = np.exp(u)
    radius_sq = 2 * np.log(eta) + np.log(dim) - u - np.log(growth.room(z) + z)
    return Rest(np.exp(radius_sq / 2), growth.turn(z), z, tuple(update.notes()))


def _log_shrinkage(growth: Growth, strength: FloatArray) -> FloatArray:
    r"""Ln z where radius and step length agree.

    SGD's law with h for η, $r^4 = h^2 G V$, and h²s² = η² leave, with room b = 1/(zV),

    $$z^3 (b + z)^2 = b\,\eta^4 C^2 \lambda^2 / G, \qquad r^2 = \frac{\eta^2 C}{z\,(b + z)}.$$

    The left side grows with z and the right side falls, so there is one root; for small z it is
    z³ = η⁴C²λ²/(b(0)G).

    Args:
        growth: Of the update.
        strength: ln η⁴C²λ²/G.
    """

    def excess(u: FloatArray) -> FloatArray:
        z = np.exp(u)
        room = growth.room(z)
        return np.asarray(3 * u + 2 * np.log(room + z) - np.log(room) - strength)

    limit = np.log(growth.limit)
    high = np.broadcast_to(limit, np.broadcast_shapes(strength.shape, limit.shape))
    high = high - 1e-12  # left of where the right side vanishes, whatever the rounding
    # The root of the law for small z is never far above, nor below by more than the factors.
    low = np.minimum((strength - np.log(growth.room(np.zeros(())))) / 3 - 50, high - 50)
    high = np.minimum(high, low + 100)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        above = excess(middle) > 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.asarray((low + high) / 2)
