"""The usual learning-rate schedules, as one number for each step."""

from typing import Final

import numpy as np

from etaeff._checks.numbers import FloatArray, count, not_negative, one_positive
from etaeff.errors import UnknownNameError, UsageError

SCHEDULES: Final = ("constant", "cosine", "linear", "step")
_DROPS: Final = (1 / 3, 2 / 3)  # of ResNet's 90 epochs: after 30 and 60


def lr_schedule(
    name: str, *, lr: float, steps: int, warmup: int = 0, final: float = 0.0
) -> FloatArray:
    r"""Learning rate of every step.

    After a linear warm-up, with s the share of the remaining steps that has passed:

    $$\eta_\mathrm{cosine} = \eta_f + (\eta - \eta_f)\,\tfrac{1 + \cos \pi s}{2}, \qquad
      \eta_\mathrm{linear} = \eta_f + (\eta - \eta_f)(1 - s).$$

    Args:
        name: `"constant"`, `"cosine"`, `"linear"`, or `"step"`, which divides by 10 at a third
            and at two thirds of the run.
        lr: Peak η > 0.
        steps: How many, from 1 on.
        warmup: Steps of warm-up; step t of it has η(t + 1)/(`warmup` + 1).
        final: η_f ≥ 0, the rate that cosine and linear come down to just after the last step.

    Returns:
        η of each step, shape (`steps`,).

    Raises:
        UnknownNameError: If the schedule is not known.
        UsageError: If an argument lies outside its range.

    Examples:
        >>> lr_schedule("cosine", lr=0.1, steps=4)
        array([0.1       , 0.0853553..., 0.05      , 0.0146446...])
        >>> lr_schedule("linear", lr=0.3, steps=5, warmup=2)
        array([0.1, 0.2, 0.3, 0.2, 0.1])
    """
    if name not in SCHEDULES:
        raise UnknownNameError("schedule", name, SCHEDULES)
    peak, steps = one_positive("lr", lr), count("steps", steps)
    floor = not_negative("final", final)
    if floor.ndim:
        raise UsageError(f"`final` must be one number, got an array of shape {floor.shape}.")
    if (
        isinstance(warmup, bool)
        or not isinstance(warmup, int | np.integer)
        or not (0 <= warmup < steps)
    ):
        raise UsageError(
            f"`warmup` must be a whole number of steps from 0 to below `steps`, got {warmup!r}."
        )
    time = np.arange(warmup, steps)
    share = (time - warmup) / (steps - warmup)
    if name == "cosine":
        after = floor + (peak - floor) * ((1 + np.cos(np.pi * share)) / 2)
    elif name == "linear":
        after = floor + (peak - floor) * (1 - share)
    elif name == "step":
        after = peak * 0.1 ** np.sum([time >= round(drop * steps) for drop in _DROPS], axis=0)
    else:
        after = np.full(len(time), peak)
    return np.concatenate([peak * (np.arange(1, warmup + 1) / (warmup + 1)), after])
