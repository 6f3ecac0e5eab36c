"""Radius, turn and effective learning rate over a whole training run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from etaeff._checks.numbers import FloatArray, check_shapes, one_fraction, per_step, positive
from etaeff.errors import UsageError
from etaeff.theory._paths import Path, adamw_path, buffer_path, known_path
from etaeff.theory.settings._update_rule import UpdateRule, rule_of

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
    optimizer: str,
    *,
    lr: ArrayLike,
    wd: ArrayLike,
    radius: ArrayLike,
    steps: int | None = None,
    momentum: float | None = None,
    dampening: float | None = None,
    nesterov: bool | None = None,
    betas: tuple[float, float] | None = None,
    alpha: float | None = None,
    decay: str | None = None,
    dim: ArrayLike | None = None,
    grad_norm_sq: ArrayLike | None = None,
    shape: tuple[int, int] | None = None,
    adjust_lr_fn: str | None = None,
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
        optimizer: As in `equilibrium`.
        lr: Learning rate η ≥ 0: a number, or one for each step.
        wd: Weight decay λ ≥ 0: a number, or one for each step; ηλ < 2.
        radius: ‖w‖ > 0 at the start: a number, or an array of blocks.
        steps: How many; needed if neither `lr` nor `wd` says it.
        momentum: As in `equilibrium`, but a single number, as are the next four.
        dampening: Of SGD's momentum.
        nesterov: Of SGD and Muon.
        betas: Of Adam, AdamW and Lion.
        alpha: Of RMSProp.
        decay: `"l2"` or `"decoupled"`; by default as torch's optimiser does.
        dim: Number of entries C: for Adam, RMSProp, Lion. Broadcasts against `radius`.
        grad_norm_sq: G: for SGD, and Adam and RMSProp with L2. Broadcasts against `radius`.
        shape: (rows, columns) of Muon's matrix.
        adjust_lr_fn: Of Muon.

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
    chosen = rule_of(
        optimizer,
        {
            "decay": decay,
            "momentum": momentum,
            "dampening": dampening,
            "nesterov": nesterov,
            "betas": betas,
            "alpha": alpha,
            "shape": shape,
            "adjust_lr_fn": adjust_lr_fn,
        },
    )
    _check_single(chosen)
    eta, lam = per_step(lr, wd, steps)
    with np.errstate(all="ignore"):
        strongest = np.max(eta * lam)
    if not (strongest < 2 or _divides_decay(chosen)):
        raise UsageError(f"`lr` times `wd` must be below 2 at every step, got {strongest}.")
    start = positive("radius", radius)
    given = {"dim": dim, "grad_norm_sq": grad_norm_sq}
    inputs = {name: positive(name, _needed(chosen, name, given[name])) for name in _needs(chosen)}
    blocks = check_shapes(radius=start, **inputs)
    with np.errstate(all="ignore"):  # what leaves float64 is refused below, in a sentence
        paths = [
            _path(chosen, eta, lam, float(first), dict(zip(inputs, map(float, rest), strict=True)))
            for first, *rest in _each(blocks, start, *inputs.values())
        ]
    radius_sq, angle = (
        np.stack(part, axis=-1).reshape(-1, *blocks) for part in zip(*paths, strict=True)
    )
    eta = eta.reshape(-1, *[1] * len(blocks))
    found = np.sqrt(radius_sq)
    with np.errstate(all="ignore"):
        rate = eta / found[:-1] ** chosen.optimizer.radius_power
    _check_path(found, angle, rate)
    return Trajectory(found, angle, rate)


def _path(
    chosen: UpdateRule, eta: FloatArray, lam: FloatArray, radius: float, inputs: dict[str, float]
) -> Path:
    """The run of one block."""
    dim, g = inputs.get("dim", 1.0), inputs.get("grad_norm_sq", 1.0)
    try:
        if chosen.name in ("adam", "adamw") and chosen.decay == "decoupled":
            return adamw_path(chosen, eta, lam, radius, dim)
        if chosen.name in ("sgd", "rmsprop", "adam"):
            # Under decoupled decay Adam's step is the same at any scale of the gradient.
            return buffer_path(chosen, eta, lam, radius, g=g, dim=dim)
        return known_path(chosen, eta, lam, radius, dim)
    except (ZeroDivisionError, OverflowError):
        raise UsageError(_LEFT_FLOAT64) from None


def _check_single(chosen: UpdateRule) -> None:
    """Refuse arrays of what must be one number for the whole run."""
    for name, value in chosen.arguments.items():
        if name in ("momentum", "dampening", "alpha"):
            one_fraction(name, value)
        elif name == "betas":
            one_fraction("betas[0]", value[0])
            one_fraction("betas[1]", value[1])


def _divides_decay(chosen: UpdateRule) -> bool:
    """Whether λw is divided with the gradient, so that ηλ is not what it takes from w."""
    return chosen.decay == "l2" and chosen.name != "sgd"


def _needs(chosen: UpdateRule) -> tuple[str, ...]:
    """The inputs without which the run of this optimiser cannot be told."""
    if chosen.name == "muon" and chosen["shape"] is None:
        raise UsageError("`shape`, (rows, columns) of the matrix, is needed for the run of Muon.")
    if chosen.name in ("muon", "normalized"):
        return ()
    if chosen.name == "sgd":
        return ("grad_norm_sq",)
    return ("dim", "grad_norm_sq") if _divides_decay(chosen) else ("dim",)


def _needed(chosen: UpdateRule, name: str, value: ArrayLike | None) -> ArrayLike:
    if value is None:
        raise UsageError(f"`{name}` is needed for the run of `{chosen.name}`.")
    return value


def _each(shape: tuple[int, ...], *arrays: FloatArray) -> Iterator[tuple[Any, ...]]:
    """The values of every element of the broadcast arrays."""
    return zip(*(np.broadcast_to(a, shape).ravel().tolist() for a in arrays), strict=True)


def _check_path(*found: FloatArray) -> None:
    if not all(np.all(np.isfinite(part)) for part in found) or np.any(found[0] <= 0):
        raise UsageError(_LEFT_FLOAT64)
