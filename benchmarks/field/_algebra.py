"""Null spaces of measured numbers, as fractions; spans of fractions; signs in a span."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final

import numpy as np
from scipy.optimize import linprog

LARGEST_DENOMINATOR: Final = 24
ROUGH: Final = 1e-5  # how far a fraction may be from what was measured
Direction = Mapping[str, Fraction]


def null_space(rows: np.ndarray, tolerance: float) -> np.ndarray:
    """An orthonormal basis of what all rows annihilate, up to the tolerance, as rows."""
    if not rows.size:
        return np.eye(rows.shape[1])
    sizes = np.abs(rows).max(1, keepdims=True)
    kept = (rows / np.where(sizes > 0, sizes, 1))[sizes[:, 0] > 0]
    _, values, right = np.linalg.svd(np.vstack([kept, np.zeros((1, rows.shape[1]))]))
    return right[int((values > tolerance * max(values[0], 1e-300)).sum()) :]


def in_fractions(basis: np.ndarray, names: Sequence[str]) -> list[dict[str, Fraction]] | None:
    """The reduced echelon form of a basis, in small fractions; `None` if it has none."""
    reduced = basis.copy()
    for row in range(len(reduced)):
        rest = np.abs(reduced[row:])
        i, j = np.unravel_index(int(rest.argmax()), rest.shape)
        reduced[[row, row + i]] = reduced[[row + i, row]]
        reduced[row] /= reduced[row, j]
        others = np.arange(len(reduced)) != row
        reduced[others] -= np.outer(reduced[others, j], reduced[row])
    found = []
    for values in reduced:
        direction = {}
        for name, value in zip(names, values, strict=True):
            nearest = Fraction(float(value)).limit_denominator(LARGEST_DENOMINATOR)
            if abs(float(nearest) - value) > ROUGH:
                return None
            if nearest:
                direction[name] = nearest
        found.append(direction)
    return found


def rank(directions: Iterable[Direction], names: Sequence[str]) -> int:
    """The dimension of the span."""
    rows = [[float(d.get(name, 0)) for name in names] for d in directions]
    return int(np.linalg.matrix_rank(np.array(rows), tol=1e-9)) if rows else 0


def inside(direction: Direction, span: Sequence[Direction], names: Sequence[str]) -> bool:
    """Whether a direction is a sum of those of the span."""
    return rank([*span, direction], names) == rank(span, names)


def without(directions: Iterable[Direction], names: Iterable[str]) -> list[dict[str, Fraction]]:
    """The directions with the exponents of some names left out, and none that is then empty."""
    left = set(names)
    kept = [{n: v for n, v in d.items() if n not in left} for d in directions]
    return [direction for direction in kept if direction]


def one_signed(span: Sequence[Direction], names: Sequence[str]) -> frozenset[str]:
    """The names that have an exponent in a direction of the span in which none is below zero.

    Such directions form a cone, and their sum has all of these names. So one linear program, which
    makes as many exponents as it can as large as one, finds them all.
    """
    if not span:
        return frozenset()
    matrix = np.array([[float(d.get(name, 0)) for d in span] for name in names])
    number, width = matrix.shape
    above = np.hstack([-matrix, np.eye(number)])  # z ≤ s, and 0 ≤ z
    found = linprog(
        np.concatenate([np.zeros(width), -np.ones(number)]),
        A_ub=above,
        b_ub=np.zeros(number),
        bounds=[(None, None)] * width + [(0, 1)] * number,
    )
    return frozenset(name for name, z in zip(names, found.x[width:], strict=True) if z > 0.5)
