"""Rounding to 16 bits by chance, so that small steps are not lost."""

from zlib import crc32

import torch
from torch import Tensor


def write_(target: Tensor, value: Tensor, stays: Tensor, chance: Tensor | None = None) -> None:
    """Write `value` into `target`, but where `stays`; with `chance`, bfloat16 is rounded by it.

    Rounding to the nearest loses steps below half the distance of two numbers, which is 0.2 to
    0.4 % in bfloat16. Rounded up with a probability of what was cut off, the mean is right.

    Args:
        target: Weights.
        value: New ones, in the same shape, of at least float32.
        stays: Where no bit may change; broadcastable.
        chance: 16 random bits for each entry, as `chances` gives them.
    """
    if chance is not None:
        bits = value.to(torch.float32).view(torch.int32)
        value = ((bits + chance) & -(1 << 16)).view(torch.float32)
    target.copy_(torch.where(stays, target, value.to(target.dtype)))


def chances(entry_ids: Tensor, count: Tensor, name: str) -> Tensor:
    """Random bits that depend on nothing but plain values, 16 of them for each entry.

    Not from a generator of torch: replicas of a weight that draw for themselves drift apart, one
    generator for all makes a shard's bits depend on the others, and a resumed run would need it.

    Args:
        entry_ids: The index of each entry in the whole tensor, in int32.
        count: Roundings of this tensor so far.
        name: Of the tensor.

    Returns:
        Integers from 0 to 65535, in the shape of `entry_ids`, in int32.

    Examples:
        >>> chances(torch.arange(4, dtype=torch.int32), torch.tensor(0), "weight").shape
        torch.Size([4])
    """
    # Odd, so that no two counts start alike: 2³² times the golden ratio.
    start = _mixed((count * 0x9E3779B9 + crc32(name.encode())).to(torch.int32))
    return _mixed(entry_ids + start) & 0xFFFF


def _mixed(bits: Tensor) -> Tensor:
    """A permutation of 32-bit integers whose values look random (Wellons, "hash prospector")."""
    bits = (bits ^ (bits >> 16 & 0xFFFF)) * 0x21F0AAAD  # masks: torch shifts the sign in
    bits = (bits ^ (bits >> 15 & 0x1FFFF)) * 0x735A2D97
    return bits ^ (bits >> 15 & 0x1FFFF)
