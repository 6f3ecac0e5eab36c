"""Rounding to 16 bits by chance, so that small steps are not lost."""

import torch
from torch import Tensor


def write_(target: Tensor, value: Tensor, stays: Tensor) -> None:
    """Write `value` into `target`, but where `stays`; bfloat16 is rounded by chance.

    Rounding to the nearest loses steps below half the distance of two numbers, which is 0.2 to
    0.4 % in bfloat16. Rounded up with a probability of what was cut off, the mean is right.

    Args:
        target: Weights.
        value: New ones, in the same shape, of at least float32.
        stays: Where no bit may change; broadcastable.
    """
    if target.dtype == torch.bfloat16:
        bits = value.to(torch.float32).view(torch.int32)
        chance = torch.randint_like(bits, 1 << 16)
        value = ((bits + chance) & -(1 << 16)).view(torch.float32)
    target.copy_(torch.where(stays, target, value.to(target.dtype)))
