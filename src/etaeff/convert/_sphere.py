r"""From a free weight with decay to one of unit norm without: where the decay goes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from etaeff._arguments import FloatArray, check_shapes, one_fraction, per_step, positive
from etaeff.convert._exponential import shrinkages
from etaeff.errors import UsageError
from etaeff.theory import Equilibrium, effective_lr, equilibrium, radius_power, usual_decay


@dataclass(frozen=True)
class SphereSchedule:
    r"""A schedule for weights of unit norm, without decay.

    The step is $u' = N(u - \eta_s v')$, where N normalises and v' is the base optimiser's update
    from gradients at the unit-norm weight; the buffer is not projected.

    Attributes:
        lr: η_s of each step; `None` if an input that it needs is missing.
        momentum: Momentum of each step, where the base optimiser is SGD; else `None`.
        angle: RMS turn of each step in radians; `None` where it is not known beforehand.
        notes: Sentences on what is missing, and where this is not exact.
    """

    lr: FloatArray | None
    momentum: FloatArray | None
    angle: FloatArray | None
    notes: tuple[str, ...] = ()


def to_sphere(
    optimizer: str,
    *,
    lr: ArrayLike,
    wd: ArrayLike,
    radius: ArrayLike | None = None,
    steps: int | None = None,
    dim: ArrayLike | None = None,
    grad_norm_sq: ArrayLike | None = None,
    **arguments: Any,
) -> SphereSchedule:
    r"""The schedule on the unit sphere that turns the weights as (η, λ) does.

    From the `radius` of a run, step by step, heavy ball with L2 is followed exactly: with α of
    `exponential_schedule`,

    $$\eta_{s,t} = \frac{\eta_t}{\alpha_{t+1} r_t^2}, \qquad
      \mu_{s,t} = \frac{\mu\, r_t}{\alpha_t r_{t-1}},$$

    which is $\eta_t/((1-\eta_t\lambda_t)r_t^2)$ without momentum. Optimisers that ignore the
    gradient's scale have $\eta_s = \eta/(a r)$, which is exact without memory, and nearly so while
    the norm moves little within the memory.

    Without `radius` it is what these come to at equilibrium, from a formula: it has the angle of
    `etaeff.equilibrium` from the first step on, where the free run first has to get there.

    Args:
        optimizer: As in `etaeff.equilibrium`.
        lr: Learning rate η > 0: a number, or one for each step.
        wd: Weight decay λ: a number, or one for each step; positive without `radius`.
        radius: ‖w‖ > 0 before each step of the run to be followed; one more at the end is let be.
        steps: How many; only needed with `radius` one number for all steps.
        dim: C, for the equilibrium of Adam, RMSProp and Lion.
        grad_norm_sq: G, for the equilibrium of SGD, and of Adam and RMSProp with L2.
        **arguments: The others of `etaeff.equilibrium`: momentum, betas, decay, ….

    Returns:
        The schedule.

    Raises:
        UnknownNameError: If the optimiser is not known.
        UsageError: If an argument lies outside its range; if Nesterov, dampening, or L2 with
            Adam or RMSProp is to be followed along a radius, for which there is no such law.

    Examples:
        >>> round(float(to_sphere("sgd", lr=0.1, wd=5e-4, grad_norm_sq=1.0).lr), 6)
        0.01
        >>> to_sphere("sgd", lr=[0.1, 0.1], wd=0.0, radius=[1.0, 2.0], momentum=0.5).lr
        array([0.1  , 0.025])
        >>> to_sphere("sgd", lr=0.1, wd=5e-4).notes
        ('`lr` needs `grad_norm_sq`; `angle` is known without.',)

    References:
        `docs/theory.md`; Li & Arora 2020 for α.
    """
    if radius is not None:
        return _along_radius(optimizer, lr, wd, radius, steps, arguments)
    return _at_equilibrium(optimizer, lr, wd, dim, grad_norm_sq, arguments)


def _along_radius(
    optimizer: str,
    lr: ArrayLike,
    wd: ArrayLike,
    radius: ArrayLike,
    steps: int | None,
    arguments: dict[str, Any],
) -> SphereSchedule:
    power = radius_power(optimizer)
    norms = positive("radius", radius)
    length = steps
    if norms.ndim == 1 and length is None and np.ndim(lr) == 0 and np.ndim(wd) == 0:
        length = len(norms)
    eta, lam = per_step(lr, wd, length)
    positive("lr", eta)
    if norms.ndim == 1 and len(norms) == len(eta) + 1:
        norms = norms[:-1]
    check_shapes(lr=eta, radius=norms)
    norms = np.broadcast_to(norms, eta.shape)
    _refuse_without_law(optimizer, arguments)
    mu = one_fraction("momentum", arguments.get("momentum") or 0.0)
    if power == 2 and arguments.get("decay") != "decoupled":
        left = shrinkages(eta, lam, mu)
    else:
        left = 1 - eta * lam
        if np.any(left <= 0):
            raise UsageError(f"`lr` times `wd` must be below 1, got {np.max(eta * lam)}.")
    rate = effective_lr(optimizer, lr=eta, radius=norms) / left
    if power != 2:
        note = "Exact without momentum or betas; with them, while the norm moves little."
        return SphereSchedule(rate, None, None, (note,))
    before = left if arguments.get("decay") != "decoupled" else np.ones(len(left))
    momentum = np.append(mu, mu * norms[1:] / (before[:-1] * norms[:-1]))
    return SphereSchedule(rate, momentum, None)


def _at_equilibrium(
    optimizer: str,
    lr: ArrayLike,
    wd: ArrayLike,
    dim: ArrayLike | None,
    grad_norm_sq: ArrayLike | None,
    arguments: dict[str, Any],
) -> SphereSchedule:
    """The rate η/(α r^power) at the radius where it settles, α being what decay leaves a step."""
    found = equilibrium(optimizer, lr=lr, wd=wd, dim=dim, grad_norm_sq=grad_norm_sq, **arguments)
    notes = list(found.notes)
    if found.angle is None:
        return SphereSchedule(None, None, None, tuple(notes))
    l2 = (arguments.get("decay") or usual_decay(optimizer)) == "l2"
    eta, lam = np.asarray(lr, dtype=float), np.asarray(wd, dtype=float)
    mu = np.asarray(_memory_constant(optimizer, arguments), dtype=float)
    if not l2:
        left, kept = 1 - eta * lam, np.ones(())
        if np.any(left <= 0):
            raise UsageError(f"`lr` times `wd` must be below 1, got {np.max(eta * lam)}.")
    else:
        left = kept = _larger_root(mu, _shrinkage(optimizer, eta * lam, mu, found, arguments))
        if arguments.get("nesterov"):
            notes.append("Right to first order in ηλ: Nesterov has no exact counterpart.")
    momentum = (mu / kept)[()] if optimizer in ("sgd", "rmsprop") else None
    if l2 and optimizer == "adam":
        notes.append(f"To first order in ηλ; the exact beta1 is {np.max(mu / kept):.6g}.")
    if found.radius is None or found.effective_lr is None:
        missing = {"sgd": "grad_norm_sq", "muon": "shape"}.get(optimizer, "dim")
        note = f"`lr` needs `{missing}`; `angle` is known without."
        return SphereSchedule(None, momentum, found.angle, (note,))
    rate = found.effective_lr / left
    if l2 and optimizer in ("adam", "rmsprop"):
        # Free, the second moment holds the decay too; on the sphere it holds ‖ḡ‖² alone.
        decay_sq = lam**2 * found.radius**4
        rate = rate / np.sqrt(1 + decay_sq / np.asarray(grad_norm_sq, dtype=float))
    return SphereSchedule(np.asarray(rate)[()], momentum, found.angle, tuple(notes))


def _shrinkage(
    optimizer: str,
    x: FloatArray,
    mu: FloatArray,
    found: Equilibrium,
    arguments: dict[str, Any],
) -> FloatArray:
    """What L2 takes from w a step, before momentum adds to it."""
    if optimizer == "sgd":
        return np.asarray(x * (1 - np.asarray(arguments.get("dampening") or 0.0)))
    assert found.angle is not None
    return np.asarray((1 + mu) * 2 * np.sin(found.angle / 2) ** 2)  # as 1 − cosine is y/(1 + μ)


def _larger_root(mu: FloatArray, y: FloatArray) -> FloatArray:
    """α⋆, the larger root of z² − (1 + μ − y)z + μ."""
    half = (1 + mu - y) / 2
    if np.any(half**2 < mu):
        raise UsageError(
            "`lr` times `wd` is too large for this momentum: decay alone makes the weight "
            "oscillate through zero, which nothing on the sphere does."
        )
    return np.asarray(half + np.sqrt(half**2 - mu))


def _memory_constant(optimizer: str, arguments: dict[str, Any]) -> Any:
    if optimizer in ("adam", "adamw"):
        return (arguments.get("betas") or (0.9, 0.999))[0]
    return arguments.get("momentum") or 0.0


def _refuse_without_law(optimizer: str, arguments: dict[str, Any]) -> None:
    """Refuse what cannot be followed along a radius."""
    decay = arguments.get("decay") or usual_decay(optimizer)
    if optimizer == "sgd" and (arguments.get("nesterov") or arguments.get("dampening")):
        raise UsageError(
            "A run with Nesterov momentum or dampening cannot be followed along its radius; "
            "leave `radius` out for its equilibrium."
        )
    if optimizer in ("adam", "rmsprop") and decay == "l2":
        raise UsageError(
            f"A run of `{optimizer}` with L2 cannot be followed along its radius, because its "
            "second moment holds the decay; leave `radius` out for its equilibrium."
        )
