"""The one form of all settings that mean the same, so that equal ones are written equally."""

import math
from typing import Any

import numpy as np

from etaeff.errors import UsageError
from etaeff.theory.settings._arguments import check_single
from etaeff.theory.settings._registry import OPTIMIZERS
from etaeff.theory.settings._setting import Setting
from etaeff.theory.settings._update_rule import rule_of


def canonical(setting: Setting) -> Setting:
    """The setting as plain numbers, with what stands at torch's default left out.

    Args:
        setting: One optimiser with its numbers, which may be NumPy's. η > 0 and λ ≥ 0.

    Returns:
        An equal setting. Two settings that mean the same give the same one, bit for bit, so that
        their text or a hash of it can name them.

    Raises:
        UsageError: If a value is no single number or lies outside its range, or the optimiser
            has no such argument; `UnknownNameError` and `NoLawError` if it is not known.

    Examples:
        >>> str(canonical(Setting(optimizer="sgd", lr=1, wd=-0.0, momentum=0, nesterov=False)))
        'sgd lr=1 wd=0'
        >>> str(canonical(Setting.parse("adam lr=1e-3 wd=0.1 betas=0.9,0.95 decay=decoupled")))
        'adamw lr=0.001 wd=0.1 betas=0.9,0.95'
    """
    stated = {name: _unboxed(value) for name, value in setting.arguments().items()}
    numbers = {name: stated.pop(name, None) for name in ("lr", "wd")}
    rule = rule_of(setting.optimizer, stated)
    check_single(rule.arguments)
    row = rule.optimizer
    if rule.decay == "decoupled" and row.decoupled_name is not None:
        row = OPTIMIZERS[row.decoupled_name]
    plain = {name: _plain(rule[name]) for name in stated if name != "decay"}
    return Setting(
        optimizer=row.name,
        lr=_number("lr", numbers["lr"], zero=False),
        wd=_number("wd", numbers["wd"], zero=True),
        decay=None if rule.decay == row.usual_decay or row is not rule.optimizer else rule.decay,
        **{name: value for name, value in plain.items() if value != row.defaults[name]},
    )


def _unboxed(value: Any) -> Any:
    """A NumPy scalar as Python's; a list as a tuple; anything else as it is."""
    if isinstance(value, np.generic):
        return value.item()
    return tuple(value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    """A checked argument as JSON has it; arrays of no axis as floats, and −0 as 0."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value if isinstance(value, bool | str) else float(value) + 0.0


def _number(name: str, value: Any, *, zero: bool) -> float:
    """η or λ as a float."""
    try:
        number = float(value) + 0.0
    except (TypeError, ValueError):
        raise UsageError(f"`{name}` must be a number, got {value!r}.") from None
    in_range = number >= 0 if zero else number > 0
    if not in_range or math.isinf(number):
        kind = "zero or positive" if zero else "positive"
        raise UsageError(f"`{name}` must be {kind} and finite, got {number}.")
    return number
