"""Radius and effective learning rate while SGD trains, for several λ."""

from typing import Final

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from etaeff._words import number
from etaeff.report._axes import EFFECTIVE_LABEL, key, legend_on_top, panels
from etaeff.report._figures._plot import Plot
from etaeff.report._frames import Frames
from etaeff.report._scales import log_axis
from etaeff.report._settings import grid, one_lr
from etaeff.report._style import house_style, wd_colours

QUANTITIES: Final = {"radius": r"radius $\|w\|$", "effective_lr": EFFECTIVE_LABEL}


def epochs_rows(frames: Frames) -> pl.DataFrame:
    """A row for each λ and epoch of SGD's grid at one η.

    Returns:
        `lr`, `wd`, `epoch`, and for `radius` and `effective_lr` the geometric mean over seeds
        and layers, with the smallest and largest of the seeds' means (`…_low`, `…_high`).
    """
    trials = one_lr(grid(frames.trials, optimizer="sgd")).select("trial", "lr", "wd")
    rows = frames.epochs.join(trials, on="trial", how="inner")
    alive = [(pl.col(name).is_finite() & (pl.col(name) > 0)) for name in QUANTITIES]
    seeds = (
        rows.filter(alive)
        .group_by("lr", "wd", "epoch", "trial")
        .agg(pl.col(name).log().mean() for name in QUANTITIES)
    )
    means = [pl.col(name).mean().exp() for name in QUANTITIES]
    lows = [pl.col(name).min().exp().name.suffix("_low") for name in QUANTITIES]
    highs = [pl.col(name).max().exp().name.suffix("_high") for name in QUANTITIES]
    return seeds.group_by("lr", "wd", "epoch").agg(*means, *lows, *highs).sort("lr", "wd", "epoch")


@house_style()
def epochs_figure(rows: pl.DataFrame) -> Figure:
    """Two panels: radius, effective learning rate."""
    figure, axes = panels(len(QUANTITIES), 2, 3.0, share_y="none")
    colours = wd_colours(rows["wd"].unique().to_list())
    for panel, (name, label) in zip(axes, QUANTITIES.items(), strict=True):
        _lines(panel, rows, name, colours)
        panel.set_ylabel(label)
        panel.set_xlabel("epoch")
    handles = [
        key(rf"$\lambda$ = {wd:g}" if i == 0 else f"{wd:g}", colour)
        for i, (wd, colour) in enumerate(colours.items())
    ]
    legend_on_top(figure, handles)
    return figure


def _lines(axes: Axes, rows: pl.DataFrame, name: str, colours: dict[float, str]) -> None:
    """Draw one quantity against the epoch, a line with its range for each λ."""
    for wd, colour in colours.items():
        subset = rows.filter(pl.col("wd") == wd)
        low, high = subset[f"{name}_low"], subset[f"{name}_high"]
        axes.fill_between(subset["epoch"], low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(
            subset["epoch"], subset[name], color=colour, dashes=(4, 1.5) if wd == 0 else (1, 0)
        )
    log_axis(axes, "y")


def epochs_seen(rows: pl.DataFrame) -> str:
    """What radius and rate were in the first epoch and in the last."""
    texts = []
    for wd in rows["wd"].unique().sort():
        subset = rows.filter(pl.col("wd") == wd).sort("epoch")
        first, last = subset.row(0, named=True), subset.row(-1, named=True)
        texts.append(
            f"at λ = {wd:g} ‖w‖ from {number(first['radius'])} to {number(last['radius'])} and "
            f"η_eff from {number(first['effective_lr'])} to {number(last['effective_lr'])}"
        )
    return f"η = {rows['lr'][0]:g}. From the first epoch to the last: {'; '.join(texts)}."


EPOCHS: Final = Plot(
    name="epochs",
    title="Radius and effective learning rate while SGD trains",
    alt="Two line charts side by side: radius and effective learning rate against the epoch.",
    look=(
        "One η of SGD's grid under batch normalisation; geometric means over layers and seeds, "
        "the bands from the lowest seed to the highest. Without λ a radius can only grow; with "
        "it the radius falls until decay and gradient balance, and η_eff = η/‖w‖² rises to a "
        "plateau."
    ),
    claims=(3, 4),
    rows=epochs_rows,
    figure=epochs_figure,
    seen=epochs_seen,
)
