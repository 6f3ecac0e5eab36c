"""What a network learns: data, network, batch and steps."""

from dataclasses import dataclass
from typing import Final

from etaeff.errors import UsageError
from etaeff.records._plain import check_names, make_plain

NETWORKS: Final = ("mlp", "conv")  # those that the engine comes with


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is learnt, by what network, and for how long.

    Data set and network are names. Whoever trains the task knows what stands behind them, and
    refuses those that it does not know.

    Attributes:
        data: Name of the data set.
        train_size: Training examples used; the test part is what the data set defines.
        network: `"mlp"` (two normalised hidden layers), `"conv"` (four convolutions), or another
            that the engine knows.
        width: Hidden units of the MLP; channels of the first convolution.
        batch_size: Examples per step.
        steps: Optimiser steps.

    Examples:
        >>> Task(data="digits", train_size=600, steps=1000).steps_per_epoch
        9
    """

    data: str
    train_size: int
    network: str = "mlp"
    width: int = 64
    batch_size: int = 64
    steps: int

    def __post_init__(self) -> None:
        make_plain(self)
        check_names(self, "data", "network")
        for field in ("train_size", "width", "steps", "batch_size"):
            if getattr(self, field) < 1:
                raise UsageError(f"`{field}` must be at least 1, got {getattr(self, field)}.")
        if self.batch_size > self.train_size:
            raise UsageError(
                f"`batch_size` must be at most `train_size`, got {self.batch_size} and "
                f"{self.train_size}."
            )

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in the training part; the incomplete last one is dropped."""
        return self.train_size // self.batch_size
