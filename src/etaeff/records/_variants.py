"""What studies call an optimiser: the name in their tables, and the setting behind it."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from etaeff.errors import NoLawError, UnknownNameError
from etaeff.theory.settings import OPTIMIZERS as KNOWN_OPTIMIZERS
from etaeff.theory.settings import Setting, canonical, optimizer_of

MOMENTUM: Final = 0.9  # of heavy-ball and nesterov
# Variants with a name of their own, as settings are typed.
VARIANTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "heavy-ball": f"sgd momentum={MOMENTUM}",
        "nesterov": f"sgd momentum={MOMENTUM} nesterov=true",
    }
)
# In the order of tables and figures.
OPTIMIZERS: Final = ("sgd", "heavy-ball", "nesterov", "rmsprop", "adam", "adamw")
_NAMES: Final = {text: name for name, text in VARIANTS.items()}
_RATES: Final = ("lr=", "wd=")


def variant(setting: Setting) -> str:
    """The name of a setting's optimiser in tables: all of it but learning rate and decay.

    Examples:
        >>> variant(Setting.parse("sgd lr=0.1 wd=0 momentum=0.9"))
        'heavy-ball'
        >>> variant(Setting.parse("sgd lr=0.1 wd=0 momentum=0.5 dampening=0"))
        'sgd momentum=0.5'
    """
    words = str(canonical(setting)).split()
    text = " ".join(word for word in words if not word.startswith(_RATES))
    return _NAMES.get(text, text)


def setting_of(name: str, *, lr: float, wd: float = 0.0, **arguments: Any) -> Setting:
    """The setting of an optimiser that has the `name` which `variant` gives.

    Args:
        name: Such as `"adam"`, `"heavy-ball"` or `"sgd momentum=0.5"`.
        lr: Learning rate η > 0 of the normalised weights, per step.
        wd: Weight decay λ ≥ 0, PyTorch's convention.
        **arguments: Others of `Setting`, which go before those in the name.

    Raises:
        UnknownNameError: If the optimiser is not known.
        UsageError: If a value lies outside its range, or the optimiser has no such argument.

    Examples:
        >>> str(setting_of("nesterov", lr=0.1))
        'sgd lr=0.1 wd=0 momentum=0.9 nesterov=true'
    """
    text = VARIANTS.get(name, name) if isinstance(name, str) else ""
    try:
        optimizer_of(text.partition(" ")[0])
    except NoLawError:
        raise
    except UnknownNameError:
        known = dict.fromkeys((*OPTIMIZERS, *KNOWN_OPTIMIZERS))
        raise UnknownNameError("optimizer", str(name), list(known)) from None
    return canonical(replace(Setting.parse(f"{text} lr=1 wd=0"), lr=lr, wd=wd, **arguments))
