"""An optimiser with its own arguments filled in and checked: what the models compute from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from etaeff._words import listed
from etaeff.errors import NoLawError, UsageError
from etaeff.theory.settings._arguments import DECAYS, checked
from etaeff.theory.settings._registry import OPTIMIZERS, Law, Optimizer, optimizer_of
from etaeff.theory.settings._setting import Setting


@dataclass(frozen=True)
class UpdateRule:
    """One update rule of torch.

    Attributes:
        optimizer: Its row of the registry.
        decay: `"l2"` or `"decoupled"`.
        arguments: Its own, all of them, numbers as arrays.
    """

    optimizer: Optimizer
    decay: str
    arguments: Mapping[str, Any]

    def __getitem__(self, argument: str) -> Any:
        """The value of one of the optimiser's own arguments."""
        return self.arguments[argument]

    @property
    def name(self) -> str:
        """The optimiser's."""
        return self.optimizer.name

    @property
    def law(self) -> Law:
        """What the place of the decay decides."""
        return self.optimizer.laws[self.decay]

    @property
    def divides_decay(self) -> bool:
        """Whether λw is divided with the gradient, so that ηλ is not what it takes from w."""
        return self.law.lr_power == 2


class Request(NamedTuple):
    """What a function was asked for: an update rule, and η and λ as they were given."""

    rule: UpdateRule
    lr: Any
    wd: Any


def name_of(optimizer: str | Setting) -> str:
    """The name of an optimiser that may be given with its numbers."""
    return optimizer.optimizer if isinstance(optimizer, Setting) else optimizer


def rule_of(optimizer: str | Setting, given: Mapping[str, Any]) -> UpdateRule:
    """The update rule of a `Setting`, or of a name with its arguments.

    Args:
        optimizer: Either.
        given: The arguments beside it; those that are `None` are not given.
    """
    return _rule(name_of(optimizer), _merged(optimizer, given))


def requested(optimizer: str | Setting, lr: Any, wd: Any, given: Mapping[str, Any]) -> Request:
    """The update rule, η and λ of a `Setting`, or of a name with keywords.

    Args:
        optimizer: Either.
        lr: η, if it is given as a keyword.
        wd: λ, likewise.
        given: The other keywords; those that are `None` are not given.
    """
    arguments = _merged(optimizer, {**given, "lr": lr, "wd": wd})
    rule = _rule(name_of(optimizer), arguments)
    for needed in ("lr", "wd"):
        if needed not in arguments:
            raise UsageError(f"`{needed}` is needed, unless the first argument is a `Setting`.")
    return Request(rule, arguments["lr"], arguments["wd"])


def requested_run(optimizer: str | Setting, lr: Any, wd: Any, given: Mapping[str, Any]) -> Request:
    """The same for a run, in which a schedule takes the place of a setting's number."""
    if isinstance(optimizer, Setting):
        schedules = {name: rate for name, rate in (("lr", lr), ("wd", wd)) if np.ndim(rate)}
        merged = requested(
            optimizer, None if "lr" in schedules else lr, None if "wd" in schedules else wd, given
        )
        return merged._replace(**schedules)
    return requested(optimizer, lr, wd, given)


def given_or_set(optimizer: str | Setting, name: str, value: Any) -> Any:
    """The value of one argument, as a keyword or by the `Setting`."""
    arguments = _merged(optimizer, {name: value})
    if name not in arguments:
        raise UsageError(f"`{name}` is needed, unless the first argument is a `Setting`.")
    return arguments[name]


def _merged(optimizer: str | Setting, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a `Setting` and the keywords beside it say; refused where they say different things."""
    stated = optimizer.arguments() if isinstance(optimizer, Setting) else {}
    beside = {name: value for name, value in given.items() if value is not None}
    for name in stated.keys() & beside.keys():
        if not np.array_equal(stated[name], beside[name]):
            raise UsageError(
                f"`{name}` is {stated[name]!r} in the setting and {beside[name]!r} beside it. Give "
                "it once, or change the setting by `dataclasses.replace`."
            )
    return stated | beside


def _rule(name: str, given: Mapping[str, Any]) -> UpdateRule:
    """The optimiser of this name; arguments that are not given take torch's default."""
    row = optimizer_of(name)
    arguments = {key: value for key, value in given.items() if key not in ("lr", "wd", "decay")}
    for key in arguments:
        if key not in row.defaults:
            takes = ", ".join(f"`{known}`" for known in row.defaults)
            raise UsageError(f"`{name}` has no argument `{key}`; it takes {takes}.")
    decay = given.get("decay", row.usual_decay)
    if decay not in DECAYS:
        raise UsageError(f'`decay` must be "l2" or "decoupled", got {decay!r}.')
    if decay not in row.laws:
        raise NoLawError(
            f'`{name}` is known with decay "{listed(row.laws)}" only: no law is derived for L2 '
            f"inside its gradient.{_other_name(row, decay)}"
        )
    filled = {**row.defaults, **arguments}
    return UpdateRule(row, decay, {key: checked(key, value) for key, value in filled.items()})


def _other_name(row: Optimizer, decay: str) -> str:
    """A hint at the optimiser that is this one with the other decay."""
    for other in OPTIMIZERS.values():
        if other.decoupled_name == row.name and decay in other.laws:
            return f' For L2 with {other.title}, name "{other.name}".'
    return ""
