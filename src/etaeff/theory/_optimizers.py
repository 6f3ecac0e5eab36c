"""The optimisers that the theory knows, by torch's names, and the arguments each one has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from etaeff._checks.numbers import check_shapes, fraction
from etaeff.errors import UnknownNameError, UsageError


@dataclass(frozen=True)
class Family:
    """What sets one optimiser's update rule apart.

    Attributes:
        radius_power: The power of ‖w‖ that the effective learning rate is divided by.
        decays: Where the weight decay may act, the usual place first: `"l2"` adds λw to the
            gradient, `"decoupled"` multiplies the weight by 1 − ηλ.
        defaults: The arguments of its own, with torch's default.
    """

    radius_power: int
    decays: tuple[str, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)


LR_ADJUSTMENTS: Final = ("original", "match_rms_adamw")  # torch.optim.Muon's

_ADAM_BETAS: Final = (0.9, 0.999)

FAMILIES: Final[Mapping[str, Family]] = {
    "sgd": Family(2, ("l2", "decoupled"), {"momentum": 0.0, "dampening": 0.0, "nesterov": False}),
    "rmsprop": Family(1, ("l2", "decoupled"), {"alpha": 0.99, "momentum": 0.0}),
    "adam": Family(1, ("l2", "decoupled"), {"betas": _ADAM_BETAS}),
    "adamw": Family(1, ("decoupled",), {"betas": _ADAM_BETAS}),
    "lion": Family(1, ("decoupled",), {"betas": (0.9, 0.99)}),
    "muon": Family(
        1,
        ("decoupled",),
        {"momentum": 0.95, "nesterov": True, "shape": None, "adjust_lr_fn": "original"},
    ),
    "normalized": Family(1, ("decoupled",), {"momentum": 0.0}),
}


@dataclass(frozen=True)
class Rule:
    """An optimiser with its own arguments filled in and checked."""

    name: str
    family: Family
    decay: str
    arguments: Mapping[str, Any]

    def __getitem__(self, argument: str) -> Any:
        """The value of one of the optimiser's own arguments."""
        return self.arguments[argument]


def family(optimizer: str) -> Family:
    """What is known of `optimizer`; an unknown one is refused with the list of the known."""
    if not isinstance(optimizer, str) or optimizer not in FAMILIES:
        raise UnknownNameError("optimizer", str(optimizer), FAMILIES)
    return FAMILIES[optimizer]


def rule(optimizer: str, decay: str | None, given: Mapping[str, Any]) -> Rule:
    """The optimiser with `given` arguments; those that are `None` take torch's default."""
    own = family(optimizer)
    for name, value in given.items():
        if value is not None and name not in own.defaults:
            takes = ", ".join(f"`{known}`" for known in own.defaults)
            raise UsageError(f"`{optimizer}` has no argument `{name}`; it takes {takes}.")
    decay = own.decays[0] if decay is None else decay
    if decay not in ("l2", "decoupled"):
        raise UsageError(f'`decay` must be "l2" or "decoupled", got {decay!r}.')
    if decay not in own.decays:
        other = ' For L2 with Adam, name "adam".' if optimizer == "adamw" else ""
        raise UsageError(
            f'`{optimizer}` is known with decay "decoupled" only: no law is derived for L2 '
            f"inside its gradient.{other}"
        )
    arguments = {
        name: default if given.get(name) is None else given[name]
        for name, default in own.defaults.items()
    }
    return Rule(optimizer, own, decay, {n: _checked(n, v) for n, v in arguments.items()})


def _checked(name: str, value: Any) -> Any:
    if name == "betas":
        if not (isinstance(value, tuple | list) and len(value) == 2):
            raise UsageError(f"`betas` must be a pair of numbers in [0, 1), got {value!r}.")
        betas = {f"betas[{i}]": fraction(f"betas[{i}]", beta) for i, beta in enumerate(value)}
        check_shapes(**betas)
        return tuple(betas.values())
    if name in ("momentum", "alpha", "dampening"):
        return fraction(name, value)
    if name == "adjust_lr_fn" and value not in LR_ADJUSTMENTS:
        raise UnknownNameError("adjust_lr_fn", str(value), LR_ADJUSTMENTS)
    if name == "nesterov" and not isinstance(value, bool):
        raise UsageError(f"`nesterov` must be True or False, got {value!r}.")
    return value
