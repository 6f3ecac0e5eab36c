"""What several figures are made of: panels, axes of errors, legends, lines of means."""

import math
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from etaeff.report._scales import log_axis
from etaeff.report._style import FAINT, WIDTH

WD_LABEL: Final = r"weight decay $\lambda$"
LR_LABEL: Final = r"learning rate $\eta$"
EFFECTIVE_LABEL: Final = r"effective learning rate $\eta_{\mathrm{eff}}$"
ERROR_LABEL: Final = "test error, %"


def panels(
    count: int, columns: int, height: float, *, share_y: Literal["all", "row", "none"] = "all"
) -> tuple[Figure, list[Axes]]:
    """A figure of the house's width with so many panels, each of this height in inches."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=share_y).flatten().tolist()
    for spare in grid[count:]:
        spare.remove()
    return figure, grid[:count]


def error_axis(axes: Axes, rows: pl.DataFrame) -> None:
    """A logarithmic axis of errors in percent that holds all bars; linear if an error is 0."""
    error, spread, guess = _percentages(rows)
    up = np.nan_to_num(spread)
    ends = np.concatenate([_lower(error, up), error + up, guess])
    ends = ends[np.isfinite(ends)]
    if not ends.size or ends.min() <= 0:
        axes.set_ylim(bottom=0)
        return
    axes.set_ylim(ends.min() * 0.93, ends.max() * 1.08)
    log_axis(axes, "y")


def _percentages(rows: pl.DataFrame) -> list[NDArray[np.float64]]:
    """Errors, their standard deviations and those of guessing; NaN where there is none."""
    return [
        rows[name].cast(pl.Float64).fill_null(math.nan).to_numpy()
        for name in ("error", "spread", "guess")
    ]


def _lower(error: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lower ends of the bars: a logarithmic axis has no 0."""
    return np.maximum(error - spread, 0.3 * error)


def error_line(
    axes: Axes, places: ArrayLike, rows: pl.DataFrame, *, colour: str, marker: str, **line: Any
) -> None:
    """Means with their standard deviations over seeds, and × where a seed diverged.

    Args:
        axes: Where to draw.
        places: Horizontal position of each row.
        rows: With columns `error`, `spread` and `guess`, in percent.
        colour: Of line, markers and bars.
        marker: Of the means.
        line: Further properties of the line.
    """
    x = np.asarray(places, dtype=float)
    error, spread, guess = _percentages(rows)
    up = np.nan_to_num(spread)
    down = error - _lower(error, up)
    axes.errorbar(x, error, yerr=(down, up), fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.45)
    axes.plot(x, error, color=colour, marker=marker, **line)
    axes.plot(x, guess, color=colour, marker="x", markersize=6, linestyle="none")


def key(label: str, colour: str, marker: str = "", **line: Any) -> Line2D:
    """An entry of a legend."""
    return Line2D([], [], color=colour, marker=marker, label=label, **line)


def lr_key(lr: float, colour: str, marker: str, *, first: bool, **line: Any) -> Line2D:
    """An entry for a value of η, whose symbol the first entry has."""
    return key(rf"$\eta$ = {lr:g}" if first else f"{lr:g}", colour, marker, **line)


def with_diverged(handles: Sequence[Artist], rows: pl.DataFrame) -> list[Artist]:
    """The entries, and one for × if a trial of `rows` diverged."""
    if rows["diverged"].sum():
        return [*handles, key("diverged", FAINT, "x", linestyle="none", markersize=6)]
    return list(handles)


def legend_above(axes: Axes, handles: Sequence[Artist], title: str, columns: int = 4) -> None:
    """The panel's title, and under it a legend, both above the data."""
    lines = math.ceil(len(handles) / columns)
    axes.set_title(title, pad=6 + 12 * lines)
    axes.legend(handles=list(handles), loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns)


def legend_on_top(figure: Figure, handles: Sequence[Artist]) -> None:
    """One legend for all panels, above them."""
    figure.legend(handles=list(handles), loc="outside upper center", ncols=len(handles))
