"""The radius at which SGD settles, measured and by its law."""

from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from etaeff._words import counted, listed, number
from etaeff.records import SETTLED, TAIL
from etaeff.report._axes import key, legend_on_top, panels
from etaeff.report._figures._plot import Plot
from etaeff.report._frames import Frames
from etaeff.report._scales import log_axis
from etaeff.report._settings import grid, noisy
from etaeff.report._style import BLUE, CATEGORIES, FAINT, INK, MARKERS, ORANGE, house_style


def radius_law_rows(frames: Frames) -> pl.DataFrame:
    """A row for each SGD trial and layer with λ > 0 and a final radius.

    Returns:
        `random_labels`, `lr`, `wd`, `seed`, `layer`, `measured` (r⁴), `law`
        (ηG/(λ(2 − ηλ))), `decays` (ηλ times the steps) and
        `settled`.
    """
    x = pl.col("lr") * pl.col("wd")
    arms = [grid(frames.trials, optimizer="sgd"), noisy(frames.trials, "sgd")]
    trials = pl.concat(arms).filter(pl.col("wd") > 0, x < 2, pl.col("diverged_epoch").is_null())
    tail = pl.col("epoch") > (1 - TAIL) * pl.col("epoch").max().over("trial")
    final = (
        frames.epochs.join(trials.select("trial"), on="trial", how="semi")
        .filter(tail)
        .group_by("trial", "layer")
        .agg(measured=pl.col("radius_4").mean(), gradient=pl.col("grad_norm_sq").mean())
    )
    names = ["random_labels", "lr", "wd", "seed"]
    rows = final.join(trials.select("trial", "steps", *names), on="trial").with_columns(
        law=pl.col("lr") * pl.col("gradient") / (pl.col("wd") * (2 - x)),
        decays=pl.col("steps") * x,
    )
    shown = [pl.col(name).is_finite() & (pl.col(name) > 0) for name in ("measured", "law")]
    kept = rows.filter(shown).with_columns(settled=pl.col("decays") >= SETTLED)
    columns = [*names, "layer", "measured", "law", "decays", "settled"]
    return kept.select(columns).sort(*names, "layer")


def labels_name(random_labels: float) -> str:
    """What the labels are."""
    return f"{100 * random_labels:g} % random labels" if random_labels else "clean labels"


@house_style()
def radius_law_figure(rows: pl.DataFrame) -> Figure:
    """Two panels: measurement against law, and their ratio against the length of the run."""
    figure, (left, right) = panels(2, 2, 3.5, share_y="none")
    handles = [key("as the law says", INK, linewidth=0.9)]
    for share, (colour, marker) in _looks(rows).items():
        for settled in (False, True):
            subset = rows.filter(pl.col("random_labels") == share, pl.col("settled") == settled)
            look = {"color": colour, "markersize": 3.5, **_filling(settled)}
            left.plot(subset["law"], subset["measured"], marker, **look)
            right.plot(subset["decays"], subset["measured"] / subset["law"], marker, **look)
        handles.append(key(labels_name(share), colour, marker, linestyle="none"))
    if not rows["settled"].all():
        handles.append(key("open: not settled", FAINT, "o", linestyle="none", **_filling(False)))
    _against_law(left)
    right.axhline(1, color=INK, linewidth=0.9, zorder=1)
    right.axvline(SETTLED, color=FAINT, linewidth=0.9, linestyle=(0, (3, 2)), zorder=1)
    right.set(xlabel=r"length of the run: $\eta\lambda\,\times$ steps", ylabel="measured / law")
    right.set(xscale="log", yscale="log")
    for which in ("x", "y"):
        log_axis(right, which, most=6)
    legend_on_top(figure, handles)
    return figure


def _against_law(axes: Axes) -> None:
    """The same limits both ways, and the line where measurement and law are equal."""
    axes.set(xscale="log", yscale="log")
    limits = np.array([axes.get_xlim(), axes.get_ylim()])
    ends = (float(limits.min()), float(limits.max()))
    axes.plot(ends, ends, color=INK, linewidth=0.9, zorder=1)
    axes.set(xlim=ends, ylim=ends, xlabel=r"law: $\eta\,G\,/\,(\lambda\,(2-\eta\lambda))$",
             ylabel=r"measured: mean $\|w\|^4$")  # fmt: skip
    for which in ("x", "y"):
        log_axis(axes, which, most=6)


def _looks(rows: pl.DataFrame) -> dict[float, tuple[str, str]]:
    """Colour and marker for each share of random labels."""
    shares = rows["random_labels"].unique().sort().to_list()
    noise = ((ORANGE, "^"), *zip(CATEGORIES[2:], MARKERS[3:], strict=False))
    looks = dict(zip([s for s in shares if s > 0], noise, strict=False))
    return {0.0: (BLUE, "o"), **looks} if 0 in shares else looks


def _filling(settled: bool) -> dict[str, Any]:
    """The look of a marker: full for a settled run, else open."""
    if settled:
        return {"alpha": 0.7, "markeredgewidth": 0}
    return {"alpha": 0.7, "markerfacecolor": "none", "markeredgewidth": 0.8}


def radius_law_seen(rows: pl.DataFrame) -> str:
    """The ratio of measurement and law in settled runs."""
    texts = []
    for share in rows.filter("settled")["random_labels"].unique().sort():
        subset = rows.filter("settled", pl.col("random_labels") == share)
        ratio = (subset["measured"] / subset["law"]).to_numpy()
        low, middle, high = np.quantile(ratio, [0.05, 0.5, 0.95])
        texts.append(
            f"{number(middle)} on {labels_name(share)} (nine tenths between "
            f"{number(low)} and {number(high)}, {counted(len(ratio), 'layer')} of "
            f"{counted(subset.select('lr', 'wd', 'seed').n_unique(), 'run')})"
        )
    if not texts:
        return "No run has settled."
    return f"Median of measured r⁴ over its law, settled runs: {listed(texts)}."


RADIUS_LAW: Final = Plot(
    name="radius-law",
    title="The radius at which SGD settles",
    alt="Two scatter charts: fourth power of the radius against its law; their ratio over time.",
    look=(
        "Each point is one layer of one run under batch normalisation, over the last tenth of "
        "its epochs. G is the measured mean of ‖w‖²‖∇L‖², the squared gradient on the unit "
        "sphere. The law supposes that the gradient is mostly noise; random labels, which no "
        "network of this size fits, keep it so. "
        "Decay needs some 1/(ηλ) steps: runs of five times that, the dashed line, count as "
        "settled."
    ),
    claims=(4,),
    rows=radius_law_rows,
    figure=radius_law_figure,
    seen=radius_law_seen,
)
