"""The hyperparameters that only some optimisers have: how each is read, and what it must be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from etaeff._checks.numbers import check_shapes, fraction, not_negative, one_fraction
from etaeff.errors import UnknownNameError, UsageError

LR_ADJUSTMENTS: Final = ("original", "match_rms_adamw")  # torch.optim.Muon's
DECAYS: Final = ("l2", "decoupled")


class Hyperparameters(TypedDict, total=False):
    """Keyword arguments that the functions of `etaeff.theory` share; `None` is torch's default."""

    momentum: ArrayLike | None
    dampening: ArrayLike | None
    nesterov: bool | None
    betas: tuple[ArrayLike, ArrayLike] | None
    alpha: ArrayLike | None
    decay: str | None
    adjust_lr_fn: str | None
    momentum_decay: ArrayLike | None
    shape: tuple[int, int] | None


@dataclass(frozen=True)
class _Kind:
    """One kind of hyperparameter.

    Attributes:
        form: What its text must be.
        read: Its value from a text.
        plain: Its value from what torch has in a param group.
        check: Its value, numbers as arrays, refused by name outside its range.
    """

    form: str
    read: Callable[[str], Any]
    plain: Callable[[Any], Any]
    check: Callable[[str, Any], Any]


def _pair(text: str) -> tuple[float, float]:
    """Two numbers with a comma between."""
    first, second = text.split(",")
    return float(first), float(second)


def _checked_pair(name: str, value: Any) -> tuple[Any, ...]:
    """Two arrays of numbers in [0, 1) that broadcast."""
    if not (isinstance(value, tuple | list) and len(value) == 2):
        raise UsageError(f"`{name}` must be a pair of numbers in [0, 1), got {value!r}.")
    pair = {f"{name}[{i}]": fraction(f"{name}[{i}]", part) for i, part in enumerate(value)}
    check_shapes(**pair)
    return tuple(pair.values())


def _checked_flag(name: str, value: Any) -> bool:
    """True or false, and nothing that counts as such."""
    if not isinstance(value, bool):
        raise UsageError(f"`{name}` must be True or False, got {value!r}.")
    return value


def _checked_adjustment(name: str, value: Any) -> Any:
    """The name of one of Muon's adjustments of the rate."""
    if value not in LR_ADJUSTMENTS:
        raise UnknownNameError(name, str(value), LR_ADJUSTMENTS)
    return value


def _unchecked(_: str, value: Any) -> Any:
    """The value as it is: somebody else checks it."""
    return value


_NUMBER: Final = _Kind("a number", float, float, _unchecked)  # of η and λ, whoever takes them
_FRACTION: Final = _Kind("a number", float, float, fraction)
_KINDS: Final[Mapping[str, _Kind]] = {
    "lr": _NUMBER,
    "wd": _NUMBER,
    "momentum": _FRACTION,
    "dampening": _FRACTION,
    "alpha": _FRACTION,
    "momentum_decay": _Kind("a number", float, float, not_negative),
    "betas": _Kind(
        "two numbers with a comma between",
        _pair,
        lambda pair: tuple(float(part) for part in pair),
        _checked_pair,
    ),
    "nesterov": _Kind(
        "true or false",
        lambda text: {"true": True, "false": False}[text.lower()],
        bool,
        _checked_flag,
    ),
    "adjust_lr_fn": _Kind("a name", str, str, _checked_adjustment),
    "decay": _Kind("a name", str, str, _unchecked),  # it depends on the optimiser
    "shape": _Kind("two numbers with a comma between", _pair, tuple, _unchecked),
}


def read(name: str, text: str) -> Any:
    """The value of a part of a setting, as it was typed."""
    kind = _KINDS[name]
    try:
        return kind.read(text)
    except (KeyError, ValueError):
        raise UsageError(f"`{name}` must be {kind.form}, got {text!r}.") from None


def written(value: Any) -> str:
    """A value as `read` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(written, value))
    return value if isinstance(value, str) else repr(float(value)).removesuffix(".0")


def plain(name: str, value: Any) -> Any:
    """The value of a hyperparameter from a param group, whose numbers may be tensors."""
    return _KINDS[name].plain(value)


def checked(name: str, value: Any) -> Any:
    """The value of a hyperparameter, numbers as arrays; refused outside its range."""
    return _KINDS[name].check(name, value)


def check_single(arguments: Mapping[str, Any]) -> None:
    """Refuse arrays of what must be one number for a whole run."""
    for name, value in arguments.items():
        if name == "betas":
            for i, beta in enumerate(value):
                one_fraction(f"{name}[{i}]", beta)
        elif isinstance(value, np.ndarray) and value.ndim:
            allowed = " in [0, 1)" if _KINDS[name].check is fraction else ""
            raise UsageError(f"`{name}` must be one number{allowed}, got {value!r}.")
