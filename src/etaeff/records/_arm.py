"""What an experiment does to a task beside its optimiser: norm, sphere, and where decay acts."""

import math
from dataclasses import dataclass, replace
from typing import Final

from etaeff.errors import UsageError
from etaeff.records._plain import check_choices, make_plain
from etaeff.theory import SCHEDULES

NORMS: Final = ("batch", "layer", "weight", "none")
NORMALISATIONS: Final = tuple(norm for norm in NORMS if norm != "none")
DECAYED_GAINS: Final = ("none", "all", "last")
# What weight decay acts on: of no effect without any.
DECAY_FIELDS: Final = ("decay_weights", "decay_head", "decay_gains")


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One arm of an experiment.

    Attributes:
        norm: `"batch"`, `"layer"`, `"weight"` or `"none"`.
        sphere: Apply the paper's remedy, w ← w/‖w‖, before the first step and after every step.
        decay_weights: Whether weight decay acts on the normalised weights.
        decay_head: Whether it acts on the last linear layer's weight.
        decay_gains: Which gains and shifts it acts on: `"none"`, `"all"`, or `"last"`, the gain
            of the last normalised layer alone.
        lr_rest: Learning rate of the head, gains and shifts; `None` means that of the weights.
        init_scale: Factor on the initial normalised weights.
        random_labels: Share of training labels that are drawn at random, in [0, 1].
        schedule: Of `theory.lr_schedule`, down to zero: `"constant"`, `"cosine"`, `"linear"` or
            `"step"`, divided by 10 at half and at three quarters of the run.
    """

    norm: str = "batch"
    sphere: bool = False
    decay_weights: bool = True
    decay_head: bool = False
    decay_gains: str = "none"
    lr_rest: float | None = None
    init_scale: float = 1.0
    random_labels: float = 0.0
    schedule: str = "constant"

    def __post_init__(self) -> None:
        make_plain(self)
        check_choices(self, {"norm": NORMS, "schedule": SCHEDULES, "decay_gains": DECAYED_GAINS})
        for field in ("lr_rest", "init_scale"):
            value = getattr(self, field)
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"`{field}` must be positive and finite, got {value}.")
        if not 0 <= self.random_labels <= 1:
            raise UsageError(f"`random_labels` must lie in [0, 1], got {self.random_labels}.")
        if self.sphere and self.norm == "none":
            raise UsageError("`sphere` needs a normalised network, got `norm` 'none'.")

    @property
    def undecayed(self) -> "Arm":
        """The arm of a run without decay: it does not matter what decay would act on."""
        return replace(self, decay_weights=True, decay_head=False, decay_gains="none")
