"""How far a trained network's outputs move when its normalised weights are scaled."""

from typing import Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from etaeff._words import number
from etaeff.report._axes import key, legend_on_top, panels
from etaeff.report._figures._plot import Plot
from etaeff.report._frames import Frames
from etaeff.report._scales import ZeroLog
from etaeff.report._settings import select
from etaeff.report._style import BLUE, ORANGE, house_style

NORMS: Final = {
    "batch": "batch norm.",
    "layer": "layer norm.",
    "weight": "weight norm.",
    "none": "no norm.",
}
OWN: Final = "own"
NO: Final = "none"
_LOOKS: Final = {OWN: ("the network's own ε", ORANGE, "s"), NO: ("ε next to none", BLUE, "o")}


def rescaling_rows(frames: Frames) -> pl.DataFrame:
    """A row for each SGD trial, factor and ε; `which` says whether ε is the network's own."""
    trials = pl.concat(
        select(frames.trials, optimizer="sgd", norm=norm, decay_head=norm == "none")
        for norm in NORMS
    )
    trained_with = pl.col("eps") == pl.col("eps").max().over("trial")
    return (
        frames.rescalings.join(trials.select("trial", "norm"), on="trial", how="inner")
        .with_columns(which=pl.when(trained_with).then(pl.lit(OWN)).otherwise(pl.lit(NO)))
        .filter(pl.col("change").is_finite())
        .select("norm", "trial", "factor", "eps", "which", "change")
        .sort("norm", "factor", "which", "trial")
    )


@house_style()
def rescaling_figure(rows: pl.DataFrame) -> Figure:
    """A panel for each normalisation."""
    present = [norm for norm in NORMS if norm in rows["norm"].to_list()]
    figure, axes = panels(len(present), 4, 3.2)
    scale = ZeroLog.of(rows["change"])
    factors = rows["factor"].unique().sort().to_list()
    for panel, norm in zip(axes, present, strict=True):
        _panel(panel, rows.filter(pl.col("norm") == norm), factors, scale)
        panel.set_title(NORMS[norm])
        panel.set_xlabel("factor")
    axes[0].set_ylabel("relative change of the outputs")
    handles = [key(label, colour, marker, linestyle="none") for label, colour, marker in
               _LOOKS.values()]  # fmt: skip
    legend_on_top(figure, handles)
    return figure


def _panel(axes: Axes, rows: pl.DataFrame, factors: list[float], scale: ZeroLog) -> None:
    """Draw the changes under one normalisation, a column for each factor and ε."""
    for shift, (which, (_, colour, marker)) in zip((-0.16, 0.16), _LOOKS.items(), strict=True):
        subset = rows.filter(pl.col("which") == which)
        # Hundreds of networks lie on each other: one point for a twentieth of a decade.
        heights = np.round(20 * scale(subset["change"])) / 20
        positions = np.array([factors.index(f) for f in subset["factor"]]) + shift
        points = np.unique(np.column_stack([positions, heights]), axis=0)
        axes.plot(*points.T, marker, color=colour, markersize=3, alpha=0.6, markeredgewidth=0)
    axes.set_xticks(range(len(factors)), [f"× {factor:g}" for factor in factors])
    axes.set_xlim(-0.5, len(factors) - 0.5)
    axes.grid(visible=False, axis="x")
    scale.decorate(axes, "y")


def rescaling_seen(rows: pl.DataFrame) -> str:
    """The largest changes."""
    texts = []
    least = f"ε = {number(min(rows['eps'].to_list(), default=None))}"
    for norm, name in NORMS.items():
        subset = rows.filter(pl.col("norm") == norm)
        largest = dict(subset.group_by("which").agg(pl.col("change").max()).rows())
        if largest:
            texts.append(
                f"{name} {number(largest.get(OWN), 2)} with its own ε, "
                f"{number(largest.get(NO), 2)} with {least}"
            )
    return f"Largest change: {'; '.join(texts)}." if texts else ""


RESCALING: Final = Plot(
    name="rescaling",
    title="Scale invariance, and what ε takes from it",
    alt="Dot charts, one for each normalisation: change of the outputs under scaling.",
    look=(
        "Trained SGD networks, all normalised weights times a factor, in float64; each point is "
        "one network or several. A network that is scale-invariant keeps its outputs to rounding, "
        "near 10⁻¹⁶, or exactly (0, under the break). The ε in the normalisation breaks the "
        "invariance for channels whose variance is not large against it."
    ),
    claims=(1, 9),
    rows=rescaling_rows,
    figure=rescaling_figure,
    seen=rescaling_seen,
    absent="'rescalings.parquet' is absent or holds none of these trials",
)
