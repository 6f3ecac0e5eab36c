"""The effective learning rate of a recorded run, in another optimiser."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from etaeff._checks.numbers import FloatArray, check_shapes, per_step, positive, result
from etaeff.errors import UsageError
from etaeff.theory import Setting, effective_lr, update_norm
from etaeff.theory.settings import UpdateRule, requested_run, rule_of


def from_trajectory(
    source: str | Setting,
    target: str | Setting,
    *,
    lr: ArrayLike | None = None,
    wd: ArrayLike | None = None,
    radius: ArrayLike,
    target_radius: ArrayLike = 1.0,
    source_arguments: dict[str, Any] | None = None,
    target_arguments: dict[str, Any] | None = None,
    dim: ArrayLike | None = None,
    grad_norm_sq: ArrayLike | None = None,
) -> FloatArray:
    r"""Learning rates with which another run has the effective rate of a recorded one.

    The recorded step is $u' \propto u - \Phi \bar p$ with $\Phi = \eta / ((1-\eta\lambda)\,r^k)$, k
    the power of `etaeff.theory.radius_power`. A run without decay has the same one with

    $$\eta'_t = \Phi_t\, r_t'^{\,k'}\,\frac{U}{U'},$$

    where r' is its own radius, and U/U' converts the lengths of the updates
    (`etaeff.theory.update_norm`) if the optimisers differ. With r' = 1 that is a schedule for the
    unit sphere. Between runs of plain SGD it is exact, block by block; otherwise it holds the
    length of the steps and so, while steps are short, the angle.

    Args:
        source: Optimiser of the recorded run, as in `etaeff.equilibrium`: a `Setting`, or a name
            with `lr` and `wd`. Beside a setting, a schedule takes the place of its number.
        target: Optimiser of the run to come: a name, or a `Setting` whose `lr` and `wd` are let be.
        lr: η > 0 of each recorded step, or one number.
        wd: λ ≥ 0 of each recorded step, or one number.
        radius: ‖w‖ > 0 before each recorded step; further axes are blocks.
        target_radius: ‖w‖ of the run to come: 1 on the sphere, or as measured, step by step.
        source_arguments: Momentum, betas and the like of the recorded run.
        target_arguments: The same of the run to come.
        dim: C; needed if one of the optimisers, but not both, has an update whose norm it sets.
        grad_norm_sq: G, measured or not changing in time; needed between SGD and the others.

    Returns:
        η' of each step, of the shape that all inputs broadcast to.

    Raises:
        UnknownNameError: If an optimiser is not known.
        UsageError: If an argument lies outside its range, is missing, or does not broadcast; if
            the recorded run is one of Adam or RMSProp with L2.

    Examples:
        A channel whose norm grew to 2 under SGD, on the sphere and with its norm at 3:

        >>> recorded = dict(lr=0.1, wd=0.0, radius=[1.0, 2.0])
        >>> from_trajectory("sgd", "sgd", **recorded)
        array([0.1  , 0.025])
        >>> from_trajectory("sgd", "sgd", **recorded, target_radius=3.0)
        array([0.9  , 0.225])

    References:
        Hoffer et al., "Norm matters", 2018, for the correction per channel between SGD runs.
    """
    norms, new_norms = positive("radius", radius), positive("target_radius", target_radius)
    if not norms.ndim:
        raise UsageError("`radius` must have an axis of time: ‖w‖ before each recorded step.")
    rule, lr, wd = requested_run(source, lr, wd, source_arguments or {})
    new_rule = rule_of(target, target_arguments or {})
    eta, lam = per_step(lr, wd, len(norms))
    positive("lr", eta)
    with np.errstate(over="ignore"):
        x = eta * lam
    if np.any(x >= 1):
        raise UsageError(f"`lr` times `wd` must be below 1, got {np.max(x)}.")
    if rule.divides_decay and x.any():
        raise UsageError(
            f"A run of `{rule.name}` with L2 has no effective rate by itself: its second moment "
            "holds the decay."
        )
    in_time = (-1, *[1] * (norms.ndim - 1))
    phi = effective_lr(rule.name, lr=eta.reshape(in_time), radius=norms)
    phi = phi / (1 - x).reshape(in_time)
    lengths = _length_ratio(rule, new_rule, {"dim": dim, "grad_norm_sq": grad_norm_sq})
    check_shapes(radius=norms, target_radius=new_norms, grad_norm_sq=lengths)
    power = new_rule.optimizer.radius_power
    with np.errstate(over="ignore", under="ignore"):
        return result("learning rate", phi * new_norms**power * lengths)


def _length_ratio(source: UpdateRule, target: UpdateRule, sizes: dict[str, Any]) -> FloatArray:
    """U of the source over U of the target; what both need and neither has cancels out."""
    need = source.optimizer.length_needs
    alike = need == target.optimizer.length_needs
    if alike and need in sizes and sizes[need] is None:
        sizes = {**sizes, need: 1.0}
    lengths = []
    for rule in (source, target):
        arguments = dict(rule.arguments)
        if alike and need == "shape" and arguments["shape"] is None:
            arguments["shape"] = (1, 1)
        lengths.append(update_norm(rule.name, **sizes, **arguments))
    check_shapes(source=lengths[0], target=lengths[1])
    return np.asarray(lengths[0] / lengths[1])
