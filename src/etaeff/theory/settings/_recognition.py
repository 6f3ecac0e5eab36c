"""Which setting an optimiser of torch has, by its class's name and a param group: without torch."""

from collections.abc import Mapping
from typing import Any

from etaeff.errors import NoLawError, UnknownNameError, UsageError
from etaeff.theory.settings._arguments import plain
from etaeff.theory.settings._lawless import LAWLESS, no_law
from etaeff.theory.settings._registry import OPTIMIZERS, Optimizer
from etaeff.theory.settings._setting import Setting


def of_torch(type_name: str, group: Mapping[str, Any]) -> Setting:
    """The setting of a param group of an optimiser of torch, for what the theory knows of it.

    Recognised are the classes of torch.optim, Lion as its authors have it, and this package's
    sphere optimisers, which stand for the free optimiser whose update they have. What does not
    change the laws is passed over: `maximize`, `foreach`, `fused`, `capturable`,
    `differentiable`, and ε, which the theory takes to be small.

    Args:
        type_name: Name of the class: `type(optimizer).__name__`. A subclass of another name may
            do anything, and is not known.
        group: One of its `param_groups`. Numbers may be tensors of one element.

    Returns:
        The setting, with all that the group says.

    Raises:
        NoLawError: If no law is derived for this class, or for an option that the group has.
        UnknownNameError: If the class is not known.
        UsageError: If the group lacks `lr` or `weight_decay`.

    Examples:
        >>> group = {"lr": 0.1, "weight_decay": 5e-4, "momentum": 0.9, "nesterov": True}
        >>> print(of_torch("SGD", group))
        sgd lr=0.1 wd=0.0005 momentum=0.9 nesterov=true
        >>> of_torch("Adagrad", {"lr": 0.01, "weight_decay": 0.0})
        Traceback (most recent call last):
        etaeff.errors.NoLawError: No law is derived for Adagrad: it divides by the sum of ...
    """
    if type_name in LAWLESS:
        raise no_law(type_name)
    row = _row_of(type_name, group)
    for key, assumption in row.assumptions.items():
        if key in group and not _equal(group[key], assumption.value):
            raise NoLawError(
                f"No law is derived for {type_name} with {key}={group[key]!r}: {assumption.reason}."
            )
    for key in ("lr", "weight_decay"):
        if key not in group:
            raise UsageError(f"The param group of {type_name} has no `{key}`.")
    arguments = {
        name: plain(name, group[name]) for name in row.defaults if group.get(name) is not None
    }
    decay = _decay_of(group)
    return Setting(
        optimizer=row.name,
        lr=float(group["lr"]),
        wd=float(group["weight_decay"]),
        decay=None if decay == row.usual_decay else decay,
        **arguments,
    )


def _row_of(type_name: str, group: Mapping[str, Any]) -> Optimizer:
    """The row with this class, or the one that it becomes where the group moves its decay."""
    named = [row for row in OPTIMIZERS.values() if type_name in row.classes]
    if not named:
        known = [*(kind for row in OPTIMIZERS.values() for kind in row.classes), *LAWLESS]
        raise UnknownNameError("optimizer class", type_name, known)
    (row,) = named
    decay = _decay_of(group)
    if decay == "decoupled" and row.decoupled_name is not None:
        return OPTIMIZERS[row.decoupled_name]
    if decay is not None and decay not in row.laws:
        return next(other for other in OPTIMIZERS.values() if other.decoupled_name == row.name)
    return row


def _decay_of(group: Mapping[str, Any]) -> str | None:
    """Where the group says that its decay acts; `None` if it does not say."""
    flag = group.get("decoupled_weight_decay")
    return None if flag is None else "decoupled" if flag else "l2"


def _equal(value: Any, assumed: Any) -> bool:
    """Whether an option has the value that the law takes for granted."""
    return bool((tuple(value) if isinstance(assumed, tuple) else value) == assumed)
