"""The arm with ‖w‖ = 1 against λ, beside the free one: flat or not?"""

from typing import Any, Final

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
from etaeff.report._scales import ZeroLog
from etaeff.report._settings import by_setting, grid, in_order, one_lr
from etaeff.report._style import BLUE, GREEN, ORANGE, house_style
from etaeff.report._words import optimizer_name

# Each arm: its legend, colour, marker, and how its line is drawn.
ARMS: Final[dict[str, tuple[str, str, str, dict[str, Any]]]] = {
    "free": (r"free, $\lambda$ on $w$", ORANGE, "s", {}),
    "sphere": (r"$\|w\|$ = 1, $\lambda$ on $w$", BLUE, "o", {}),
    "head": (
        r"$\|w\|$ = 1, $\lambda$ on the head alone",
        GREEN,
        "^",
        {"linewidth": 0.9, "markersize": 3, "linestyle": (0, (4, 1.5))},
    ),
}
_IN_WORDS: Final = {
    "free": "when free",
    "sphere": "with ‖w‖ = 1",
    "head": "with ‖w‖ = 1 and λ on the head alone",
}


def sphere_rows(frames: Frames) -> pl.DataFrame:
    """A row for each arm, optimiser and λ; only of optimisers that have the sphere's arm."""
    trials = frames.trials
    arms = {
        "free": one_lr(grid(trials)),
        "sphere": one_lr(grid(trials, sphere=True)),
        "head": one_lr(grid(trials, sphere=True, decay_weights=False, decay_head=True)),
    }
    rows = pl.concat(
        by_setting(trials, "optimizer", "lr", "wd").with_columns(arm=pl.lit(arm))
        for arm, trials in arms.items()
    )
    both = pl.col("optimizer").is_in(arms["sphere"]["optimizer"].unique().to_list())
    return rows.filter(both)


@house_style()
def sphere_figure(rows: pl.DataFrame) -> Figure:
    """A panel for each optimiser."""
    names = in_order(rows["optimizer"].unique().to_list())
    figure, axes = panels(len(names), 3, 2.2)
    for panel, name in zip(axes, names, strict=True):
        _panel(panel, rows.filter(pl.col("optimizer") == name), name)
    error_axis(axes[0], rows)
    present = rows["arm"].unique().to_list()
    handles = [
        key(label, colour, marker, **line)
        for arm, (label, colour, marker, line) in ARMS.items()
        if arm in present
    ]
    legend_on_top(figure, with_diverged(handles, rows))
    figure.supylabel(ERROR_LABEL, fontsize="medium")
    figure.supxlabel(WD_LABEL, fontsize="medium")
    return figure


def _panel(axes: Axes, rows: pl.DataFrame, name: str) -> None:
    """Draw the errors of one optimiser against λ, a line for each arm."""
    scale = ZeroLog.of(rows["wd"])
    for level, (arm, (_, colour, marker, line)) in enumerate(ARMS.items()):
        look: dict[str, Any] = {"colour": colour, "marker": marker, "level": level, **line}
        subset = rows.filter(pl.col("arm") == arm).sort("wd")
        error_line(axes, scale(subset["wd"]), subset, **look)
    scale.decorate(axes)
    lrs = [
        f"{lr:g} {word}"
        for arm, word in (("free", "free"), ("sphere", "on the sphere"))
        for lr in rows.filter(pl.col("arm") == arm)["lr"].head(1)
    ]
    axes.set_title(optimizer_name(name), pad=15)
    axes.text(0, 1.03, rf"$\eta$ = {', '.join(lrs)}", transform=axes.transAxes, fontsize=7.5)


def sphere_seen(rows: pl.DataFrame) -> str:
    """How far λ moves the mean error in each arm."""
    spreads = rows.group_by("optimizer", "arm").agg(
        spread=pl.col("error").max() - pl.col("error").min()
    )
    texts = []
    for name in in_order(rows["optimizer"].unique().to_list()):
        by_arm = dict(spreads.filter(pl.col("optimizer") == name).select("arm", "spread").rows())
        parts = [f"{number(by_arm[arm], 2)} {_IN_WORDS[arm]}" for arm in _IN_WORDS if arm in by_arm]
        texts.append(f"{optimizer_name(name)} {listed(parts)}")
    # At λ = 0 it is the same trials that stand for both arms of the sphere.
    different = rows.filter((pl.col("arm") != "head") | (pl.col("wd") > 0))
    return (
        f"Difference between the largest and the smallest mean error, in points: "
        f"{'; '.join(texts)}. {diverged_sentence(different)}"
    )


SPHERE: Final = Plot(
    name="sphere",
    title="The paper's remedy: ‖w‖ = 1 after every step",
    alt="Line charts, one for each optimiser: test error against λ, on the sphere and free.",
    look=(
        "Batch normalisation, one η for each arm. If λ does nothing but set the norm, the arm "
        "whose norm is held is flat and the free one is not. The thin line is the same arm with λ "
        "on the last linear layer alone, which no normalisation makes scale-invariant."
    ),
    claims=(2,),
    rows=sphere_rows,
    figure=sphere_figure,
    seen=sphere_seen,
)
