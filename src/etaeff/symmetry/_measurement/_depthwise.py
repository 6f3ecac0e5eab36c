"""Convolutions of each channel by itself, for which torch has no fast path in float64 on a CPU.

Torch calls a convolution for every channel, each with its own threads. Here it is a sum over the
places in the kernel, of whole tensors whose channels lie next to each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_CONVOLUTIONS: Final = frozenset({"conv1d", "conv2d", "conv3d", "convolution"})
_FEW: Final = 8  # channels, for which a call for each is no matter
_PART: Final = 1 << 21  # entries of the channels that are at work at a time
_LEAST: Final = 32  # channels, of which a processor takes several at once


class _Steps(NamedTuple):
    """How a kernel goes over an input, for each axis; `padding` is before and after it."""

    stride: Sequence[int]
    padding: Sequence[tuple[int, int]]
    dilation: Sequence[int]


def depthwise(name: str, given: Mapping[str, Any]) -> Tensor | None:
    """The result of an operator that is such a convolution; `None` for any other.

    Args:
        name: The operator.
        given: Its arguments by the names in its schema.
    """
    if name not in _CONVOLUTIONS or given.get("transposed"):
        return None
    x, weight = given["input"], given["weight"]
    axes = weight.ndim - 2
    one_to_one = given.get("groups", 1) == len(weight) == x.shape[-1 - axes] > _FEW
    ours = x.is_cpu and x.dtype == weight.dtype == torch.float64 and x.ndim == axes + 2
    if not one_to_one or not ours or not x.numel():
        return None
    result: Tensor = _Depthwise.apply(x, weight, _steps(given, weight))  # type: ignore[no-untyped-call]
    bias = given.get("bias")
    return result if bias is None else result + bias.reshape(-1, *[1] * axes)


def _steps(given: Mapping[str, Any], weight: Tensor) -> _Steps:
    """Strides, padding and dilation for each axis."""
    axes = weight.ndim - 2

    def of_each_axis(key: str, default: int) -> list[int]:
        value = given.get(key, default)
        values = [value] if isinstance(value, int) else list(value)
        return values * axes if len(values) == 1 else values

    dilation = of_each_axis("dilation", 1)
    if given.get("padding") == "same":
        extra = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        padding = [(e // 2, e - e // 2) for e in extra]
    elif given.get("padding") == "valid":
        padding = [(0, 0)] * axes
    else:
        padding = [(side, side) for side in of_each_axis("padding", 0)]
    return _Steps(of_each_axis("stride", 1), padding, dilation)


class _Depthwise(torch.autograd.Function):
    """The convolution without a bias, some channels at a time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, steps: _Steps) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.steps = steps
        result = x.new_empty(*x.shape[:2], *_lengths(x, weight, steps))
        for some in _parts(x):
            kernel, padded = _kernel(weight[some]), _padded(x[:, some], steps)
            total = x.new_zeros(len(x), *result.shape[2:], padded.shape[-1])
            for window, place in _windows(total, kernel, steps):
                total.addcmul_(padded[window], kernel[place])
            result[:, some] = total.movedim(-1, 1)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, steps = torch.empty_like(x), torch.empty_like(weight), ctx.steps
        for some in _parts(x):
            kernel, padded = _kernel(weight[some]), _padded(x[:, some], steps)
            part = gradient[:, some].movedim(1, -1).contiguous()
            of_padded, of_kernel = torch.zeros_like(padded), torch.empty_like(kernel)
            for window, place in _windows(part, kernel, steps):
                of_padded[window].addcmul_(part, kernel[place])
                of_kernel[place] = (part * padded[window]).flatten(0, -2).sum(0)
            of_x[:, some] = of_padded[_inside(x, steps)].movedim(-1, 1)
            of_weight[some] = of_kernel.movedim(-1, 0).unsqueeze(1)
        return of_x, of_weight, None


def _parts(x: Tensor) -> Iterator[slice]:
    """Channels, as many at a time as do not need much memory."""
    count = max(_PART // (x.numel() // x.shape[1]), _LEAST)
    for first in range(0, x.shape[1], count):
        yield slice(first, first + count)


def _padded(x: Tensor, steps: _Steps) -> Tensor:
    """With zeros at its sides, and the channels of one place next to each other."""
    sides = zip(x.shape[2:], steps.padding, strict=True)
    lengths = [before + length + after for length, (before, after) in sides]
    padded = x.new_zeros(len(x), *lengths, x.shape[1])
    padded[_inside(x, steps)] = x.movedim(1, -1)
    return padded


def _inside(x: Tensor, steps: _Steps) -> tuple[slice, ...]:
    """Where an input lies among the zeros."""
    sides = zip(x.shape[2:], steps.padding, strict=True)
    return (slice(None), *(slice(before, before + length) for length, (before, _) in sides))


def _kernel(weight: Tensor) -> Tensor:
    """A weight with the numbers of all channels for one place next to each other."""
    return weight[:, 0].movedim(0, -1).contiguous()


def _lengths(x: Tensor, weight: Tensor, steps: _Steps) -> list[int]:
    """How long the result is along each axis."""
    sizes = zip(x.shape[2:], weight.shape[2:], *steps, strict=True)
    return [(n + sum(sides) - d * (k - 1) - 1) // s + 1 for n, k, s, sides, d in sizes]


def _windows(
    result: Tensor, kernel: Tensor, steps: _Steps
) -> Iterator[tuple[tuple[slice, ...], tuple[int, ...]]]:
    """For each place in the kernel, which entries of the input it meets, and its own index."""
    lengths = result.shape[1:-1]
    for place in product(*map(range, kernel.shape[:-1])):
        met = [
            slice(i * d, i * d + s * (length - 1) + 1, s)
            for i, d, s, length in zip(place, steps.dilation, steps.stride, lengths, strict=True)
        ]
        yield (slice(None), *met), place
