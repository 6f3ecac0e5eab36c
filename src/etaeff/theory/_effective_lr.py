"""The learning rate that a weight of a given norm really has."""

import numpy as np
from numpy.typing import ArrayLike

from etaeff._checks.numbers import FloatArray, check_shapes, positive, result
from etaeff.theory.settings import Setting, optimizer_of
from etaeff.theory.settings._update_rule import given_or_set, name_of


def radius_power(optimizer: str | Setting) -> int:
    """The power of ‖w‖ that the effective learning rate is divided by.

    A scale-invariant loss has a gradient that shrinks as 1/‖w‖, and a step of fixed length
    turns the weight by an angle that shrinks as 1/‖w‖: two powers for SGD. Updates that
    ignore the gradient's scale (all others here) lose the first.

    Args:
        optimizer: As in `effective_lr`.

    Examples:
        >>> radius_power("sgd"), radius_power("adam")
        (2, 1)
    """
    return optimizer_of(name_of(optimizer)).radius_power


def effective_lr(
    optimizer: str | Setting, *, lr: ArrayLike | None = None, radius: ArrayLike
) -> FloatArray:
    r"""Effective learning rate: the rate that would turn a unit-norm weight as much.

    $$\eta_\mathrm{eff} = \eta / \|w\|^2 \;\text{(SGD)}, \qquad
    \eta_\mathrm{eff} = \eta / \|w\| \;\text{(all others here)}$$

    Args:
        optimizer: `"sgd"` (with or without momentum), `"rmsprop"`, `"adam"`, `"adamw"`,
            `"lion"`, `"muon"`, `"normalized"` or another of `etaeff.theory.settings.OPTIMIZERS`;
            or a `Setting`, which says η too.
        lr: Learning rate η > 0, per step; needed beside a name.
        radius: ‖w‖ > 0, broadcast against `lr`.

    Returns:
        η_eff, of the broadcast shape.

    Raises:
        UnknownNameError: If the optimiser is not known.
        UsageError: If `lr` or `radius` is not positive and finite, if they do not broadcast, or
            if η_eff leaves float64.

    Examples:
        >>> float(effective_lr("sgd", lr=0.1, radius=2.0))
        0.025
        >>> float(effective_lr(Setting.parse("sgd lr=0.1 wd=5e-4"), radius=2.0))
        0.025
        >>> effective_lr("adamw", lr=0.01, radius=[1.0, 10.0])
        array([0.01 , 0.001])

    References:
        van Laarhoven, "L2 Regularization versus Batch and Weight Normalization", 2017.
    """
    power = radius_power(optimizer)
    eta = positive("lr", given_or_set(optimizer, "lr", lr))
    r = positive("radius", radius)
    check_shapes(lr=eta, radius=r)
    with np.errstate(all="ignore"):
        rate = eta / r
        # One division at a time: r² may leave float64 where η/r² does not.
        return result("effective learning rate", rate / r if power == 2 else rate)
