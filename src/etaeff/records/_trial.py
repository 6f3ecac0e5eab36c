"""The specification of one training run of a study."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from operator import index
from typing import Any, Final

from etaeff.errors import UnknownNameError, UsageError

NETWORKS: Final = ("mlp", "conv")
NORMS: Final = ("batch", "layer", "weight", "none")
OPTIMIZERS: Final = ("sgd", "heavy-ball", "nesterov", "rmsprop", "adam", "adamw")
SCHEDULES: Final = ("constant", "step", "cosine")
DECAYED_GAINS: Final = ("none", "all", "last")
MOMENTUM: Final = 0.9  # of heavy-ball and nesterov


@dataclass(frozen=True, kw_only=True)
class Trial:
    r"""One training run. A trial is a pure function of this specification and its data.

    Attributes:
        data: Name of the data set.
        train_size: Training examples used; the test part is what the data set defines.
        network: `"mlp"` (two normalised hidden layers) or `"conv"` (four convolutions).
        width: Hidden units of the MLP; channels of the first convolution.
        norm: `"batch"`, `"layer"`, `"weight"` or `"none"`.
        optimizer: `"adam"` has the penalty in its gradient, `"adamw"` the decoupled decay.
        lr: Learning rate $\eta$ of the normalised weights, per step.
        lr_rest: Learning rate of the head, gains and shifts; `None` means `lr`.
        wd: Weight decay $\lambda$ in PyTorch's convention (gradient $+\lambda w$).
        sphere: Apply the paper's remedy, $w \leftarrow w/\|w\|$, before the first step and
            after every step.
        decay_weights: Whether `wd` acts on the normalised weights. With `wd` = 0 this and the
            next two are set to their defaults, as what they say has no effect.
        decay_head: Whether `wd` acts on the last linear layer's weight.
        decay_gains: Which gains and shifts `wd` acts on: `"none"`, `"all"`, or `"last"`,
            the gain of the last normalised layer alone.
        init_scale: Factor on the initial normalised weights.
        random_labels: Share of training labels that are drawn at random, in [0, 1].
        schedule: `"constant"`, `"step"` (divided by 10 at half and at three quarters of the
            run) or `"cosine"` (to zero).
        steps: Optimiser steps.
        batch_size: Examples per step.
        seed: Fixes initial weights, order of the examples and random labels.
    """

    data: str
    train_size: int
    network: str = "mlp"
    width: int = 64
    norm: str = "batch"
    optimizer: str = "sgd"
    lr: float
    lr_rest: float | None = None
    wd: float = 0.0
    sphere: bool = False
    decay_weights: bool = True
    decay_head: bool = False
    decay_gains: str = "none"
    init_scale: float = 1.0
    random_labels: float = 0.0
    schedule: str = "constant"
    steps: int
    batch_size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        # Equal trials must have equal ids, and JSON tells 1 from 1.0 and 0.0 from -0.0.
        for declared in fields(self):
            value = _plain(declared.name, getattr(self, declared.name), declared.type)
            object.__setattr__(self, declared.name, value)
        for field, known in _CHOICES.items():
            if getattr(self, field) not in known:
                raise UnknownNameError(field, getattr(self, field), known)
        self._check_ranges()
        if self.sphere and self.norm == "none":
            raise UsageError("`sphere` needs a normalised network, got `norm` 'none'.")
        if self.batch_size > self.train_size:
            raise UsageError(
                f"`batch_size` must be at most `train_size`, got {self.batch_size} and "
                f"{self.train_size}."
            )
        if self.wd == 0:  # then it does not matter what it would act on
            for field, value in _UNDECAYED.items():
                object.__setattr__(self, field, value)

    def _check_ranges(self) -> None:
        for field in ("train_size", "width", "steps", "batch_size"):
            if getattr(self, field) < 1:
                raise UsageError(f"`{field}` must be at least 1, got {getattr(self, field)}.")
        for field in ("lr", "lr_rest", "init_scale"):
            value = getattr(self, field)
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"`{field}` must be positive and finite, got {value}.")
        if not 0 <= self.wd < math.inf:
            raise UsageError(f"`wd` must be zero or positive and finite, got {self.wd}.")
        if not 0 <= self.random_labels <= 1:
            raise UsageError(f"`random_labels` must lie in [0, 1], got {self.random_labels}.")

    @cached_property
    def id(self) -> str:
        """Sixteen hexadecimal digits: the hash of the specification."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def momentum(self) -> float:
        """μ of the optimiser."""
        return MOMENTUM if self.optimizer in ("heavy-ball", "nesterov") else 0.0

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in the training part; the incomplete last one is dropped."""
        return self.train_size // self.batch_size

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Trial":
        """The trial with these fields; others, as a newer version may write, are refused."""
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise UnknownNameError("field of a trial", min(unknown), [f.name for f in fields(cls)])
        return cls(**values)


def _plain(field: str, value: Any, declared: Any) -> Any:
    """`value` as a plain number of the declared type, so that NumPy's scalars are welcome too."""
    try:
        if declared is bool:
            return bool(value)
        if declared is int:
            return int(index(value))
        if declared is float or (declared == float | None and value is not None):
            return float(value) + 0.0
    except (TypeError, ValueError):
        kind = "an integer" if declared is int else "a number"
        raise UsageError(f"`{field}` must be {kind}, got {value!r}.") from None
    return value


_UNDECAYED: Final = {"decay_weights": True, "decay_head": False, "decay_gains": "none"}
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "network": NETWORKS,
    "norm": NORMS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "decay_gains": DECAYED_GAINS,
}
