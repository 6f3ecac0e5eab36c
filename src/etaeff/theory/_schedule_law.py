r"""The law of the effective learning rate under any schedule, exactly.

With $\Phi_t = \eta_t / (a_t r_t^{1+\nu})$ and a = 1 − ηλ, a step of SGD (ν = 1) is
$u_{t+1} \propto u_t - \Phi_t \bar g_t$: Φ is the rate on the unit sphere, decay included. For
updates that ignore the gradient's scale, ν = 0.
"""

import numpy as np
from numpy.typing import ArrayLike

from etaeff._checks.numbers import (
    FloatArray,
    check_shapes,
    count,
    not_negative,
    one_positive,
    positive,
    result,
)
from etaeff.errors import UsageError
from etaeff.theory._effective_lr import radius_power
from etaeff.theory.settings import Setting


def schedule_drive(optimizer: str | Setting = "sgd", *, lr: ArrayLike, wd: ArrayLike) -> FloatArray:
    r"""What a schedule alone does to the effective learning rate from each step to the next.

    $$B_t = \frac{\eta_{t+1}}{\eta_t\, a_t^\nu\, a_{t+1}}$$

    Above 1 the schedule drives Φ up, and gradient noise drives it down; constant settings have
    $B = a^{-1-\nu}$.

    Args:
        optimizer: A name or a `Setting`. Says ν: 1 for `"sgd"`, 0 for the others.
        lr: η > 0 of each step, shape (steps,).
        wd: λ ≥ 0, a number or one for each step; ηλ < 1.

    Returns:
        B, shape (steps − 1,).

    Examples:
        >>> schedule_drive(lr=[0.1, 0.1, 0.05], wd=0.0)
        array([1. , 0.5])

    References:
        arXiv:2609.09116, Theorem 2.1.
    """
    eta, keep = _schedule(lr, wd)
    nu = radius_power(optimizer) - 1
    with np.errstate(all="ignore"):
        return result("drive", eta[1:] / eta[:-1] / (keep[:-1] ** nu * keep[1:]))


def schedule_law(
    optimizer: str | Setting = "sgd",
    *,
    lr: ArrayLike,
    wd: ArrayLike,
    radius: float,
    grad_norm_sq: ArrayLike,
) -> FloatArray:
    r"""Φ at every step of a run, from its first radius and its gradients.

    $$\Phi_0 = \frac{\eta_0}{a_0 r_0^{1+\nu}}, \qquad
      \Phi_{t+1} = \frac{B_t\,\Phi_t}{(1 + \Phi_t^2 \|\bar p_t\|^2)^{(1+\nu)/2}}$$

    No approximation: it holds for any schedule and any minibatch noise, as long as the update
    p̄ on the unit sphere is orthogonal to the weight. SGD without momentum has p̄ = ḡ, of which it
    is always true; sign methods and Adam are orthogonal only on average.

    Args:
        optimizer: A name or a `Setting`. Says ν: 1 for `"sgd"`, 0 for the others.
        lr: η > 0 of each step, shape (steps,).
        wd: λ ≥ 0, a number or one for each step; ηλ < 1.
        radius: ‖w‖ > 0 before the first step.
        grad_norm_sq: ‖p̄_t‖² ≥ 0 of each step: a number, or shape (steps,), the last unused.

    Returns:
        Φ of each step, shape (steps,). From it, $r_t^{1+\nu} = \eta_t/(a_t\Phi_t)$.

    Raises:
        UnknownNameError: If the optimiser is not known.
        UsageError: If an argument lies outside its range or is of another length; if Φ leaves
            float64.

    Examples:
        One step of SGD, and what remains of the effective rate after it:

        >>> schedule_law(lr=[1.0, 1.0], wd=0.0, radius=1.0, grad_norm_sq=1.0)
        array([1. , 0.5])

    References:
        arXiv:2609.09116, Theorem 2.1.
    """
    power = radius_power(optimizer)
    eta, keep = _schedule(lr, wd)
    noise = _each_step("grad_norm_sq", not_negative("grad_norm_sq", grad_norm_sq), len(eta))
    start = one_positive("radius", radius)
    with np.errstate(all="ignore"):
        phi = float(np.float64(eta[0]) / keep[0] / start / start ** (power - 1))
        drive = schedule_drive(optimizer, lr=eta, wd=wd).tolist()
    phis = [phi]
    for b, g in zip(drive, noise[:-1].tolist(), strict=True):
        try:
            phi = b * phi / (1 + phi * phi * g) ** (power / 2)
        except OverflowError:
            phi = np.inf
        phis.append(phi)
    return result("rate on the unit sphere", np.array(phis))


