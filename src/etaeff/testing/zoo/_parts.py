"""What networks of several families are made of, and their inputs."""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

HEAD: Final = ("head.weight head.bias", 1)  # the outputs are linear in the last layer


def images(channels: int = 3, size: int = 6, batch: int = 4) -> Callable[[], dict[str, Tensor]]:
    """Inputs `x` of shape (batch, channels, size, size)."""
    return lambda: {"x": randn(batch, channels, size, size)}


def vectors(width: int = 3, batch: int = 8) -> Callable[[], dict[str, Tensor]]:
    """Inputs `x` of shape (batch, width)."""
    return lambda: {"x": randn(batch, width)}


def sequences(width: int = 8, length: int = 5, batch: int = 3) -> Callable[[], dict[str, Tensor]]:
    """Inputs `x` of shape (batch, length, width)."""
    return lambda: {"x": randn(batch, length, width)}


def tokens(
    name: str = "tokens", vocabulary: int = 7, length: int = 5, batch: int = 3
) -> Callable[[], dict[str, Tensor]]:
    """Whole numbers below `vocabulary`, of shape (batch, length)."""

    def draw() -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(1)
        return {name: torch.randint(vocabulary, (batch, length), generator=generator)}

    return draw


def randn(*shape: int) -> Tensor:
    """Normal numbers, the same ones each time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


class Called(nn.Module):
    """Layers with names, one after the other; the argument is called `x`."""

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = layer(x)
        return x


class Plus(nn.Module):
    """A constant is added."""

    def __init__(self, constant: float) -> None:
        super().__init__()
        self.constant = constant

    def forward(self, x: Tensor) -> Tensor:
        return x + self.constant


class Pool(nn.Module):
    """The mean over all places."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).mean(-1)


def conv_norm(
    inputs: int,
    outputs: int,
    size: int = 1,
    *,
    act: Callable[[], nn.Module] | None = nn.ReLU,
    stride: int = 1,
    groups: int = 1,
) -> Called:
    """A convolution without bias, its Batch Normalization, and what comes after it."""
    conv = nn.Conv2d(
        inputs, outputs, size, stride=stride, padding=size // 2, groups=groups, bias=False
    )
    layers: dict[str, nn.Module] = {"conv": conv, "norm": nn.BatchNorm2d(outputs)}
    return Called(**layers, **({"act": act()} if act else {}))


def affine(*layers: str) -> tuple[str, ...]:
    """The names of gain and shift after each of the layers that `conv_norm` makes."""
    return tuple(f"{layer}.norm.{part}" for layer in layers for part in ("weight", "bias"))
