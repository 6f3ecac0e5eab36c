"""The final effective learning rate against the product of η and λ that should fix it."""

import math
from typing import Final

import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from etaeff._words import number
from etaeff.report._axes import EFFECTIVE_LABEL, legend_above, lr_key, panels
from etaeff.report._figures._plot import Plot
from etaeff.report._frames import Frames
from etaeff.report._scales import log_axis, mark, tick_label
from etaeff.report._settings import by_setting, in_order, noisy
from etaeff.report._style import INK, MARKERS, house_style, ordered_colours
from etaeff.report._words import optimizer_name

# The product, its name on the axis, and the exponent of η_eff in it that theory gives.
PRODUCTS: Final = {
    "sgd": (1, r"$\eta\lambda$", 1 / 2, "½"),
    "adam": (2, r"$\eta^2\lambda$", 1 / 3, "⅓"),
    "adamw": (1, r"$\eta\lambda$", 1 / 2, "½"),
}


def equilibrium_rows(frames: Frames) -> pl.DataFrame:
    """A row for each optimiser, η and λ of the runs on partly random labels."""
    trials = pl.concat(noisy(frames.trials, name) for name in PRODUCTS)
    power = pl.col("optimizer").replace_strict(
        {name: power for name, (power, *_) in PRODUCTS.items()}, return_dtype=pl.Int64
    )
    return (
        by_setting(trials.filter(pl.col("wd") > 0), "optimizer", "lr", "wd")
        .filter(pl.col("effective_lr").is_not_null())
        .with_columns(product=pl.col("lr").pow(power) * pl.col("wd"))
    )


@house_style()
def equilibrium_figure(rows: pl.DataFrame) -> Figure:
    """A panel for each optimiser."""
    names = in_order(rows["optimizer"].unique().to_list())
    figure, axes = panels(len(names), 3, 2.8, share_y="none")
    for panel, name in zip(axes, names, strict=True):
        _panel(panel, rows.filter(pl.col("optimizer") == name), name)
    axes[0].set_ylabel(EFFECTIVE_LABEL)
    return figure


def _panel(axes: Axes, rows: pl.DataFrame, name: str) -> None:
    """Draw the runs of one optimiser, and the line of the predicted slope through their middle."""
    _, label, exponent, fraction = PRODUCTS[name]
    lrs = rows["lr"].unique().sort().to_list()
    handles: list[Artist] = []
    for lr, colour, marker in zip(lrs, ordered_colours(len(lrs)), MARKERS, strict=False):
        subset = rows.filter(pl.col("lr") == lr).sort("product")
        axes.plot(subset["product"], subset["effective_lr"], marker, color=colour, linestyle="none",
                  markersize=5, alpha=0.85)  # fmt: skip
        handles.append(lr_key(lr, colour, marker, first=not handles, linestyle="none"))
    product, rate = rows["product"].to_numpy(), rows["effective_lr"].to_numpy()
    ends = np.array([product.min() / 1.6, product.max() * 1.6])
    middle = np.exp(np.mean(np.log(rate) - exponent * np.log(product)))
    axes.plot(ends, middle * ends**exponent, color=INK, linewidth=0.9, zorder=1)
    axes.set(xlabel=label, xscale="log")
    log_axis(axes, "y", most=5)
    marked = sorted({float(f"{value:.1e}") for value in product})
    mark(axes.xaxis, {value: tick_label(value) for value in marked[:4]})
    legend_above(axes, handles, f"{optimizer_name(name)}, slope {fraction}", columns=2)


def exponent(rows: pl.DataFrame) -> float:
    """The exponent of η_eff in the product, by least squares; NaN for one product."""
    x, y = (np.log(rows[column].to_numpy()) for column in ("product", "effective_lr"))
    x = x - x.mean()
    return float(x @ y / (x @ x)) if x @ x > 1e-12 else math.nan


def equilibrium_seen(rows: pl.DataFrame) -> str:
    """The exponents, and how far η moves η_eff at equal products."""
    texts = []
    near = pl.col("product").log10().round(1)
    for name in in_order(rows["optimizer"].unique().to_list()):
        subset = rows.filter(pl.col("optimizer") == name)
        ratio = (pl.col("effective_lr").max() / pl.col("effective_lr").min()).alias("ratio")
        widest = subset.group_by(near).agg(ratio)["ratio"].max()
        texts.append(
            f"{optimizer_name(name)} {number(exponent(subset), 2)}, with factors of up to "
            f"{number(float(widest), 2)} between η at equal products"  # type: ignore[arg-type]
        )
    return f"Least-squares exponents of η_eff in the product: {'; '.join(texts)}."


EQUILIBRIUM: Final = Plot(
    name="equilibrium",
    title="Settled effective learning rate against the product of η and λ",
    alt="Scatter charts, one for each optimiser: final effective learning rate, logarithmic.",
    look=(
        "Long runs on partly random labels under batch normalisation, final values; head, gains "
        "and shifts learn at η itself. Theory says "
        "that η and λ matter through one product alone, ηλ for SGD and AdamW, η²λ for Adam, "
        "whose penalty is in its gradient: then markers of all η lie on each other, along the "
        "line, which has the predicted slope and passes through the middle of the points."
    ),
    claims=(4, 5),
    rows=equilibrium_rows,
    figure=equilibrium_figure,
    seen=equilibrium_seen,
)
