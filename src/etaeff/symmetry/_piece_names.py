"""How a piece of a tensor is called: as Python gets it from the tensor."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from etaeff.symmetry._operators._cuts import Among

_SHOWN: Final = 3  # runs of positions that are told one by one


def piece_name(name: str, axis: int, among: Among) -> str:
    """The name of a piece of a tensor.

    Args:
        name: Of the tensor.
        axis: Along which it is cut.
        among: For each position along the axis whether it belongs to the piece.

    Examples:
        >>> piece_name("qkv.weight", 0, np.arange(12) < 4)
        'qkv.weight[0:4]'
        >>> piece_name("c_attn.weight", 1, np.arange(12) >= 8)
        'c_attn.weight[:, 8:12]'
        >>> piece_name("gate_up", 0, np.arange(12) % 2 == 1)
        'gate_up[1::2]'
        >>> piece_name("query_key_value.weight", 0, np.arange(12) % 6 < 2)
        'query_key_value.weight.unflatten(0, (2, 6))[:, 0:2]'
    """
    runs = _runs(among)
    before = ":, " * axis
    if len(runs) == 1:
        return f"{name}[{before}{runs[0][0]}:{runs[0][1]}]"
    length = len(among)
    period = next((p for p in _divisors(length) if _repeats(among, p)), length)
    inside = _runs(among[:period])
    if period < length and len(inside) == 1:
        first, last = inside[0]
        if last == first + 1:
            return f"{name}[{before}{first}::{period}]"
        split = f".unflatten({axis}, ({length // period}, {period}))"
        return f"{name}{split}[{before}:, {first}:{last}]"
    shown = ", ".join(f"{first}:{last}" for first, last in runs[:_SHOWN])
    more = ", ..." if len(runs) > _SHOWN else ""
    return f"{name}[{before}{{{shown}{more}}}]"


def _runs(among: Among) -> list[tuple[int, int]]:
    """The first position of each run, and that behind its last."""
    padded = np.concatenate([[False], among, [False]]).astype(np.intp)
    steps = np.diff(padded)
    return list(
        zip((steps == 1).nonzero()[0].tolist(), (steps == -1).nonzero()[0].tolist(), strict=True)
    )


def _repeats(among: Among, period: int) -> bool:
    """Whether positions belong to the piece again and again."""
    rows = among.reshape(-1, period)
    return bool((rows == rows[:1]).all())


def _divisors(length: int) -> Sequence[int]:
    """All divisors, the smallest first."""
    return [d for d in range(1, length + 1) if length % d == 0]
