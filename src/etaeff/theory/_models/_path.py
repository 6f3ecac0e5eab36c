"""A run of one block as a list of second moments, and what the models' loops have in common.

The loops are plain Python on floats: each step needs the one before, and for some twenty
multiplications a NumPy call costs more than the arithmetic.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np

from etaeff._checks.numbers import FloatArray
from etaeff.theory.settings._update_rule import UpdateRule

_CHUNK: Final = 65_536  # steps whose coefficients are held as Python numbers at a time


class Path(NamedTuple):
    """‖w‖² before each step and after the last, and the turn of each step in radians."""

    radius_sq: FloatArray
    angle: FloatArray


class Record:
    """The moments of a run as it is walked, from which its path follows.

    Attributes:
        radius_sq: ‖w‖² before each step and after the last.
        rate: h of each step.
        along: ⟨w, d⟩ of each step, d being its direction.
        length_sq: ‖d‖² of each step.
    """

    def __init__(self, radius_sq: float) -> None:
        """The run starts at `radius_sq`."""
        self.radius_sq = [radius_sq]
        self.rate: list[float] = []
        self.along: list[float] = []
        self.length_sq: list[float] = []

    def adders(self) -> tuple[Callable[[float], None], ...]:
        """What appends to each list, in their order: looked up once, and not at every step."""
        lists = (self.radius_sq, self.rate, self.along, self.length_sq)
        return tuple(values.append for values in lists)

    def path(self, kept: FloatArray) -> Path:
        """The path, with `kept` what decay leaves of w at each step."""
        radius_sq = np.array(self.radius_sq)
        moments = map(np.array, (self.rate, self.along, self.length_sq))
        return Path(radius_sq, angle(radius_sq[:-1], kept * radius_sq[:-1], *moments))


def angle(
    r: FloatArray, kept: FloatArray, h: FloatArray, along: FloatArray, length_sq: FloatArray
) -> FloatArray:
    """Angle from w to aw − hd, without cancellation: r = ‖w‖², kept = ar, along = ⟨w, d⟩."""
    across = np.sqrt(np.maximum(r * length_sq - along**2, 0))
    return np.asarray(np.arctan2(h * across, kept - h * along))


def decay_of_steps(
    rule: UpdateRule, eta: FloatArray, lam: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """What w is multiplied by in each step, and the λ inside its gradient."""
    if rule.decay == "l2":
        return np.ones(len(eta)), lam
    return 1 - eta * lam, np.zeros(len(eta))


def rows(*columns: FloatArray) -> Iterator[tuple[float, ...]]:
    """Rows of equally long arrays as Python floats, without holding all of them at once."""
    for begin in range(0, len(columns[0]), _CHUNK):
        yield from zip(*(c[begin : begin + _CHUNK].tolist() for c in columns), strict=True)
