r"""Updates of known size, and how long they remember: what equilibrium needs to know of them.

With decoupled decay, $w' = a w - \eta u$ with a = 1 − ηλ. Where the scale of the gradient is
divided out of the update u, its mean squared norm U² and its autocorrelations ρ_k depend on the
betas alone. Every ρ_k is a sum of powers, $\rho_k = \sum_i \rho_{1,i}\, b_i^{k-1}$ for k ≥ 1, and
everything follows from the one sum

$$T = \sum_{k \ge 1} a^{k-1} \rho_k = \sum_i \frac{\rho_{1,i}}{1 - a b_i}.$$
"""

from typing import NamedTuple

import numpy as np

from etaeff._checks.numbers import FloatArray
from etaeff.theory._models._process import Moments


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


def remembered_moments(x: FloatArray, memory: Memory) -> Moments:
    r"""Second moments of a weight that decays by x a step, for η = 1 and U = 1.

    $$E\|w\|^2 = \frac{1 + 2aT}{1 - a^2}, \qquad 1 - \cos = x\,\frac{1 - xT}{1 + 2aT}$$

    Exact for any x in (0, 2).
    """
    a = 1 - x
    t = np.asarray((memory.first / (1 - np.expand_dims(a, -1) * memory.decays)).sum(-1))
    return Moments((1 + 2 * a * t) / (x * (2 - x)), x * (1 - x * t) / (1 + 2 * a * t))


def radius_of(eta: FloatArray, norm_sq: FloatArray, variance: FloatArray) -> FloatArray:
    """‖w‖ from η, U² and E‖w‖² for η = 1 and U = 1, in logarithms: the factors may be far apart."""
    return np.asarray(np.exp((np.log(norm_sq) + np.log(variance)) / 2 + np.log(eta)))


def parts(*values: FloatArray) -> FloatArray:
    """Parts of a memory side by side, on a new last axis."""
    return np.stack(np.broadcast_arrays(*values), axis=-1)
