"""Cuts: along one axis of a tensor, which positions have a degree of their own.

A cut is kept as the *class* of each position, a whole number, and so is free to be contiguous
(queries, keys, values, one after another) or interleaved (query, key, value of each head).
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from etaeff.symmetry._operators._degrees import Degree

Classes: TypeAlias = NDArray[np.intp]  # of each position along an axis, from 0
Among: TypeAlias = NDArray[np.bool_]  # whether positions belong to a piece
MOST: Final = 64  # classes that are followed
_LARGEST_GROUP: Final = 10**7  # entries that are looked at when axes are merged or split
_DYNAMIC: Final = 1_000_003  # stands for a length that is not known; a prime


class Cut(NamedTuple):
    """Degrees piece by piece along one axis.

    Attributes:
        axis: Counted from the first.
        classes: Of each position.
        degrees: Of each class.
    """

    axis: int
    classes: Classes
    degrees: tuple[Degree, ...]


def shape_of(meta: Any) -> tuple[int, ...]:
    """The shape of a tensor, with −1 for lengths that depend on data; empty for anything else."""
    if not isinstance(meta, Tensor):
        return ()
    return tuple(length if type(length) is int else -1 for length in meta.shape)


def refined(*several: Classes) -> Classes:
    """The coarsest classes that tell apart what any of the given ones does, by first position."""
    if len(several) == 1:
        return several[0]
    _, first, inverse = np.unique(np.stack(several), axis=1, return_index=True, return_inverse=True)
    order = np.empty(len(first), dtype=np.intp)
    order[np.argsort(first)] = np.arange(len(first))
    return order[inverse.reshape(-1)]


def regrouped(
    axis: int, classes: Classes, before: Sequence[int], after: Sequence[int]
) -> tuple[int, Classes] | None:
    """Where a cut lies when a tensor gets another shape and its entries keep their order.

    Returns:
        The axis and the classes along it; `None` if they vary along several axes then.
    """
    group = group_of(axis, before, after)
    if group is None:
        return None
    old, new = group
    lengths, others = [before[i] for i in old], [after[j] for j in new]
    if np.prod(lengths, dtype=float) > _LARGEST_GROUP:
        return None
    line = classes.reshape([-1 if i == axis else 1 for i in old])
    full = np.broadcast_to(line, lengths).reshape(others)
    for position, j in enumerate(new):
        along = tuple(slice(None) if k == position else slice(0, 1) for k in range(len(new)))
        if np.array_equal(np.broadcast_to(full[along], full.shape), full):
            return j, full[along].reshape(-1)
    return None


def group_of(
    axis: int, before: Sequence[int], after: Sequence[int]
) -> tuple[list[int], list[int]] | None:
    """The fewest axes, before and after, that hold the same entries, `axis` among the first."""
    old = [_DYNAMIC if length < 0 else length for length in before]
    new = [_DYNAMIC if length < 0 else length for length in after]
    if (
        0 in old
        or old.count(_DYNAMIC) > 1
        or new.count(_DYNAMIC) > 1
        or np.prod(old, dtype=object) != np.prod(new, dtype=object)
    ):
        return None
    here, there = iter(range(len(old))), iter(range(len(new)))
    left: list[int] = []
    right: list[int] = []
    size = [1, 1]
    while True:
        if size[0] == size[1]:
            if axis in left:
                return left, right
            left, right, size = [], [], [1, 1]
            i = next(here, None)
            if i is None:
                return None
            left.append(i)
            size[0] = old[i]
        elif size[0] < size[1]:
            left.append(next(here))
            size[0] *= old[left[-1]]
        else:
            right.append(next(there))
            size[1] *= new[right[-1]]


class Moved(NamedTuple):
    """Where the positions along an axis of an argument are in a result.

    Attributes:
        axis: Of the result; −1 if all of it comes from one position.
        positions: In the argument, for each position along that axis.
    """

    axis: int
    positions: Classes


def moved(
    target: Any, shape: Sequence[int], axis: int, args: Sequence[Any], kwargs: dict[str, Any]
) -> list[Moved | None] | None:
    """What an operator that gives views does to the positions along one axis of its argument.

    It is run on whole numbers that say where they come from, and take no memory.

    Returns:
        For each result where they are, `None` if that is not along one axis; nothing if the
        operator cannot be run on them.
    """
    marks = torch.arange(shape[axis]).view([-1 if i == axis else 1 for i in range(len(shape))])
    try:
        with torch.no_grad():
            results = target(marks.expand([max(length, 2) for length in shape]), *args, **kwargs)
    except (RuntimeError, TypeError, IndexError, ValueError):
        return None
    return [_found(r) for r in (results if isinstance(results, list | tuple) else [results])]


def _found(marks: Tensor) -> Moved | None:
    """Along which axis the marks vary, and what they are there."""
    axes = [i for i in range(marks.ndim) if marks.shape[i] > 1 and marks.stride(i)]
    if len(axes) > 1 or not marks.numel():
        return None
    line = marks[tuple(slice(None) if i in axes else 0 for i in range(marks.ndim))]
    return Moved(axes[0] if axes else -1, line.reshape(-1).numpy().astype(np.intp))
