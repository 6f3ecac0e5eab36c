"""Which product of learning rate and decay a normalised network feels."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from etaeff._checks.numbers import FloatArray, check_shapes, positive, result
from etaeff.theory.settings import Setting, optimizer_of
from etaeff.theory.settings._update_rule import name_of, rule_of


class Invariant(NamedTuple):
    """η^`lr_power` · λ^`wd_power`; settings that share it turn alike at equilibrium."""

    lr_power: int
    wd_power: int = 1

    def __str__(self) -> str:
        """As it is written."""
        return "η²λ" if self.lr_power == 2 else "ηλ"

    def value(self, *, lr: ArrayLike, wd: ArrayLike) -> FloatArray:
        """The product for these settings, of the broadcast shape."""
        eta, lam = positive("lr", lr), positive("wd", wd)
        check_shapes(lr=eta, wd=lam)
        with np.errstate(all="ignore"):
            value = eta * lam  # η² by itself may leave float64 where η²λ does not
            return result("product", eta * value if self.lr_power == 2 else value)


def invariant(optimizer: str | Setting, *, decay: str | None = None) -> Invariant:
    """The product of η and λ that fixes how far a scale-invariant weight turns in a step.

    Where the decay multiplies the weight (decoupled), or enters a step that is proportional to
    the gradient (SGD), it is ηλ. Where it enters a gradient whose scale is then divided out
    (Adam and RMSProp with L2), it is η²λ: their rate η/‖w‖ and the decay that they see
    both depend on the norm. Momentum and betas are held; so are the gradients on the unit sphere.

    Args:
        optimizer: As in `equilibrium`: a `Setting`, or a name.
        decay: `"l2"` or `"decoupled"`; by default as torch's optimiser does.

    Returns:
        The powers of η and λ. `str` of it is the product as it is written.

    Raises:
        UnknownNameError: If the optimiser is not known.
        UsageError: If the optimiser is not known with this decay.

    Examples:
        >>> str(invariant("sgd")), str(invariant("adamw")), str(invariant("adam"))
        ('ηλ', 'ηλ', 'η²λ')
        >>> float(invariant("adam").value(lr=2e-3, wd=0.5))
        2e-06

    References:
        Li & Arora 2020 and Wan et al. 2020 for SGD; Kosson et al. 2024 for AdamW; for Adam with
        L2, `docs/theory.md`.
    """
    return Invariant(rule_of(optimizer, {"decay": decay}).law.lr_power)


def usual_decay(optimizer: str | Setting) -> str:
    """Where the weight decay of torch's optimiser of this name acts: `"l2"` or `"decoupled"`.

    Args:
        optimizer: As in `equilibrium`.

    Raises:
        UnknownNameError: If the optimiser is not known.

    Examples:
        >>> usual_decay("adam"), usual_decay("adamw")
        ('l2', 'decoupled')
    """
    return optimizer_of(name_of(optimizer)).usual_decay
