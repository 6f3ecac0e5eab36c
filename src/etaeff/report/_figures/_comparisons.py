"""Errors beside each other, seed by seed: initial scales, and which gains are penalised."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from etaeff._words import listed, number
from etaeff.report._axes import (
    ERROR_LABEL,
    WD_LABEL,
    error_axis,
    error_line,
    key,
    legend_on_top,
    panels,
    with_diverged,
)
from etaeff.report._figures._plot import Plot, diverged_sentence
from etaeff.report._frames import Frames
from etaeff.report._settings import by_setting, in_order, select
from etaeff.report._style import BLUE, CATEGORIES, MARKERS, ORANGE, house_style
from etaeff.report._words import optimizer_name

ARMS: Final = {False: ("free", ORANGE, "s"), True: (r"$\|w\|$ = 1", BLUE, "o")}
GAINS: Final = {"none": "none", "all": "all gains and shifts", "last": "the last gain"}


def initial_scale_rows(frames: Frames) -> pl.DataFrame:
    """A row for each optimiser, arm and initial scale, without λ."""
    trials = select(frames.trials, free=["init_scale", "sphere"]).filter(pl.col("wd") == 0)
    rows = _compared(trials, "init_scale", "optimizer", "sphere", "lr", "steps")
    return by_setting(rows, "optimizer", "sphere", "lr", "init_scale")


def gains_rows(frames: Frames) -> pl.DataFrame:
    """A row for each λ and choice of penalised gains, of SGD."""
    trials = select(frames.trials, free=["decay_gains"], optimizer="sgd")
    rows = _compared(trials, "decay_gains", "lr", "wd", "steps")
    return by_setting(rows, "lr", "wd", "decay_gains")


def _compared(trials: pl.DataFrame, what: str, *same: str) -> pl.DataFrame:
    """The trials that differ in `what` from others with the `same` settings."""
    return trials.filter(pl.col(what).n_unique().over(same) > 1)


@house_style()
def initial_scale_figure(rows: pl.DataFrame) -> Figure:
    """A panel for each optimiser, a line for each arm."""
    names = in_order(rows["optimizer"].unique().to_list())
    figure, axes = panels(len(names), 2, 2.7)
    for panel, name in zip(axes, names, strict=True):
        for fixed, (_, colour, marker) in ARMS.items():
            subset = rows.filter(pl.col("optimizer") == name, pl.col("sphere") == fixed)
            look: dict[str, Any] = {"colour": colour, "marker": marker, "level": int(fixed)}
            error_line(panel, subset["init_scale"], subset, **look)
        panel.set(xscale="log", xlabel="scale of the initial weights")
        _scale_ticks(panel, rows["init_scale"].unique().sort().to_list())
        panel.set_title(optimizer_name(name))
    error_axis(axes[0], rows)
    axes[0].set_ylabel(ERROR_LABEL)
    handles = [key(*look) for look in ARMS.values()]
    legend_on_top(figure, with_diverged(handles, rows))
    return figure


def _scale_ticks(axes: Axes, scales: Sequence[float]) -> None:
    """Mark the initial scales, and nothing between them."""
    axes.set_xticks(scales, [f"× {scale:g}" for scale in scales])
    axes.set_xticks([], minor=True)
    axes.set_xlim(min(scales) / 1.8, max(scales) * 1.8)


@house_style()
def gains_figure(rows: pl.DataFrame) -> Figure:
    """One panel: a group for each λ, a mark for each choice."""
    figure, (axes,) = panels(1, 1, 2.9)
    wds = rows["wd"].unique().sort().to_list()
    handles = []
    present = [name for name in GAINS if name in rows["decay_gains"].to_list()]
    for i, name in enumerate(present):
        subset = rows.filter(pl.col("decay_gains") == name)
        shift = 0.18 * (i - (len(present) - 1) / 2)
        positions = np.array([wds.index(wd) for wd in subset["wd"]]) + shift
        look: dict[str, Any] = {"colour": CATEGORIES[i], "marker": MARKERS[i]}
        error_line(axes, positions, subset, linestyle="none", markersize=6, **look)
        handles.append(key(GAINS[name], **look, linestyle="none"))
    axes.set_xticks(range(len(wds)), [f"{wd:g}" for wd in wds])
    axes.set(xlim=(-0.6, len(wds) - 0.4), xlabel=WD_LABEL, ylabel=ERROR_LABEL)
    axes.grid(visible=False, axis="x")
    error_axis(axes, rows, log=False)
    figure.legend(
        handles=with_diverged(handles, rows), title="penalised", loc="outside right upper"
    )
    return figure


def initial_scale_seen(rows: pl.DataFrame) -> str:
    """The mean errors by scale."""
    texts = []
    for name in in_order(rows["optimizer"].unique().to_list()):
        for fixed, arm in ((False, "free"), (True, "with ‖w‖ = 1")):
            subset = rows.filter(pl.col("optimizer") == name, pl.col("sphere") == fixed)
            if not subset.is_empty():
                errors = subset.sort("init_scale").select("init_scale", "error").rows()
                by_scale = listed(f"{number(e, 2)} % at × {s:g}" for s, e in errors)
                texts.append(f"{optimizer_name(name)} {arm} (η = {subset['lr'][0]:g}) {by_scale}")
    return f"Mean errors: {'; '.join(texts)}. {diverged_sentence(rows)}"


def gains_seen(rows: pl.DataFrame) -> str:
    """The largest difference between choices at each λ."""
    spreads = rows.group_by("wd").agg(pl.col("error").max() - pl.col("error").min()).sort("wd")
    texts = listed(f"{number(spread, 2)} points at λ = {wd:g}" for wd, spread in spreads.rows())
    return (
        f"η = {rows['lr'][0]:g}. Largest difference between the choices' mean errors: {texts}. "
        f"{diverged_sentence(rows)}"
    )


INITIAL_SCALE: Final = Plot(
    name="initial-scale",
    title="The scale of the initial weights",
    alt="Two line charts side by side: test error against the scale of the initial weights.",
    look=(
        "Batch normalisation, no weight decay; the initial weights of the normalised layers are "
        "scaled. The network computes the same function at the start, but a larger radius "
        "means a smaller η_eff, and without λ nothing brings it back. With ‖w‖ = 1 after every "
        "step the scale is gone before the first one."
    ),
    claims=(7,),
    rows=initial_scale_rows,
    figure=initial_scale_figure,
    seen=initial_scale_seen,
)
PENALISED_GAINS: Final = Plot(
    name="gains",
    title="Which gains and shifts are penalised",
    alt="Dot chart: test error for three choices of penalised gains at each λ.",
    look=(
        "SGD under batch normalisation. λ acts on the normalised weights and, besides, on no "
        "gain, on all gains and shifts, or on the gain of the last normalised layer. With ReLU "
        "only the last is not absorbed by the layer after it. Bars are standard deviations over "
        "seeds."
    ),
    claims=(8,),
    rows=gains_rows,
    figure=gains_figure,
    seen=gains_seen,
)
