"""What is known of each optimiser: one row for each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from etaeff.errors import UnknownNameError
from etaeff.theory.settings._lawless import LAWLESS_NAMES, no_law


@dataclass(frozen=True, kw_only=True)
class Law:
    """What where the decay acts decides.

    Attributes:
        needs: What of the block sets the radius at equilibrium, and is needed to follow a run:
            of `"dim"`, `"grad_norm_sq"` and `"shape"`.
        lr_power: Power of η in the product of η and λ that fixes the turn per step.
    """

    needs: tuple[str, ...] = ()
    lr_power: int = 1


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """A value in torch's param group without which the law does not hold.

    Attributes:
        value: As it must be.
        reason: Why, as a part of a sentence.
    """

    value: Any
    reason: str


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """One optimiser, with torch's update rule.

    Attributes:
        name: As `etaeff.theory` takes it: torch's name in lower case.
        title: As papers write it.
        model: Which model has its laws: `"buffer"` (linear in the gradient), `"adaptive"`
            (divided by the root of a second moment) or `"memory"` (of a size that does not depend
            on the gradient's).
        radius_power: The power of ‖w‖ that the effective learning rate is divided by.
        laws: By where the weight decay may act, the usual one first: `"l2"` adds λw to the
            gradient, `"decoupled"` multiplies the weight by 1 − ηλ.
        defaults: Its own arguments, with torch's default.
        usual_lr: The learning rate that torch starts from, or else its authors.
        length_needs: What of the block sets the length of an update; `None` if nothing does.
        memory: The argument that says how long an update is remembered, where it may be chosen.
        classes: The classes that have this update: torch's, its authors' and ours.
        assumptions: By key of torch's param group, what the laws take for granted.
        decoupled_name: The name that it has with decoupled decay, if it is another.
        sphere: The optimiser on spheres that has its update.
        variants: Titles of its variants, the first one that fits: the argument that must not be
            zero, and the title.
    """

    name: str
    title: str
    model: str
    radius_power: int
    laws: Mapping[str, Law]
    defaults: Mapping[str, Any]
    usual_lr: float
    length_needs: str | None = None
    memory: str | None = None
    classes: tuple[str, ...] = ()
    assumptions: Mapping[str, Assumption] = field(default_factory=dict)
    decoupled_name: str | None = None
    sphere: str | None = None
    variants: tuple[tuple[str, str], ...] = ()

    @property
    def usual_decay(self) -> str:
        """Where the decay of torch's optimiser acts."""
        return next(iter(self.laws))


_ADAM_BETAS: Final = (0.9, 0.999)
_BY_SIZE: Final = Law(needs=("dim",))
# The decay is divided with the gradient: it depends on both sizes, and η counts twice.
_DIVIDED: Final = Law(needs=("dim", "grad_norm_sq"), lr_power=2)
_AMSGRAD: Final = Assumption(
    value=False,
    reason="it divides by the largest second moment that it has ever seen, which keeps no "
    "equilibrium with the norm",
)
_FIVE_STEPS: Final = "the size of the update is known for torch's Newton-Schulz steps only"

_ROWS: Final = (
    Optimizer(
        name="sgd",
        title="SGD",
        model="buffer",
        radius_power=2,
        laws={"l2": Law(needs=("grad_norm_sq",)), "decoupled": Law(needs=("grad_norm_sq",))},
        defaults={"momentum": 0.0, "dampening": 0.0, "nesterov": False},
        usual_lr=1e-3,
        length_needs="grad_norm_sq",
        memory="momentum",
        classes=("SGD", "SphereSGD"),
        sphere="sphere-sgd",
        variants=(("nesterov", "Nesterov"), ("momentum", "heavy ball")),
    ),
    Optimizer(
        name="rmsprop",
        title="RMSProp",
        model="adaptive",
        radius_power=1,
        laws={"l2": _DIVIDED, "decoupled": _BY_SIZE},
        defaults={"alpha": 0.99, "momentum": 0.0},
        usual_lr=1e-2,
        length_needs="dim",
        memory="momentum",
        classes=("RMSprop",),
        assumptions={
            "centered": Assumption(
                value=False,
                reason="it divides by a variance about a running mean, of which no law is derived",
            )
        },
    ),
    Optimizer(
        name="adam",
        title="Adam",
        model="adaptive",
        radius_power=1,
        laws={"l2": _DIVIDED, "decoupled": _BY_SIZE},
        defaults={"betas": _ADAM_BETAS},
        usual_lr=1e-3,
        length_needs="dim",
        memory="betas",
        classes=("Adam",),
        assumptions={"amsgrad": _AMSGRAD},
        decoupled_name="adamw",
    ),
    Optimizer(
        name="adamw",
        title="AdamW",
        model="adaptive",
        radius_power=1,
        laws={"decoupled": _BY_SIZE},
        defaults={"betas": _ADAM_BETAS},
        usual_lr=1e-3,
        length_needs="dim",
        memory="betas",
        classes=("AdamW", "SphereAdam"),
        assumptions={
            "amsgrad": _AMSGRAD,
            "second_moment": Assumption(
                value="entry", reason="no law is derived for one second moment of a whole block"
            ),
        },
        sphere="sphere-adam",
    ),
    Optimizer(
        name="lion",
        title="Lion",
        model="memory",
        radius_power=1,
        laws={"decoupled": _BY_SIZE},
        defaults={"betas": (0.9, 0.99)},
        usual_lr=1e-4,
        length_needs="dim",
        classes=("Lion", "SphereLion"),
        sphere="sphere-lion",
    ),
    Optimizer(
        name="muon",
        title="Muon",
        model="memory",
        radius_power=1,
        laws={"decoupled": Law(needs=("shape",))},
        defaults={"momentum": 0.95, "nesterov": True, "shape": None, "adjust_lr_fn": "original"},
        usual_lr=1e-3,
        length_needs="shape",
        memory="momentum",
        classes=("Muon", "SphereMuon"),
        assumptions={
            "ns_steps": Assumption(value=5, reason=_FIVE_STEPS),
            "ns_coefficients": Assumption(value=(3.4445, -4.7750, 2.0315), reason=_FIVE_STEPS),
        },
        sphere="sphere-muon",
    ),
    Optimizer(
        name="normalized",
        title="normalised gradients",
        model="memory",
        radius_power=1,
        laws={"decoupled": Law()},
        defaults={"momentum": 0.0},
        usual_lr=1e-3,
        memory="momentum",
    ),
    Optimizer(
        name="nadam",
        title="NAdam",
        model="adaptive",
        radius_power=1,
        laws={"l2": _DIVIDED, "decoupled": _BY_SIZE},
        defaults={"betas": _ADAM_BETAS, "momentum_decay": 4e-3},
        usual_lr=2e-3,
        length_needs="dim",
        memory="betas",
        classes=("NAdam",),
    ),
)

OPTIMIZERS: Final[Mapping[str, Optimizer]] = MappingProxyType({row.name: row for row in _ROWS})


def optimizer_of(name: str) -> Optimizer:
    """The row of an optimiser.

    Args:
        name: As `etaeff.equilibrium` takes it.

    Raises:
        NoLawError: If it is one of torch's of which no law is derived.
        UnknownNameError: If it is not known; the message lists the known ones.

    Examples:
        >>> optimizer_of("lion").usual_lr
        0.0001
    """
    if isinstance(name, str) and name in OPTIMIZERS:
        return OPTIMIZERS[name]
    if isinstance(name, str) and name in LAWLESS_NAMES:
        raise no_law(LAWLESS_NAMES[name])
    raise UnknownNameError("optimizer", str(name), OPTIMIZERS)
