"""Changes of a learning rate schedule, when the rates of its optimiser's groups change.

A schedule is exact afterwards if all it knows of the rates is scaled alike: whatever it does is
then linear in them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from etaeff.convert._optimizer_changes import Change, Part, times
from etaeff.errors import UsageError


@dataclass(frozen=True)
class _Kept:
    """What a class of schedules keeps, beside `base_lrs` and `_last_lr`.

    Args:
        rates: Lists of rates, one of each for a group.
        others: Lists of other things, one for a group.
        common: Single rates, which hold for all groups.
    """

    rates: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    common: tuple[str, ...] = ()


SCHEDULERS: Final[Mapping[str, _Kept]] = {
    "LambdaLR": _Kept(others=("lr_lambdas",)),
    "MultiplicativeLR": _Kept(others=("lr_lambdas",)),
    "StepLR": _Kept(),
    "MultiStepLR": _Kept(),
    "ConstantLR": _Kept(),
    "LinearLR": _Kept(),
    "ExponentialLR": _Kept(),
    "PolynomialLR": _Kept(),
    "CosineAnnealingLR": _Kept(common=("eta_min",)),
    "CosineAnnealingWarmRestarts": _Kept(common=("eta_min",)),
    "CyclicLR": _Kept(rates=("max_lrs",), others=("base_momentums", "max_momentums")),
    "OneCycleLR": _Kept(),  # it keeps the rest in the param groups
    # `eps` is the least change of a rate that it makes.
    "ReduceLROnPlateau": _Kept(rates=("min_lrs",), common=("eps", "default_min_lr")),
    "SequentialLR": _Kept(),
    "ChainedScheduler": _Kept(),
}


def check_scheduler(optimizer: Optimizer, scheduler: LRScheduler | None) -> None:
    """Refuse a schedule of another optimiser, and the lack of the one that there is.

    Args:
        optimizer: The optimiser.
        scheduler: Its schedule, if it was given.

    Raises:
        UsageError: If it belongs to another one, or there is one and it was not given.
    """
    if scheduler is not None:
        if scheduler.optimizer is not optimizer:
            raise UsageError("`scheduler` must be that of `optimizer`, got another optimizer's.")
    elif any("initial_lr" in group for group in optimizer.param_groups):
        raise UsageError(
            "`scheduler` must be given, since a schedule has left `initial_lr` in the param "
            "groups: it would go on with the old learning rates. Pass `scheduler=`, or delete "
            "`initial_lr` from the groups if it is no longer in use."
        )


def scheduler_changes(
    scheduler: LRScheduler, wanted: Sequence[Part], factors: Sequence[float]
) -> list[Change]:
    """Multiply what a schedule knows of the rates, and extend its lists to new groups.

    Args:
        scheduler: The schedule.
        wanted: The param groups to come, as `parts` gives them.
        factors: The factor of the learning rate of each of them.

    Raises:
        UsageError: If its class is not in the table, or a rate common to all groups would have
            to be multiplied by several factors.
    """
    kept = _kept_by(scheduler)
    held = vars(scheduler)
    changes: list[Change] = []

    def change(key: str, value: Any) -> None:
        changes.append(partial(setattr, scheduler, key, value))

    for key in ("base_lrs", "_last_lr", *kept.rates):
        if key in held:
            rates = [held[key][part.source] for part in wanted]
            change(key, [times(rate, c) for rate, c in zip(rates, factors, strict=True)])
    for key in kept.others:
        if key in held:
            change(key, [held[key][part.source] for part in wanted])
    for key in kept.common:
        if held.get(key):  # 0 suits every factor, and None means that there is none
            change(key, _common(type(scheduler).__name__, key, held[key], factors))
    for child in held.get("_schedulers", ()):
        changes += scheduler_changes(child, wanted, factors)
    return changes


def _kept_by(scheduler: LRScheduler) -> _Kept:
    """The row of a schedule, by its exact class: a subclass may do anything."""
    kind = type(scheduler)
    home = getattr(torch.optim.lr_scheduler, kind.__name__, None)
    if kind.__name__ not in SCHEDULERS or kind is not home:
        raise UsageError(
            f"`scheduler` must be one of torch.optim.lr_scheduler's {', '.join(SCHEDULERS)}, "
            f"got {kind.__module__}.{kind.__qualname__}: what it keeps of the learning rates is "
            "not known."
        )
    return SCHEDULERS[kind.__name__]


def _common(kind: str, key: str, value: float, factors: Sequence[float]) -> float | None:
    """A rate common to all groups after the change; `None` where it must be let go."""
    if len(set(factors)) == 1:
        return value * factors[0]
    if key == "default_min_lr":
        return None  # `min_lrs` holds one for each group; the default would overwrite them
    raise UsageError(
        f"`scheduler.{key}` must be 0, got {value}: {kind} has one for all param groups, and "
        "their learning rates change by different factors. Set it to 0, or create the schedule "
        "afterwards."
    )
