"""The usual learning-rate schedules, as one number for each step."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from etaeff._checks.numbers import FloatArray, count, not_negative, one_positive
from etaeff.errors import UnknownNameError, UsageError

SCHEDULES: Final = ("constant", "cosine", "linear", "step")
# The shares of a run after which a step schedule divides by ten, by the data that made each usual.
MILESTONES: Final[Mapping[str, tuple[float, ...]]] = MappingProxyType(
    {
        "imagenet": (1 / 3, 2 / 3),  # ResNet: after 30 and 60 of 90 epochs
        "cifar": (1 / 2, 3 / 4),  # ResNet: after 32,000 and 48,000 of 64,000 steps
    }
)


def lr_schedule(
    name: str,
    *,
    lr: float,
    steps: int,
    warmup: int = 0,
    final: float = 0.0,
    milestones: str = "imagenet",
) -> FloatArray:
    r"""Learning rate of every step.

    After a linear warm-up, with s the share of the remaining steps that has passed:

    $$\eta_\mathrm{cosine} = \eta_f + (\eta - \eta_f)\,\tfrac{1 + \cos \pi s}{2}, \qquad
      \eta_\mathrm{linear} = \eta_f + (\eta - \eta_f)(1 - s).$$

    Args:
        name: `"constant"`, `"cosine"`, `"linear"`, or `"step"`, which divides by 10 at each of
            its milestones.
        lr: Peak η > 0.
        steps: How many, from 1 on.
        warmup: Steps of warm-up; step t of it has η(t + 1)/(`warmup` + 1).
        final: η_f ≥ 0, the rate that cosine and linear come down to just after the last step.
        milestones: Those of `"step"`: `"imagenet"`, a third and two thirds of the run, or
            `"cifar"`, half and three quarters of it; each at the nearest step after the first.

    Returns:
        η of each step, shape (`steps`,).

    Raises:
        UnknownNameError: If the schedule or the milestones are not known.
        UsageError: If an argument lies outside its range.

    Examples:
        >>> lr_schedule("cosine", lr=0.1, steps=4)
        array([0.1       , 0.0853553..., 0.05      , 0.0146446...])
        >>> lr_schedule("linear", lr=0.3, steps=5, warmup=2)
        array([0.1, 0.2, 0.3, 0.2, 0.1])
        >>> lr_schedule("step", lr=1.0, steps=4, milestones="cifar").round(3)
        array([1.  , 1.  , 0.1 , 0.01])

    References:
        He et al., "Deep Residual Learning for Image Recognition", 2016, section 4.2, for CIFAR;
        its 90 epochs on ImageNet with drops after 30 and 60 are those of torchvision.
    """
    for kind, chosen, known in (
        ("schedule", name, SCHEDULES),
        ("milestones", milestones, MILESTONES),
    ):
        if chosen not in known:
            raise UnknownNameError(kind, chosen, known)
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
        drops = [max(1, math.floor(share * steps + 0.5)) for share in MILESTONES[milestones]]
        after = peak * 0.1 ** np.sum([time >= drop for drop in drops], axis=0)
    else:
        after = np.full(len(time), peak)
    return np.concatenate([peak * (np.arange(1, warmup + 1) / (warmup + 1)), after])
