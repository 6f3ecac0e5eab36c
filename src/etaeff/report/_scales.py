"""Logarithmic axes: ticks that fit and read well, and a place for 0."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import ArrayLike, NDArray

from etaeff.report._style import FAINT

# Decades between 0 and the smallest positive value.
_GAP: Final = 0.8
# What is marked within a decade, from few to many.
_STEPS: Final = ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7), (1, 1.5, 2, 3, 4, 5, 6, 8))


def log_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """At most so many round values within [low, high], evenly dense on a logarithmic axis.

    Examples:
        >>> log_ticks(2.5, 40), log_ticks(1e-4, 2.0, most=4)
        ([3.0, 5.0, 7.0, 10.0, 20.0, 30.0], [0.0001, 0.01, 1.0])
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    chosen: list[float] = []
    for steps in _STEPS:
        ticks = [float(f"{step}e{n}") for n in range(first, last + 1) for step in steps]
        ticks = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if len(ticks) > most:
            return chosen or ticks[:: math.ceil(len(ticks) / most)]
        chosen = ticks
    return chosen


def tick_label(value: float) -> str:
    r"""A tick's label: plain where that is short.

    Examples:
        >>> tick_label(0.003), tick_label(20.0), tick_label(1e-5), tick_label(3e6)
        ('0.003', '20', '$10^{-5}$', '$3\\cdot 10^{6}$')
    """
    if 1e-3 <= value < 1e4:
        return f"{value:g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    factor = "" if float(mantissa) == 1 else rf"{float(mantissa):g}\cdot "
    return f"${factor}10^{{{int(exponent)}}}$"


def log_axis(axes: Axes, which: str, most: int = 7, *, highest: float = math.inf) -> None:
    """Make one axis logarithmic, with at most so many ticks within its present limits.

    Args:
        axes: Where to draw.
        which: `"x"` or `"y"`.
        most: Number of ticks.
        highest: No tick is above this.
    """
    if which == "x":
        axes.set_xscale("log")
        low, high = sorted(axes.get_xlim())
    else:
        axes.set_yscale("log")
        low, high = sorted(axes.get_ylim())
    ticks = log_ticks(low, min(high, highest), most)
    mark(axes.xaxis if which == "x" else axes.yaxis, {tick: tick_label(tick) for tick in ticks})


def mark(axis: Axis, labels: dict[float, str]) -> None:
    """Ticks at these places with these labels, and no others."""
    axis.set_major_locator(FixedLocator(list(labels)))
    axis.set_major_formatter(FuncFormatter(lambda place, _: labels.get(place, "")))
    axis.set_minor_locator(NullLocator())


@dataclass(frozen=True)
class ZeroLog:
    """A logarithmic axis with a place for 0, which stands before a break.

    What is drawn on it goes through the instance, which returns places on a linear axis.

    Attributes:
        low: Smallest positive value, or 1 if there is none.
        high: Largest.
        has_zero: Whether 0 is among the values.
    """

    low: float
    high: float
    has_zero: bool

    @classmethod
    def of(cls, values: Iterable[float]) -> "ZeroLog":
        """The axis that shows these values."""
        finite = [value for value in values if math.isfinite(value)]
        positive = [value for value in finite if value > 0] or [1.0]
        return cls(min(positive), max(positive), 0 in finite)

    @property
    def zero(self) -> float:
        """Where 0 stands."""
        return math.log10(self.low) - _GAP

    def __call__(self, values: ArrayLike) -> NDArray[np.float64]:
        """Where the values stand."""
        array = np.asarray(values, dtype=float)
        return np.where(array > 0, np.log10(np.where(array > 0, array, 1.0)), self.zero)

    def labels(self, most: int = 7) -> dict[float, str]:
        """Where ticks stand, and what they say."""
        # Decades where there are some: λ is chosen on a grid of them.
        ticks = log_ticks(self.low, self.high, most)
        decades = [tick for tick in ticks if math.log10(tick).is_integer()]
        labels = {math.log10(t): tick_label(t) for t in (decades if len(decades) > 1 else ticks)}
        return {self.zero: "0", **labels} if self.has_zero else labels

    def decorate(self, axes: Axes, which: str = "x") -> None:
        """Give one axis of `axes` its limits, ticks and the mark of the break."""
        mark(axes.xaxis if which == "x" else axes.yaxis, self.labels())
        first = self.zero if self.has_zero else math.log10(self.low)
        limits = (first - 0.25, math.log10(self.high) + 0.25)
        if which == "x":
            axes.set_xlim(*limits)
        else:
            axes.set_ylim(*limits)
        if self.has_zero:
            _break(axes, which, self.zero + _GAP / 2)


def _break(axes: Axes, which: str, place: float) -> None:
    """Two strokes across an axis: the scale does not go on here."""
    horizontal = which == "x"
    axes.text(
        place if horizontal else 0.0,
        0.0 if horizontal else place,
        "//" if horizontal else "=",
        transform=axes.get_xaxis_transform() if horizontal else axes.get_yaxis_transform(),
        ha="center",
        va="center",
        fontsize=7,
        color=FAINT,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4},
        zorder=5,
    )
