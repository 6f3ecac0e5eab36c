"""Where weight decay holds the norm of a scale-invariant weight, and the rate it implies."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etaeff.errors import UnknownNameError, UsageError

_RADIUS_POWER: Final = {"sgd": 2, "rmsprop": 1, "adam": 1, "adamw": 1}


def radius_power(optimizer: str) -> int:
    """The power of ‖w‖ that the effective learning rate is divided by.

    A scale-invariant loss has a gradient that shrinks as 1/‖w‖, and a step of fixed length
    turns the weight by an angle that shrinks as 1/‖w‖: two powers for SGD. Updates that
    ignore the gradient's scale (RMSProp, Adam) lose the first.

    Args:
        optimizer: As in `effective_lr`.

    Examples:
        >>> radius_power("sgd"), radius_power("adam")
        (2, 1)
    """
    if optimizer not in _RADIUS_POWER:
        raise UnknownNameError("optimizer", optimizer, _RADIUS_POWER)
    return _RADIUS_POWER[optimizer]


def effective_lr(optimizer: str, *, lr: ArrayLike, radius: ArrayLike) -> NDArray[np.float64]:
    r"""Effective learning rate: the rate that would turn a unit-norm weight as much.

    $$\eta_\mathrm{eff} = \eta / \|w\|^2 \;\text{(SGD)}, \qquad
    \eta_\mathrm{eff} = \eta / \|w\| \;\text{(RMSProp, Adam, AdamW)}$$

    Args:
        optimizer: `"sgd"` (with or without momentum), `"rmsprop"`, `"adam"` or `"adamw"`.
        lr: Learning rate η > 0, per step.
        radius: ‖w‖ > 0, broadcast against `lr`.

    Returns:
        η_eff, of the broadcast shape.

    Raises:
        UnknownNameError: If the optimiser is not known.
        UsageError: If `lr` or `radius` is not positive and finite.

    Examples:
        >>> float(effective_lr("sgd", lr=0.1, radius=2.0))
        0.025
        >>> effective_lr("adamw", lr=0.01, radius=[1.0, 10.0])
        array([0.01 , 0.001])

    References:
        van Laarhoven, "L2 Regularization versus Batch and Weight Normalization", 2017.
    """
    power = radius_power(optimizer)
    return np.asarray(_positive("lr", lr) / _positive("radius", radius) ** power)


def sgd_radius(*, lr: ArrayLike, wd: ArrayLike, grad_norm_sq: ArrayLike) -> NDArray[np.float64]:
    r"""Radius at which SGD with L2 and without momentum settles.

    $$r_\star^4 = \frac{\eta G}{\lambda (2 - \eta\lambda)}$$

    Decay takes $(1 - (1-\eta\lambda)^2) r^2$ from the squared radius in a step, and the
    gradient, which is orthogonal to w, adds $\eta^2 G / r^2$. Here the two are equal. Exact
    when $G$ does not vary; valid when the gradient is mostly noise.

    Args:
        lr: Learning rate η > 0, per step.
        wd: Weight decay λ > 0, PyTorch's convention, with ηλ < 2.
        grad_norm_sq: $G = E\|\bar g\|^2$ ≥ 0, the mean squared norm of the gradient on the
            unit sphere, $\bar g = \|w\| g$.

    Returns:
        The radius, of the broadcast shape.

    Raises:
        UsageError: If an argument lies outside its range.

    Examples:
        >>> round(float(sgd_radius(lr=0.1, wd=5e-4, grad_norm_sq=1.0)), 3)
        3.162

    References:
        van Laarhoven 2017 for the powers of η and λ; Li & Arora, "An Exponential Learning
        Rate Schedule for Deep Learning", 2020, for the balance.
    """
    lr, wd = _positive("lr", lr), _positive("wd", wd)
    g = np.asarray(grad_norm_sq, dtype=float)
    if not (np.all(g >= 0) and np.all(np.isfinite(g))):
        raise UsageError(
            f"`grad_norm_sq` must be zero or positive and finite, got {grad_norm_sq!r}."
        )
    if np.any(lr * wd >= 2):
        raise UsageError(
            f"`lr` times `wd` must be below 2, got {np.max(lr * wd)}: past it the decay alone "
            "makes the weight grow, and there is no equilibrium."
        )
    return np.asarray((lr * g / (wd * (2 - lr * wd))) ** 0.25)


def _positive(name: str, value: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(value, dtype=float)
    if not (np.all(array > 0) and np.all(np.isfinite(array))):
        raise UsageError(f"`{name}` must be positive and finite, got {value!r}.")
    return array
