"""Radius, turn and effective learning rate over a whole training run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Unpack

import numpy as np
from numpy.typing import ArrayLike

from etaeff._checks.numbers import FloatArray, check_shapes, per_step, positive
from etaeff.errors import UsageError
from etaeff.theory._models import Path, model_of
from etaeff.theory.settings import Hyperparameters, Setting
from etaeff.theory.settings._arguments import check_single
from etaeff.theory.settings._update_rule import UpdateRule, requested_run

_LEFT_FLOAT64: Final = (
    "The radius leaves what float64 can hold on the way: the decay or the first steps are too "
    "large for this `radius`, or the units of the arguments do not fit."
)


@dataclass(frozen=True)
class Trajectory:
    """A predicted run. The first axis is time, the others are those of the inputs.

    Attributes:
        radius: ‖w‖ before each step and after the last: (steps + 1, …).
        angle: Turn of each step, radians: (steps, …).
        effective_lr: η/‖w‖² or η/‖w‖ of each step: (steps, …).
    """

    radius: FloatArray
    angle: FloatArray
    effective_lr: FloatArray


def trajectory(
    optimizer: str | Setting,
    *,
    lr: ArrayLike | None = None,
    wd: ArrayLike | None = None,
    radius: ArrayLike,
    steps: int | None = None,
    dim: ArrayLike | None = None,
    grad_norm_sq: ArrayLike | None = None,
    **arguments: Unpack[Hyperparameters],
) -> Trajectory:
    r"""Radius, angle and effective learning rate at every step, for any schedule of η and λ.

    The second moments of weight and buffer are followed step by step, in the model of
    `equilibrium`, from an empty buffer, with torch's first steps (bias correction too; without a
    warm-up Adam's second moment, which then rests on few gradients, makes them a few percent
    shorter than they are here). Plain SGD, for one, has
    $r_{t+1}^2 = a_t^2 r_t^2 + \eta_t^2 G / r_t^2$, which for constant η and λ is

    $$r_t^4 = r_\star^4 + (r_0^4 - r_\star^4)\,e^{-4\eta\lambda t}$$

    to first order in ηλ, and $r_0^4 + 2\eta^2 G t$ without decay. AdamW has
    $r_t^2 = a^{2t} r_0^2 + (1 - a^{2t})\,\eta C/(2\lambda)$. A million steps take under a second.

    Args:
        optimizer: As in `equilibrium`: a `Setting` or a name. Beside a setting, a schedule of
            `lr` or `wd` takes the place of its number.
        lr: Learning rate η ≥ 0: a number, or one for each step.
        wd: Weight decay λ ≥ 0: a number, or one for each step; ηλ < 2.
        radius: ‖w‖ > 0 at the start: a number, or an array of blocks.
        steps: How many; needed if neither `lr` nor `wd` says it.
        dim: Number of entries C: for Adam, RMSProp, Lion. Broadcasts against `radius`.
        grad_norm_sq: G: for SGD, and Adam and RMSProp with L2. Broadcasts against `radius`.
        **arguments: Hyperparameters as in `equilibrium`, but single numbers: `momentum`,
            `dampening`, `nesterov`, `betas`, `alpha`, `decay`, `adjust_lr_fn`, and `shape`, which
            Muon needs.

    Returns:
        The run.

    Raises:
        UnknownNameError: If the optimiser is not known.
        UsageError: If an argument is missing, outside its range, or of a shape that does not
            fit; if the radius leaves float64.

    Examples:
        >>> from etaeff.theory import equilibrium
        >>> run = trajectory("sgd", lr=0.1, wd=5e-3, radius=1.0, steps=5000, grad_norm_sq=1.0)
        >>> run.radius[[0, 500, 5000]].round(3)
        array([1.   , 1.609, 1.778])
        >>> float(equilibrium("sgd", lr=0.1, wd=5e-3, grad_norm_sq=1.0).radius.round(3))
        1.778

    References:
        Wan et al., "Spherical Motion Dynamics", 2020, for SGD; `docs/theory.md` for the rest.
    """
    rule, lr, wd = requested_run(optimizer, lr, wd, arguments)
    check_single(rule.arguments)
    eta, lam = per_step(lr, wd, steps)
    with np.errstate(all="ignore"):
        strongest = np.max(eta * lam)
    if not (strongest < 2 or rule.divides_decay):
        raise UsageError(f"`lr` times `wd` must be below 2 at every step, got {strongest}.")
    start = positive("radius", radius)
    sizes = _needed_sizes(rule, {"dim": dim, "grad_norm_sq": grad_norm_sq})
    blocks = check_shapes(radius=start, **sizes)
    with np.errstate(all="ignore"):  # what leaves float64 is refused below, in a sentence
        paths = [
            _path(rule, eta, lam, first, dict(zip(sizes, rest, strict=True)))
            for first, *rest in _each(blocks, start, *sizes.values())
        ]
    radius_sq, angle = (
        np.stack(part, axis=-1).reshape(-1, *blocks) for part in zip(*paths, strict=True)
    )
    eta = eta.reshape(-1, *[1] * len(blocks))
    norm = np.sqrt(radius_sq)
    with np.errstate(all="ignore"):
        rate = eta / norm[:-1] ** rule.optimizer.radius_power
    _check_path(norm, angle, rate)
    return Trajectory(norm, angle, rate)


def _path(
    rule: UpdateRule, eta: FloatArray, lam: FloatArray, radius: float, sizes: dict[str, float]
) -> Path:
    """The run of one block."""
    dim, g = sizes.get("dim", 1.0), sizes.get("grad_norm_sq", 1.0)
    try:
        return model_of(rule).path(rule, eta, lam, radius, dim, g)
    except (ZeroDivisionError, OverflowError):
        raise UsageError(_LEFT_FLOAT64) from None


def _needed_sizes(rule: UpdateRule, given: dict[str, ArrayLike | None]) -> dict[str, FloatArray]:
    """The sizes of the block without which the run of this optimiser is not known."""
    sizes = {}
    for name in rule.law.needs:
        if name == "shape":  # a hyperparameter here, since it is that of a whole matrix
            if rule["shape"] is None:
                raise UsageError(
                    "`shape`, (rows, columns) of the matrix, is needed for the run of "
                    f"{rule.optimizer.title}."
                )
            continue
        value = given[name]
        if value is None:
            raise UsageError(f"`{name}` is needed for the run of `{rule.name}`.")
        sizes[name] = positive(name, value)
    return sizes


def _each(shape: tuple[int, ...], *arrays: FloatArray) -> Iterator[tuple[Any, ...]]:
    """The values of every element of the broadcast arrays, as floats."""
    return zip(*(np.broadcast_to(a, shape).ravel().tolist() for a in arrays), strict=True)


def _check_path(norm: FloatArray, angle: FloatArray, rate: FloatArray) -> None:
    """Refuse a run that left float64, or lost its weight."""
    finite = all(np.all(np.isfinite(part)) for part in (norm, angle, rate))
    if not finite or np.any(norm <= 0):
        raise UsageError(_LEFT_FLOAT64)
