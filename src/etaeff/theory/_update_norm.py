"""How long a step is before the learning rate multiplies it."""

import numpy as np
from numpy.typing import ArrayLike

from etaeff._checks.numbers import FloatArray, check_shapes, positive, result
from etaeff.errors import UsageError
from etaeff.theory._buffer import gradient_weight, step_weights
from etaeff.theory._memory import memory_of
from etaeff.theory.settings._update_rule import rule_of


def update_norm(
    optimizer: str,
    *,
    momentum: ArrayLike | None = None,
    dampening: ArrayLike | None = None,
    nesterov: bool | None = None,
    betas: tuple[ArrayLike, ArrayLike] | None = None,
    alpha: ArrayLike | None = None,
    dim: ArrayLike | None = None,
    grad_norm_sq: ArrayLike | None = None,
    shape: tuple[int, int] | None = None,
    adjust_lr_fn: str | None = None,
) -> FloatArray:
    r"""Root mean square norm of an update on the unit sphere, for a learning rate of 1.

    Times the effective learning rate it is the length of a step, and, for short steps, the angle
    that a scale-invariant weight turns. In the model of `equilibrium`, without decay:

    $$U^2 = \frac{G\kappa^2}{1 - \mu^2}\;\text{(heavy ball)}, \qquad
      C\,\frac{1 - \beta_1}{1 + \beta_1}\;\text{(Adam)}, \qquad C\;\text{(Lion)}.$$

    Args:
        optimizer: As in `equilibrium`, as are the arguments below.
        momentum: Of SGD, RMSProp, Muon and normalised gradients.
        dampening: Of SGD.
        nesterov: Of SGD and Muon.
        betas: Of Adam, AdamW and Lion.
        alpha: Of RMSProp.
        dim: C; needed for all but SGD, Muon and normalised gradients.
        grad_norm_sq: G; needed for SGD.
        shape: (rows, columns); needed for Muon.
        adjust_lr_fn: Of Muon.

    Returns:
        U, of the broadcast shape.

    Raises:
        UnknownNameError: If the optimiser is not known.
        UsageError: If an argument is missing, outside its range, or not the optimiser's.

    Examples:
        >>> update_norm("sgd", momentum=0.6, grad_norm_sq=4.0)
        np.float64(2.5)
        >>> update_norm("lion", dim=100)
        np.float64(10.0)
    """
    own = {"momentum": momentum, "dampening": dampening, "nesterov": nesterov, "betas": betas}
    own |= {"alpha": alpha, "shape": shape, "adjust_lr_fn": adjust_lr_fn}
    chosen = rule_of(optimizer, own)
    if chosen.name == "sgd":
        mu, kappa = chosen["momentum"], gradient_weight(chosen)
        e, f = step_weights(mu, kappa, nesterov=chosen["nesterov"])
        g = _given("grad_norm_sq", grad_norm_sq, chosen.name)
        check_shapes(grad_norm_sq=g, momentum=mu, dampening=kappa)
        with np.errstate(all="ignore"):
            step_sq = e**2 + (f * kappa) ** 2 / (1 - mu**2)
            return result("norm of the update", np.sqrt(g) * np.sqrt(step_sq))
    size = memory_of(chosen).norm_sq
    if size is None:
        raise UsageError("`shape`, (rows, columns) of the matrix, is needed for `muon`.")
    if chosen.name in ("muon", "normalized"):
        return result("norm of the update", np.sqrt(size))
    entries = _given("dim", dim, chosen.name)
    check_shapes(dim=entries, betas=size)
    return result("norm of the update", np.sqrt(size) * np.sqrt(entries))


def _given(name: str, value: ArrayLike | None, optimizer: str) -> FloatArray:
    if value is None:
        raise UsageError(f"`{name}` is needed for the update of `{optimizer}`.")
    return positive(name, value)
