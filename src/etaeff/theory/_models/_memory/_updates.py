r"""Lion and normalised gradients: the size of their updates, and what these remember."""

from typing import Final

import numpy as np

from etaeff.theory._models._correlation import Memory, parts
from etaeff.theory._models._memory._muon import muon_memory, odd_powers
from etaeff.theory.settings._update_rule import UpdateRule

_ARCSINE_TERMS: Final = 1024  # beyond them 2e-5 of the sum at most, where beta1 nears beta2


def memory_of(rule: UpdateRule) -> Memory:
    """The memory of an update: per entry where the length grows with their number."""
    return _MEMORIES[rule.name](rule)


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
    return Memory(np.ones(()), 2 / np.pi * taylor * odd_powers(first, n), odd_powers(beta2, n))


def _normalized(rule: UpdateRule) -> Memory:
    """The averaged gradient over its norm: of norm 1, and it remembers as the average does."""
    return Memory(np.ones(()), parts(rule["momentum"]), parts(rule["momentum"]))


_MEMORIES: Final = {"lion": _lion, "muon": muon_memory, "normalized": _normalized}
