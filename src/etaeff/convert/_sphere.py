r"""From a free weight with decay to one of unit norm without: where the decay goes."""

from dataclasses import dataclass
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from etaeff._checks.numbers import FloatArray, one_fraction, per_step, positive, result
from etaeff.convert._exponential import losses
from etaeff.convert._match import Aim
from etaeff.errors import UsageError
from etaeff.theory import Setting, effective_lr, equilibrium
from etaeff.theory.settings import Hyperparameters, UpdateRule, requested_run


@dataclass(frozen=True)
class SphereSchedule:
    r"""A schedule for weights of unit norm, without decay.

    The step is $u' = N(u - \eta_s v')$, where N normalises and v' is the base optimiser's update
    from gradients at the unit-norm weight; the buffer is not projected.

    Attributes:
        lr: η_s of each step; `None` if an input that it needs is missing.
        momentum: Momentum of each step, where the base optimiser is SGD or, at equilibrium,
            RMSProp; else `None`.
        angle: RMS turn of each step in radians; `None` where it is not known beforehand.
        notes: Sentences on what is missing, and where this is not exact.
    """

    lr: FloatArray | None
    momentum: FloatArray | None
    angle: FloatArray | None
    notes: tuple[str, ...] = ()


def to_sphere(
    optimizer: str | Setting,
    *,
    lr: ArrayLike | None = None,
    wd: ArrayLike | None = None,
    radius: ArrayLike | None = None,
    steps: int | None = None,
    dim: ArrayLike | None = None,
    grad_norm_sq: ArrayLike | None = None,
    **arguments: Unpack[Hyperparameters],
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
        optimizer: As in `etaeff.equilibrium`: a `Setting`, or a name with `lr` and `wd`. Beside a
            setting, a schedule takes the place of its number.
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
    rule, lr, wd = requested_run(optimizer, lr, wd, arguments)
    if radius is not None:
        return _along_radius(rule, lr, wd, radius, steps)
    return _at_equilibrium(rule, lr, wd, dim, grad_norm_sq)


def _along_radius(
    rule: UpdateRule, lr: ArrayLike, wd: ArrayLike, radius: ArrayLike, steps: int | None
) -> SphereSchedule:
    """The rate η/(α r^power) at each radius of a run, α being what decay leaves a step."""
    _check_followable(rule)
    linear = rule.optimizer.model == "buffer"
    eta, lam, norms = _steps_and_norms(lr, wd, radius, steps)
    with np.errstate(over="ignore"):
        x = eta * lam
    mu = one_fraction("momentum", rule["momentum"]) if "momentum" in rule.arguments else 0.0
    coupled = linear and rule.decay == "l2"
    left = 1 - losses(eta, x, mu) if coupled else _left(x)
    with np.errstate(all="ignore"):
        rate = result("learning rate", effective_lr(rule.name, lr=eta, radius=norms) / left)
    if not linear:
        note = "Exact without momentum or betas; with them, while the norm moves little."
        return SphereSchedule(rate, None, None, (note,))
    before = left if coupled else np.ones(len(left))
    momentum = np.append(mu, mu * norms[1:] / (before[:-1] * norms[:-1]))
    return SphereSchedule(rate, momentum, None)


def _steps_and_norms(
    lr: ArrayLike, wd: ArrayLike, radius: ArrayLike, steps: int | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """η, λ and ‖w‖ before each step."""
    norms = positive("radius", radius)
    if norms.ndim > 1:
        raise UsageError(
            f"`radius` must be that of one block in time, got the shape {norms.shape}."
        )
    length = steps
    if norms.ndim and length is None and np.ndim(lr) == 0 and np.ndim(wd) == 0:
        length = len(norms)
    eta, lam = per_step(lr, wd, length)
    positive("lr", eta)
    if norms.ndim and len(norms) not in (len(eta), len(eta) + 1):
        raise UsageError(
            f"`radius` must have one number for each of the {len(eta)} steps, or one more at the "
            f"end; got {len(norms)}."
        )
    return eta, lam, np.broadcast_to(norms[: len(eta)] if norms.ndim else norms, eta.shape)


def _at_equilibrium(
    rule: UpdateRule,
    lr: ArrayLike,
    wd: ArrayLike,
    dim: ArrayLike | None,
    grad_norm_sq: ArrayLike | None,
) -> SphereSchedule:
    """The rate η/(α r^power) at the radius where it settles, α being what decay leaves a step."""
    rest = equilibrium(
        rule.name, lr=lr, wd=wd, dim=dim, grad_norm_sq=grad_norm_sq, decay=rule.decay,
        **rule.arguments,
    )  # fmt: skip
    if rest.angle is None:
        return SphereSchedule(None, None, None, rest.notes)
    momentum = None
    if rule.optimizer.model != "memory" and "momentum" in rule.arguments:
        momentum = np.asarray(rule["momentum"])[()]
    if rule.divides_decay:
        return SphereSchedule(_rate_of_angle(rule, rest.angle, dim), momentum, rest.angle)
    notes = list(rest.notes)
    x = np.asarray(np.multiply(lr, wd), dtype=float)
    if rule.optimizer.model == "buffer" and rule.decay == "l2":
        mu = rule["momentum"]
        left = _larger_root(mu, x * (1 - np.where(mu > 0, rule["dampening"], 0.0)))
        momentum = (mu / left)[()]
        if rule["nesterov"]:
            notes.append("Right to first order in ηλ: Nesterov has no exact counterpart.")
    else:
        left = _left(x)
    if rest.effective_lr is None:
        note = f"`lr` needs `{rule.law.needs[0]}`; `angle` is known without."
        return SphereSchedule(None, momentum, rest.angle, (note,))
    rate = result("learning rate", rest.effective_lr / left)
    return SphereSchedule(rate, momentum, rest.angle, tuple(notes))


def _rate_of_angle(rule: UpdateRule, angle: FloatArray, dim: ArrayLike | None) -> FloatArray:
    """Rate on the sphere of Adam or RMSProp at an angle, from its decoupled equilibrium.

    On the sphere the second moment holds no decay, so the free run with L2 has no counterpart but
    by its angle. A decoupled run at the same angle has one: η/((1 − ηλ) r).
    """

    def rate(turn: float, entries: float) -> float:
        arguments = {**rule.arguments, "decay": "decoupled"}
        aim = Aim(rule.name, {"dim": entries}, arguments, ())
        product = aim.product(turn)
        radius = aim.equilibrium(product).radius
        assert radius is not None
        return float(1 / ((1 - product) * radius))

    return np.asarray(np.vectorize(rate, otypes=[float])(angle, dim))[()]


def _left(x: FloatArray) -> FloatArray:
    """What decoupled decay leaves of the weight a step."""
    if np.any(x >= 1):
        raise UsageError(f"`lr` times `wd` must be below 1, got {np.max(x)}.")
    return np.asarray(1 - x)


def _larger_root(mu: FloatArray, y: FloatArray) -> FloatArray:
    """α⋆, the larger root of z² − (1 + μ − y)z + μ."""
    half = (1 + mu - y) / 2
    if np.any((half <= 0) | (half**2 < mu)):
        raise UsageError(
            "`lr` times `wd` is too large for this momentum: decay alone makes the weight "
            "oscillate through zero, which nothing on the sphere does."
        )
    return np.asarray(half + np.sqrt(half**2 - mu))


def _check_followable(rule: UpdateRule) -> None:
    """Refuse what cannot be followed along a radius."""
    if rule.optimizer.model == "buffer" and (rule["nesterov"] or np.any(rule["dampening"] > 0)):
        raise UsageError(
            "A run with Nesterov momentum or dampening cannot be followed along its radius; "
            "leave `radius` out for its equilibrium."
        )
    if rule.divides_decay:
        raise UsageError(
            f"A run of `{rule.name}` with L2 cannot be followed along its radius, because its "
            "second moment holds the decay; leave `radius` out for its equilibrium."
        )
