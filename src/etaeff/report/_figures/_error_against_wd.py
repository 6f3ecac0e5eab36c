"""The test error against λ, a line for each η: the free grid, and the one without normalisation."""

from typing import Any, Final

import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from etaeff._words import listed, number
from etaeff.report._axes import (
    ERROR_LABEL,
    WD_LABEL,
    error_axis,
    error_line,
    explain_diverged,
    legend_above,
    lr_key,
    panels,
)
from etaeff.report._figures._plot import Plot, diverged_sentence
from etaeff.report._frames import Frames
from etaeff.report._scales import ZeroLog
from etaeff.report._settings import by_setting, grid, in_order
from etaeff.report._style import MARKERS, house_style, ordered_colours
from etaeff.report._words import optimizer_name

ARMS: Final = {"none": "no normalisation", "batch": "batch normalisation"}


def error_against_wd_rows(frames: Frames) -> pl.DataFrame:
    """A row for each optimiser, η and λ of the free grid; see `by_setting`."""
    return by_setting(grid(frames.trials), "optimizer", "lr", "wd")


@house_style()
def error_against_wd_figure(rows: pl.DataFrame) -> Figure:
    """A panel for each optimiser, a line for each η."""
    names = in_order(rows["optimizer"].unique().to_list())
    figure, axes = panels(len(names), 3, 2.35)
    for panel, name in zip(axes, names, strict=True):
        subset = rows.filter(pl.col("optimizer") == name)
        draw_lines(panel, subset, optimizer_name(name), subset["lr"].unique().sort().to_list())
    error_axis(axes[0], rows)
    explain_diverged(figure, rows)
    figure.supylabel(ERROR_LABEL, fontsize="medium")
    figure.supxlabel(WD_LABEL, fontsize="medium")
    return figure


def draw_lines(axes: Axes, rows: pl.DataFrame, title: str, lrs: list[float]) -> None:
    """A line for each η; its colour and marker are those of its place among `lrs`."""
    scale = ZeroLog.of(rows["wd"])
    handles: list[Artist] = []
    looks = dict(zip(lrs, zip(ordered_colours(len(lrs)), MARKERS, strict=False), strict=True))
    for lr in rows["lr"].unique().sort():
        subset = rows.filter(pl.col("lr") == lr).sort("wd")
        colour, marker = looks[lr]
        look: dict[str, Any] = {"colour": colour, "marker": marker, "level": len(handles)}
        error_line(axes, scale(subset["wd"]), subset, **look)
        handles.append(lr_key(lr, colour, marker, first=not handles))
    scale.decorate(axes)
    legend_above(axes, handles, title)


def error_against_wd_seen(rows: pl.DataFrame) -> str:
    """Where the lowest error lies."""
    best = []
    for name in in_order(rows["optimizer"].unique().to_list()):
        subset = rows.filter(pl.col("optimizer") == name, pl.col("error").is_not_null())
        if not subset.is_empty():
            row = subset.sort("error").row(0, named=True)
            best.append(
                f"{optimizer_name(name)} {number(row['error'], 2)} % (η = {row['lr']:g}, "
                f"λ = {row['wd']:g})"
            )
    lowest = f"Lowest mean errors: {listed(best)}. " if best else ""
    return lowest + diverged_sentence(rows)


def control_rows(frames: Frames) -> pl.DataFrame:
    """SGD without normalisation, where λ acts on all weights, and with it; none without both."""
    arms = [
        grid(frames.trials, norm="none", decay_head=True, optimizer="sgd"),
        grid(frames.trials, optimizer="sgd"),
    ]
    rows = by_setting(pl.concat(arms), "norm", "lr", "wd")
    return rows if rows["norm"].n_unique() == len(arms) else rows.clear()


@house_style()
def control_figure(rows: pl.DataFrame) -> Figure:
    """Two panels: without normalisation and with it."""
    figure, axes = panels(len(ARMS), 2, 3.0)
    lrs = rows["lr"].unique().sort().to_list()
    for panel, (norm, title) in zip(axes, ARMS.items(), strict=True):
        draw_lines(panel, rows.filter(pl.col("norm") == norm), title, lrs)
        panel.set_xlabel(WD_LABEL)
    error_axis(axes[0], rows)
    axes[0].set_ylabel(ERROR_LABEL)
    explain_diverged(figure, rows)
    return figure


def control_seen(rows: pl.DataFrame) -> str:
    """Which λ is best at each η."""
    sentences = []
    for norm, title in ARMS.items():
        subset = rows.filter(pl.col("norm") == norm, pl.col("error").is_not_null())
        best = subset.sort("error").group_by("lr", maintain_order=True).first().sort("lr")
        optima = [f"λ = {wd:g} for η = {lr:g}" for lr, wd in best.select("lr", "wd").rows()]
        if optima:  # none where every trial diverged
            sentences.append(f"With {title} the lowest mean error lies at {listed(optima)}.")
    return " ".join([*sentences, diverged_sentence(rows)])


ERROR_AGAINST_WD: Final = Plot(
    name="error-against-wd",
    title="Test error against weight decay",
    alt="Line charts, one for each optimiser: test error against λ, a line for each η.",
    look=(
        "Batch normalisation, weights free to grow and shrink. Both axes are logarithmic, and 0 "
        "stands left of the break. If λ only set the effective learning rate, a larger η would "
        "have its best error at a smaller λ, and the best errors would be alike. Bars are "
        "standard deviations over seeds."
    ),
    claims=(2, 6),
    rows=error_against_wd_rows,
    figure=error_against_wd_figure,
    seen=error_against_wd_seen,
)
CONTROL: Final = Plot(
    name="control",
    title="The control arm: no normalisation",
    alt="Two line charts side by side: test error against λ, a line for each η.",
    look=(
        "SGD without normalisation, λ on all weights, beside SGD under batch normalisation, λ on "
        "the normalised weights; the two need not have run for the same number of steps. A "
        "regulariser has its best λ at the same place whatever η is; a λ that sets the "
        "effective learning rate has it lower where η is higher."
    ),
    claims=(9,),
    rows=control_rows,
    figure=control_figure,
    seen=control_seen,
)
