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
DIVERGED: Final = "diverged"
# Share of the height that is left to × where trials diverged.
_STRIP: Final = 0.14


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


def error_axis(axes: Axes, rows: pl.DataFrame, *, log: bool = True) -> None:
    """An axis of errors in percent that holds all bars, and over them a strip for ×.

    It is logarithmic if it is asked for and no error is 0, else it begins at 0.
    """
    error, spread = _percentages(rows)
    up = np.nan_to_num(spread)
    ends = np.concatenate([_lower(error, up), error + up])
    ends = ends[np.isfinite(ends)]
    low, high = (ends.min(), ends.max()) if ends.size else (0.0, 1.0)
    share = _STRIP / (1 - _STRIP) if rows["diverged"].sum() else 0.0
    if log and low > 0:
        low, high = low * 0.93, high * 1.08
        axes.set_ylim(low, high * (high / low) ** share)
        log_axis(axes, "y", highest=high)
    else:
        axes.set_ylim(0, 1.08 * (high or 1.0) * (1 + share))


def _percentages(rows: pl.DataFrame) -> list[NDArray[np.float64]]:
    """Errors and their standard deviations; NaN where there is none."""
    return [
        rows[name].cast(pl.Float64).fill_null(math.nan).to_numpy() for name in ("error", "spread")
    ]


def _lower(error: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lower ends of the bars: a logarithmic axis has no 0."""
    return np.maximum(error - spread, 0.3 * error)


def error_line(
    axes: Axes,
    positions: ArrayLike,
    rows: pl.DataFrame,
    *,
    colour: str,
    marker: str,
    level: int = 0,
    **line: Any,
) -> None:
    """Means with their standard deviations over seeds, and × where a seed diverged.

    The × stands in a strip over the axis: at the error of guessing it would take most of it.

    Args:
        axes: Where to draw.
        positions: Horizontal position of each row.
        rows: With columns `error` and `spread`, in percent, and `diverged`.
        colour: Of line, markers and bars.
        marker: Of the means.
        level: How many × may stand above this line's.
        line: Further properties of the line.
    """
    x = np.asarray(positions, dtype=float)
    error, spread = _percentages(rows)
    up = np.nan_to_num(spread)
    down = error - _lower(error, up)
    axes.errorbar(x, error, yerr=(down, up), fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.45)
    axes.plot(x, error, color=colour, marker=marker, **line)
    crosses = x[rows["diverged"].to_numpy() > 0]
    if crosses.size:
        heights = np.full(crosses.shape, 1 - (0.25 + 0.2 * level) * _STRIP)
        to_axes = axes.get_xaxis_transform()
        axes.plot(crosses, heights, "x", color=colour, markersize=5, label=DIVERGED,
                  transform=to_axes)  # fmt: skip
        axes.plot((0, 1), (1 - _STRIP,) * 2, color=FAINT, linewidth=0.7, linestyle=(0, (3, 2)),
                  transform=axes.transAxes)  # fmt: skip


def key(label: str, colour: str, marker: str = "", **line: Any) -> Line2D:
    """An entry of a legend."""
    return Line2D([], [], color=colour, marker=marker, label=label, **line)


def lr_key(lr: float, colour: str, marker: str, *, first: bool, **line: Any) -> Line2D:
    """An entry for a value of η, whose symbol the first entry has."""
    return key(rf"$\eta$ = {lr:g}" if first else f"{lr:g}", colour, marker, **line)


def with_diverged(handles: Sequence[Artist], rows: pl.DataFrame) -> list[Artist]:
    """The entries, and one for × if a trial of `rows` diverged."""
    return [*handles, _diverged_key()] if rows["diverged"].sum() else list(handles)


def explain_diverged(figure: Figure, rows: pl.DataFrame) -> None:
    """A legend for × alone, under panels that have legends of their own, if it is needed."""
    if rows["diverged"].sum():
        figure.legend(handles=[_diverged_key()], loc="outside lower right")


def _diverged_key() -> Line2D:
    """The entry of a legend for ×."""
    return key(DIVERGED, FAINT, "x", linestyle="none", markersize=6)


def legend_above(axes: Axes, handles: Sequence[Artist], title: str, columns: int = 4) -> None:
    """The panel's title, and under it a legend, both above the data."""
    lines = math.ceil(len(handles) / columns)
    axes.set_title(title, pad=6 + 12 * lines)
    axes.legend(handles=list(handles), loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns)


def legend_on_top(figure: Figure, handles: Sequence[Artist]) -> None:
    """One legend for all panels, above them."""
    figure.legend(handles=list(handles), loc="outside upper center", ncols=len(handles))