def schedule_from_drive(
    drive: ArrayLike,
    *,
    lr: float,
    wd: ArrayLike,
    steps: int | None = None,
    optimizer: str | Setting = "sgd",
) -> FloatArray:
    r"""The schedule that has a given drive: the inverse of `schedule_drive`.

    $$\eta_{t+1} = \frac{q}{1 + \lambda_{t+1} q}, \qquad q = B_t\,\eta_t\,a_t^\nu$$

    With constant B it keeps the effective rate as constant settings keep it, whatever λ does.

    Args:
        drive: B > 0: a number, or one for each step but the last.
        lr: η > 0 of the first step.
        wd: λ ≥ 0, a number or one for each step; η₀λ₀ < 1.
        steps: How many; needed if neither `drive` nor `wd` says it.
        optimizer: Says ν.

    Returns:
        η of each step, shape (steps,).

    Raises:
        UsageError: If an argument lies outside its range; if η leaves float64.

    Examples:
        Without decay, what keeps the drive of λ = 5e-4 is an exponential schedule:

        >>> schedule_from_drive((1 - 5e-5) ** -2, lr=0.1, wd=0.0, steps=3)
        array([0.1       , 0.10001..., 0.10002...])

    References:
        arXiv:2609.09116; Li & Arora 2020 for the exponential case.
    """
    nu = radius_power(optimizer) - 1
    b, lam, eta = positive("drive", drive), not_negative("wd", wd), one_positive("lr", lr)
    lengths = {len(b) + 1 for b in [b] if b.ndim} | {len(lam) for lam in [lam] if lam.ndim}
    if steps is not None:
        lengths.add(count("steps", steps))
    if len(lengths) != 1 or b.ndim > 1 or lam.ndim > 1:
        raise UsageError(
            "`steps`, the length of `wd`, and that of `drive` and one more must say one number of "
            f"steps, got {sorted(lengths)}."
        )
    (length,) = lengths
    lam = np.broadcast_to(lam, length)
    strength = eta * float(lam[0])  # of Python's floats, which overflow without a warning
    if strength >= 1:
        raise UsageError(f"`lr` times `wd` must be below 1 at the start, got {strength}.")
    rates = [eta]
    for factor, now, then in zip(
        np.broadcast_to(b, length - 1).tolist(), lam[:-1].tolist(), lam[1:].tolist(), strict=True
    ):
        q = factor * eta * (1 - eta * now) ** nu
        eta = q / (1 + then * q)
        rates.append(eta)
    return result("learning rate", np.array(rates))


def switched_lr(*, lr: ArrayLike, wd: ArrayLike, new_wd: ArrayLike) -> FloatArray:
    r"""The learning rate with which the decay can be changed and no jump is felt.

    Φ does not change at a switch from (η, λ) to (η', λ') if and only if

    $$\frac{\eta'}{1 - \eta'\lambda'} = \frac{\eta}{1 - \eta\lambda}, \quad\text{so}\quad
      \eta' = \frac{\eta}{1 - \eta\lambda + \eta\lambda'}.$$

    Args:
        lr: η > 0 before the switch.
        wd: λ ≥ 0 before it, with ηλ < 1.
        new_wd: λ' ≥ 0 after it.

    Returns:
        η', of the broadcast shape.

    Raises:
        UsageError: If an argument lies outside its range, or the shapes do not broadcast.

    Examples:
        >>> float(switched_lr(lr=0.5, wd=0.2, new_wd=0.0))
        0.5555555555555556

    References:
        The recursion of arXiv:2609.09116, with Φ the same on both sides.
    """
    eta, old, new = positive("lr", lr), not_negative("wd", wd), not_negative("new_wd", new_wd)
    check_shapes(lr=eta, wd=old, new_wd=new)
    with np.errstate(all="ignore"):
        if np.any(eta * old >= 1):
            raise UsageError(f"`lr` times `wd` must be below 1, got {np.max(eta * old)}.")
        return result("learning rate", eta / (1 - eta * old + eta * new))


def _schedule(lr: ArrayLike, wd: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Rate of each step, and what is left of w."""
    eta = positive("lr", lr)
    if eta.ndim != 1:
        raise UsageError(
            f"`lr` must have one axis, with a number for each step; got the shape {eta.shape}."
        )
    lam = _each_step("wd", not_negative("wd", wd), len(eta))
    with np.errstate(all="ignore"):
        keep = np.asarray(1 - eta * lam)
    if not np.all(keep > 0):
        raise UsageError(f"`lr` times `wd` must be below 1, got {1 - np.min(keep)}.")
    return eta, keep


def _each_step(name: str, value: FloatArray, steps: int) -> FloatArray:
    """One number for each step, from one for all or as many."""
    if value.shape not in ((), (steps,)):
        raise UsageError(
            f"`{name}` must be a number or have one for each step of `lr`, which has {steps}; got "
            f"the shape {value.shape}."
        )
    return np.broadcast_to(value, (steps,))
