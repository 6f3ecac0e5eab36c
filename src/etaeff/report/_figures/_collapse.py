"""The test error against the effective learning rate: does one curve hold all η and λ?"""

from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from etaeff._words import counted, number
from etaeff.records import NORMALISATIONS
from etaeff.report._axes import (
    EFFECTIVE_LABEL,
    ERROR_LABEL,
    error_axis,
    error_line,
    key,
    panels,
    with_diverged,
)
from etaeff.report._figures._plot import Plot, diverged_sentence
from etaeff.report._frames import Frames
from etaeff.report._scales import log_axis
from etaeff.report._settings import PLAIN, by_setting, grid, in_order
from etaeff.report._style import FAINT, MARKERS, house_style, wd_colours
from etaeff.report._words import optimizer_name

OTHER_NORMS: Final = tuple(norm for norm in NORMALISATIONS if norm != PLAIN["norm"])
_RANKS: Final = ("lowest", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


def collapse_rows(frames: Frames) -> pl.DataFrame:
    """A row for each optimiser, normalisation, η and λ.

    `rank` is the place of η among those of its optimiser and normalisation, from 0.
    """
    arms = [grid(frames.trials)]
    arms += [grid(frames.trials, norm=norm, optimizer="sgd") for norm in OTHER_NORMS]
    rows = by_setting(pl.concat(arms), "norm", "optimizer", "lr", "wd")
    rank = pl.col("lr").rank("dense").over("norm", "optimizer") - 1
    return rows.with_columns(rank=rank.cast(pl.Int64))


@house_style()
def collapse_figure(rows: pl.DataFrame) -> Figure:
    """A panel for each optimiser and normalisation, and one more for the legend."""
    names = _panel_names(rows)
    figure, axes = panels(len(names) + 1, 3, 2.1, share_y="none")
    colours = wd_colours(rows["wd"].unique().to_list())
    for panel, (norm, optimizer) in zip(axes[:-1], names, strict=True):
        subset = rows.filter(pl.col("norm") == norm, pl.col("optimizer") == optimizer)
        _points(panel, subset, colours)
        panel.set_title(_title(norm, optimizer))
        error_axis(panel, subset)
        log_axis(panel, "x", most=4)
    _legend(axes[-1], rows, colours)
    figure.supxlabel(EFFECTIVE_LABEL, fontsize="medium")
    figure.supylabel(ERROR_LABEL, fontsize="medium")
    return figure


def _panel_names(rows: pl.DataFrame) -> list[tuple[str, str]]:
    """Normalisation and optimiser of each panel, in order."""
    batch = rows.filter(pl.col("norm") == "batch")["optimizer"].unique().to_list()
    others = (
        rows.filter(pl.col("norm") != "batch").select("norm", "optimizer").unique().sort("norm")
    )
    return [("batch", name) for name in in_order(batch)] + others.rows()


def _title(norm: str, optimizer: str) -> str:
    """The title of the panel of an optimiser under a normalisation."""
    name = optimizer_name(optimizer)
    return name if norm == "batch" else f"{name}, {norm} norm."


def _points(axes: Axes, rows: pl.DataFrame, colours: dict[float, str]) -> None:
    """Draw the errors of a panel: colour is λ, the marker is η."""
    # A setting whose seeds all diverged has no final η_eff: its × stands at the right end.
    measured = rows["effective_lr"].drop_nulls().to_list()
    position = pl.col("effective_lr").fill_null(max(measured, default=1.0))
    shown = rows.filter(pl.col("error").is_null() | pl.col("effective_lr").is_not_null())
    for wd, rank in shown.select("wd", "rank").rows():
        subset = shown.filter(pl.col("wd") == wd, pl.col("rank") == rank)
        look: dict[str, Any] = {"colour": colours[wd], "marker": MARKERS[rank % len(MARKERS)]}
        error_line(axes, subset.select(position).to_series(), subset, linestyle="none", **look)


def _legend(axes: Axes, rows: pl.DataFrame, colours: dict[float, str]) -> None:
    """Draw both legends into a panel without axes."""
    axes.axis("off")
    wd = [key(f"{value:g}", colour, "o", linestyle="none") for value, colour in colours.items()]
    first = axes.legend(handles=with_diverged(wd, rows), title=r"colour: $\lambda$",
                        loc="upper left", bbox_to_anchor=(0, 1.1))  # fmt: skip
    axes.add_artist(first)
    ranks = rows["rank"].unique().sort().to_list()
    lr = [
        key(_RANKS[rank % len(_RANKS)], FAINT, MARKERS[rank % len(MARKERS)], linestyle="none")
        for rank in ranks
    ]
    axes.legend(handles=lr, title=r"marker: $\eta$", loc="upper left", bbox_to_anchor=(0.5, 1.1))


def collapse_seen(rows: pl.DataFrame) -> str:
    """Where the best η_eff lies, and how far η_eff reaches."""
    measured = rows.filter(pl.col("effective_lr").is_not_null())
    best = []
    for norm, optimizer in _panel_names(measured):
        subset = measured.filter(pl.col("norm") == norm, pl.col("optimizer") == optimizer)
        rates = np.log10(subset["effective_lr"].to_numpy())
        lowest = subset.sort("error", nulls_last=True)["effective_lr"][0]
        span = number(float(rates.max() - rates.min()), 2)
        best.append(f"{_title(norm, optimizer)} {number(lowest, 2)} ({span})")
    sentences = [
        "η_eff at the lowest mean error, and in brackets how many decades it spans over the "
        f"panel: {'; '.join(best)}."
    ]
    lost = rows.filter(pl.col("effective_lr").is_null(), pl.col("error").is_not_null())
    if len(lost):
        sentences.append(f"Not shown, for want of a final η_eff: {counted(len(lost), 'setting')}.")
    return " ".join([*(sentences if best else sentences[1:]), diverged_sentence(rows)])


COLLAPSE: Final = Plot(
    name="collapse",
    title="Test error against the effective learning rate",
    alt="Scatter charts, one for each optimiser: test error against effective learning rate.",
    look=(
        "The same trials as in the figure before, and SGD under layer and weight normalisation. "
        "η_eff is measured at the end of training: η/‖w‖² for SGD with or without momentum, "
        "η/‖w‖ for the others. If it alone decides, points of all colours and markers lie on "
        "one curve."
    ),
    claims=(6,),
    rows=collapse_rows,
    figure=collapse_figure,
    seen=collapse_seen,
)
