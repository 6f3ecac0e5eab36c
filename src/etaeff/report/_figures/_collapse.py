"""The test error against the effective learning rate: does one curve hold all η and λ?"""

from typing import Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from etaeff.report._axes import (
    EFFECTIVE_LABEL,
    ERROR_LABEL,
    error_axis,
    key,
    panels,
    with_diverged,
)
from etaeff.report._figures._plot import Plot, diverged_sentence
from etaeff.report._frames import Frames
from etaeff.report._scales import log_axis
from etaeff.report._settings import by_setting, grid, in_order
from etaeff.report._style import FAINT, MARKERS, house_style, wd_colours
from etaeff.report._words import counted, listed, number, optimizer_name

OTHER_NORMS: Final = ("layer", "weight")
_RANKS: Final = ("lowest", *(f"{place}." for place in range(2, len(MARKERS) + 1)))


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
    for own_axes, (norm, optimizer) in zip(axes[:-1], names, strict=True):
        own = rows.filter(pl.col("norm") == norm, pl.col("optimizer") == optimizer)
        _points(own_axes, own, colours)
        own_axes.set_title(_title(norm, optimizer))
        error_axis(own_axes, [*own["error"], *own["guess"]])
        log_axis(own_axes, "x", most=4)
    _legend(axes[-1], rows, colours)
    figure.supxlabel(EFFECTIVE_LABEL, fontsize="medium")
    figure.supylabel(ERROR_LABEL, fontsize="medium")
    return figure


def _panel_names(rows: pl.DataFrame) -> list[tuple[str, str]]:
    batch = rows.filter(pl.col("norm") == "batch")["optimizer"].unique().to_list()
    others = (
        rows.filter(pl.col("norm") != "batch").select("norm", "optimizer").unique().sort("norm")
    )
    return [("batch", name) for name in in_order(batch)] + others.rows()


def _title(norm: str, optimizer: str) -> str:
    name = optimizer_name(optimizer)
    return name if norm == "batch" else f"{name}, {norm} norm."


def _points(axes: Axes, rows: pl.DataFrame, colours: dict[float, str]) -> None:
    # A trial that diverged has no final η_eff: its mark stands at the panel's right end.
    end = rows["effective_lr"].max()
    for row in rows.iter_rows(named=True):
        colour, marker = colours[row["wd"]], MARKERS[row["rank"] % len(MARKERS)]
        if row["effective_lr"] is not None:
            spread = row["spread"] or 0.0
            down = min(spread, 0.95 * row["error"])
            axes.errorbar(row["effective_lr"], row["error"], yerr=[[down], [spread]], color=colour,
                          elinewidth=0.8, alpha=0.4, fmt="none")  # fmt: skip
            axes.plot(row["effective_lr"], row["error"], marker, color=colour)
        if row["diverged"]:
            axes.plot(row["effective_lr"] or end or 1.0, row["guess"], "x", color=colour,
                      markersize=6)  # fmt: skip


def _legend(axes: Axes, rows: pl.DataFrame, colours: dict[float, str]) -> None:
    axes.axis("off")
    wd = [key(f"{value:g}", colour, "o", linestyle="none") for value, colour in colours.items()]
    first = axes.legend(handles=with_diverged(wd, rows), title=r"colour: $\lambda$",
                        loc="upper left", bbox_to_anchor=(0, 1.1))  # fmt: skip
    axes.add_artist(first)
    ranks = rows["rank"].unique().sort().to_list()
    lr = [key(_RANKS[rank], FAINT, MARKERS[rank], linestyle="none") for rank in ranks]
    axes.legend(handles=lr, title=r"marker: $\eta$", loc="upper left", bbox_to_anchor=(0.5, 1.1))


def collapse_seen(rows: pl.DataFrame) -> str:
    """Where the best η_eff lies, and how far apart the errors of like η_eff are."""
    best = []
    for norm, optimizer in _panel_names(rows):
        own = rows.filter(
            pl.col("norm") == norm,
            pl.col("optimizer") == optimizer,
            pl.col("effective_lr").is_not_null(),
        )
        if not own.is_empty():
            row = own.sort("error").row(0, named=True)
            span = np.log10(own["effective_lr"].max() / own["effective_lr"].min())  # type: ignore[operator]
            best.append(
                f"{_title(norm, optimizer)} at {number(row['effective_lr'], 2)} "
                f"({number(float(span), 2)} decades)"
            )
    lost = rows.filter(pl.col("effective_lr").is_null(), pl.col("diverged") < pl.col("seeds"))
    found = (
        f"The lowest mean error lies at these η_eff, in brackets the range that η_eff spans: "
        f"{listed(best)}. "
        if best
        else ""
    )
    dead = f"{counted(len(lost), 'setting')} without a final η_eff not shown. " if len(lost) else ""
    return found + dead + diverged_sentence(rows)


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
