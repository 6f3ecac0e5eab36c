"""What several figures draw on: panels, axes for λ and for errors, legends, lines of means."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter
from numpy.typing import ArrayLike, NDArray

from etaeff.report._style import FAINT, WIDTH

WD_LABEL: Final = r"weight decay $\lambda$"
LR_LABEL: Final = r"learning rate $\eta$"
EFFECTIVE_LABEL: Final = r"effective learning rate $\eta_{\mathrm{eff}}$"
ERROR_LABEL: Final = "test error, %"
# Decades between 0 and the smallest positive value.
_GAP: Final = 0.8
_PERCENT_TICKS: Final = (0.1, 0.2, 0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 90)


def panels(
    count: int, columns: int, height: float, *, share_y: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure of the house's width with so many panels, each of this height in inches."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    # One panel alone need not be as wide as the page.
    figure = Figure(figsize=(WIDTH if columns > 1 else 5.4, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=share_y).flatten().tolist()
    for spare in grid[count:]:
        spare.remove()
    return figure, grid[:count]


@dataclass(frozen=True)
class ZeroLog:
    """A logarithmic axis with a place for 0, which stands left of a break.

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
        finite = [value for value in values if value is not None and math.isfinite(value)]
        positive = [value for value in finite if value > 0] or [1.0]
        return cls(min(positive), max(positive), 0 in finite)

    @property
    def zero(self) -> float:
        """Where 0 stands."""
        return math.log10(self.low) - _GAP

    def __call__(self, values: ArrayLike) -> NDArray[np.float64]:
        """Where the values stand; NaN stays."""
        array = np.asarray(values, dtype=float)
        positive = np.where(array > 0, array, self.low)
        places = np.where(array == 0, self.zero, np.log10(positive))
        return np.where(np.isnan(array), math.nan, places)

    def ticks(self) -> dict[float, str]:
        """Where ticks stand and what they say."""
        decades = range(
            math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1
        )
        marked = {float(n): power_of_ten(n) for n in decades}
        if not marked:
            marked = {math.log10(v): f"{v:g}" for v in {self.low, self.high}}
        if self.has_zero:
            marked[self.zero] = "0"
        return dict(sorted(marked.items()))

    def decorate(self, axes: Axes, which: str = "x") -> None:
        """Give one axis of `axes` its limits, ticks and the mark of the break."""
        axis = axes.xaxis if which == "x" else axes.yaxis
        marked = self.ticks()
        axis.set_major_locator(FixedLocator(list(marked)))
        axis.set_major_formatter(FuncFormatter(lambda place, _: marked.get(place, "")))
        axis.set_minor_locator(FixedLocator(self._minor()))
        axis.set_minor_formatter(NullFormatter())
        first = self.zero if self.has_zero else math.log10(self.low)
        limits = (first - 0.25, math.log10(self.high) + 0.25)
        if which == "x":
            axes.set_xlim(*limits)
        else:
            axes.set_ylim(*limits)
        if self.has_zero:
            _break(axes, which, self.zero + _GAP / 2)

    def _minor(self) -> list[float]:
        start, stop = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        places = [n + math.log10(k) for n in range(start, stop + 1) for k in range(2, 10)]
        return [p for p in places if math.log10(self.low) <= p <= math.log10(self.high)]


def power_of_ten(exponent: int) -> str:
    """A tick's label: plain where that is short."""
    return {-2: "0.01", -1: "0.1", 0: "1", 1: "10"}.get(exponent, f"$10^{{{exponent}}}$")


def _break(axes: Axes, which: str, place: float) -> None:
    """Two strokes across an axis: the scale does not go on here."""
    at = (place, 0.0) if which == "x" else (0.0, place)
    transform = axes.get_xaxis_transform() if which == "x" else axes.get_yaxis_transform()
    axes.text(
        *at,
        "//" if which == "x" else "=",
        transform=transform,
        ha="center",
        va="center",
        fontsize=7,
        color=FAINT,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4},
        clip_on=False,
        zorder=5,
    )


def error_axis(axes: Axes, values: Iterable[float | None]) -> None:
    """A logarithmic axis of errors in percent; a linear one if an error is 0."""
    finite = [v for v in values if v is not None and math.isfinite(v)]
    if not finite or min(finite) <= 0:
        axes.set_ylim(bottom=0)
        return
    axes.set_yscale("log")
    axes.set_ylim(min(finite) * 0.82, max(finite) * 1.18)
    axes.yaxis.set_major_locator(FixedLocator(_PERCENT_TICKS))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(FixedLocator([]))


def error_line(
    axes: Axes, places: ArrayLike, rows: pl.DataFrame, *, colour: str, marker: str, **line: Any
) -> None:
    """Means with their standard deviations over seeds, and × where a seed diverged.

    Args:
        axes: Where to draw.
        places: Horizontal position of each row.
        rows: With columns `error`, `spread`, `diverged` and `guess`, in percent.
        colour: Of line, markers and bars.
        marker: Of the means.
        line: Further properties of the line.
    """
    x = np.asarray(places, dtype=float)
    error, spread, guess = (
        rows[name].cast(pl.Float64).fill_null(math.nan).to_numpy()
        for name in ("error", "spread", "guess")
    )
    down = np.minimum(np.nan_to_num(spread), 0.95 * error)  # a logarithmic axis has no 0
    axes.errorbar(x, error, yerr=(down, np.nan_to_num(spread)), fmt="none", ecolor=colour,
                  elinewidth=0.8, alpha=0.45)  # fmt: skip
    axes.plot(x, error, color=colour, marker=marker, **line)
    axes.plot(x, guess, color=colour, marker="x", markersize=6, linestyle="none")


def key(label: str, colour: str, marker: str = "", **line: Any) -> Line2D:
    """An entry of a legend."""
    return Line2D([], [], color=colour, marker=marker, label=label, **line)


DIVERGED: Final = "diverged"


def with_diverged(handles: Sequence[Artist], rows: pl.DataFrame) -> list[Artist]:
    """The entries, and one for × if a trial of `rows` diverged."""
    if rows["diverged"].sum():
        return [*handles, key(DIVERGED, FAINT, "x", linestyle="none", markersize=6)]
    return list(handles)


def legend_above(axes: Axes, handles: Sequence[Artist], title: str, columns: int = 0) -> None:
    """The panel's title, and under it a legend, both above the data."""
    columns = columns or len(handles)
    lines = math.ceil(len(handles) / max(columns, 1))
    axes.set_title(title, pad=6 + 12 * lines)
    if handles:
        axes.legend(handles=list(handles), loc="lower left", bbox_to_anchor=(-0.02, 1.0),
                    ncols=columns)  # fmt: skip
