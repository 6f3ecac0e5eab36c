"""The shapes of the study's networks. Loads no torch, so that plans and claims need none."""

import math
from dataclasses import dataclass
from typing import Final, Literal

from etaeff.records import Trial

# The strides of the four convolutions; the channels double where the resolution halves.
STRIDES: Final = (1, 2, 1, 2)


@dataclass(frozen=True)
class Architecture:
    """What the networks of a stack have in common.

    Attributes:
        network: `"mlp"` or `"conv"`.
        norm: `"batch"`, `"layer"`, `"weight"` or `"none"`.
        in_shape: `(channels, height, width)` of one example.
        width: Hidden units; channels of the first convolution.
        classes: Number of classes.
    """

    network: str
    norm: str
    in_shape: tuple[int, int, int]
    width: int
    classes: int

    @classmethod
    def of(cls, trial: Trial, in_shape: tuple[int, ...], classes: int) -> "Architecture":
        """The architecture of `trial` on images of `in_shape`."""
        channels, height, width = in_shape
        task, norm = trial.task, trial.arm.norm
        return cls(task.network, norm, (channels, height, width), task.width, classes)

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the normalised weights, first layer first."""
        if self.network == "mlp":
            return {"hidden1": (self.width, math.prod(self.in_shape)),
                    "hidden2": (self.width, self.width)}  # fmt: skip
        shapes: dict[str, tuple[int, ...]] = {}
        channels, out = self.in_shape[0], self.width
        for i, stride in enumerate(STRIDES, 1):
            out *= stride
            shapes[f"conv{i}"] = (out, channels, 3, 3)
            channels = out
        return shapes

    @property
    def head_shape(self) -> tuple[int, int]:
        """Shape of the last linear layer's weight."""
        return (self.classes, list(self.weight_shapes.values())[-1][0])

    def block_dims(self, name: str) -> tuple[int, ...]:
        """The axes of a stacked weight that share one norm: a channel, or the whole layer."""
        first = 1 if self.norm == "layer" else 2
        return tuple(range(first, 1 + len(self.weight_shapes[name])))

    def block_size(self, name: str) -> int:
        """Number of entries that share one norm."""
        shape = self.weight_shapes[name]
        return math.prod(shape if self.norm == "layer" else shape[1:])


def role(name: str) -> Literal["weight", "head", "gain", "shift"]:
    """What a parameter is, from its name."""
    if name.endswith(".gain"):
        return "gain"
    if name.endswith(".shift"):
        return "shift"
    return "head" if name == "head" else "weight"
