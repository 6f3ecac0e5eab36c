"""What a model of updates must know: where a weight rests, how fast, by which path, how far."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from etaeff._checks.numbers import FloatArray
from etaeff.errors import UsageError
from etaeff.theory._models._path import Path
from etaeff.theory.settings._update_rule import UpdateRule


class Sizes(NamedTuple):
    """What is known of a block; `None` is not known.

    Attributes:
        dim: Number of entries C.
        grad_norm_sq: G, the mean squared norm of the gradient on the unit sphere.
    """

    dim: FloatArray | None = None
    grad_norm_sq: FloatArray | None = None


class Rest(NamedTuple):
    """Where a weight comes to rest; `None` is not known.

    Attributes:
        radius: ‖w‖.
        decorrelation: 1 − cosine of successive weights.
        shrinkage: What decay takes from w a step, momentum aside: ηλ, or hλ with a rate h = η/s
            where λw is divided with the gradient by its root mean square s.
        notes: What is missing, and what the numbers assume.
    """

    radius: FloatArray | None
    decorrelation: FloatArray | None
    shrinkage: FloatArray | None
    notes: tuple[str, ...] = ()


class BareDecay(NamedTuple):
    """How a weight shrinks without gradients, and how far a drop of η lets it.

    Attributes:
        share: What it loses of itself a step.
        power: Of k in the radius, when η is divided by k.
    """

    share: FloatArray
    power: float


@dataclass(frozen=True)
class Model:
    """One model of updates. Each function takes the update rule first.

    Attributes:
        equilibrium: From η, λ and the sizes of the block, where a weight rests.
        half_life: From the shrinkage at rest, the steps in which a deviation of ‖w‖² halves.
        path: From η and λ of each step, the first radius, C and G, the run of one block.
        update_norm: From the sizes of the block, the length of an update for η = 1.
        bare_decay: From ηλ, how a weight shrinks without gradients.
    """

    equilibrium: Callable[[UpdateRule, FloatArray, FloatArray, Sizes], Rest]
    half_life: Callable[[UpdateRule, FloatArray], FloatArray]
    path: Callable[[UpdateRule, FloatArray, FloatArray, float, float, float], Path]
    update_norm: Callable[[UpdateRule, Sizes], FloatArray]
    bare_decay: Callable[[UpdateRule, FloatArray], BareDecay]


def radius_needs(name: str) -> str:
    """The note on an input without which the radius is not known."""
    return f"`radius` and `effective_lr` need `{name}`."


def needed(rule: UpdateRule, name: str, value: FloatArray | None) -> FloatArray:
    """A size of the block that the length of an update rests on."""
    if value is None:
        raise UsageError(f"`{name}` is needed for the update of `{rule.name}`.")
    return value
