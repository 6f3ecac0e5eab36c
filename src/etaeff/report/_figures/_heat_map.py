"""The test error over (η, λ), with lines along which the equilibrium is the same."""

import math
from typing import Final

import numpy as np
import polars as pl
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter
from numpy.typing import NDArray

from etaeff.report._axes import ERROR_LABEL, LR_LABEL, WD_LABEL, ZeroLog, panels, power_of_ten
from etaeff.report._figures._plot import Plot, diverged_sentence
from etaeff.report._frames import Frames
from etaeff.report._settings import by_setting, grid, in_order
from etaeff.report._style import ERROR_MAP, house_style
from etaeff.report._words import listed, number, optimizer_name

# The power of η in the product that fixes the equilibrium: ηλ, but η²λ for Adam with L2.
POWERS: Final = {"sgd": 1, "adam": 2, "adamw": 1}
_SYMBOLS: Final = {1: r"$\eta\lambda$", 2: r"$\eta^2\lambda$"}


def heat_map_rows(frames: Frames) -> pl.DataFrame:
    """A row for each optimiser, η and λ of the free grid, with their `product`."""
    trials = grid(frames.trials).filter(pl.col("optimizer").is_in(list(POWERS)))
    power = pl.col("optimizer").replace_strict(POWERS, return_dtype=pl.Int64)
    product = pl.col("lr").pow(power) * pl.col("wd")
    return by_setting(trials, "optimizer", "lr", "wd").with_columns(
        product=product.round_sig_figs(3)
    )


@house_style()
def heat_map_figure(rows: pl.DataFrame) -> Figure:
    """A panel for each optimiser, and one colour bar."""
    names = in_order(rows["optimizer"].unique().to_list())
    figure, axes = panels(len(names), 3, 3.3, share_y=False)
    norm = _norm(rows["error"].drop_nulls().to_list())
    for own_axes, name in zip(axes, names, strict=True):
        own = rows.filter(pl.col("optimizer") == name)
        mesh = _cells(own_axes, own, norm)
        _equal_products(own_axes, own, POWERS[name])
        own_axes.set_title(f"{optimizer_name(name)}, lines of equal {_SYMBOLS[POWERS[name]]}")
        own_axes.set_xlabel(LR_LABEL)
    axes[0].set_ylabel(WD_LABEL)
    bar = figure.colorbar(mesh, ax=axes, location="bottom", aspect=50, label=ERROR_LABEL)
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    bar.ax.xaxis.set_minor_formatter(NullFormatter())
    bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def _norm(errors: list[float]) -> Normalize:
    if not errors or min(errors) <= 0 or min(errors) == max(errors):
        return Normalize(0, max(errors, default=1.0) or 1.0)
    return LogNorm(min(errors), max(errors))


def _cells(axes: Axes, rows: pl.DataFrame, norm: Normalize) -> QuadMesh:
    """One cell for each setting, with its error in it; × where all its seeds diverged."""
    columns, lines = (rows[name].unique().sort().to_list() for name in ("lr", "wd"))
    scale = ZeroLog.of(lines)
    x, y = np.log10(columns), scale(lines)
    error = np.full((len(lines), len(columns)), math.nan)
    for row in rows.iter_rows(named=True):
        i, j = lines.index(row["wd"]), columns.index(row["lr"])
        error[i, j] = math.nan if row["error"] is None else row["error"]
        mark = " ×" if row["diverged"] and row["error"] is not None else ""
        text = "×" if row["error"] is None else f"{row['error']:.1f}{mark}"
        axes.text(x[j], y[i], text, ha="center", va="center", fontsize=8, zorder=4,
                  color=_readable(error[i, j], norm))  # fmt: skip
    axes.grid(visible=False)
    mesh = axes.pcolormesh(_edges(x), _edges(y), error, norm=norm, cmap=ERROR_MAP,
                           edgecolor="white", linewidth=1.2)  # fmt: skip
    _ticks(axes, columns, scale)
    axes.set(xlim=(_edges(x)[0], _edges(x)[-1]), ylim=(_edges(y)[0], _edges(y)[-1]))
    return mesh


def _readable(value: float, norm: Normalize) -> str:
    """Black or white, whichever stands out from the colour of `value`."""
    if math.isnan(value):
        return "black"
    red, green, blue, _ = colormaps[ERROR_MAP](norm(value))
    return "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"


def _edges(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges half way between the centres; the outer cells are as wide outwards as inwards."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middles = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middles[0]], middles, [2 * centres[-1] - middles[-1]]])


def _ticks(axes: Axes, lrs: list[float], scale: ZeroLog) -> None:
    scale.decorate(axes, "y")
    places = {math.log10(lr): f"{lr:g}" for lr in lrs}
    axes.xaxis.set_major_locator(FixedLocator(list(places)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: places.get(place, "")))
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", length=0)


def _equal_products(axes: Axes, rows: pl.DataFrame, power: int) -> None:
    """Lines of equal η^power·λ through every decade that the grid reaches."""
    products = rows.filter(pl.col("product") > 0)["product"]
    if products.is_empty():
        return
    smallest = math.log10(rows.filter(pl.col("wd") > 0)["wd"].min())  # type: ignore[arg-type]
    x = np.linspace(*axes.get_xlim(), 50)
    low, high = (math.log10(v) for v in (products.min(), products.max()))  # type: ignore[arg-type]
    for exponent in range(math.ceil(low), math.floor(high) + 1):
        y = exponent - power * x
        shown = (y > smallest - 0.35) & (y < axes.get_ylim()[1])
        axes.plot(x[shown], y[shown], color="white", linewidth=2.2, alpha=0.8)
        axes.plot(x[shown], y[shown], color="black", linewidth=0.9, linestyle=(0, (4, 2)))
        if shown.any():
            at = np.flatnonzero(shown)[-1]
            axes.annotate(power_of_ten(exponent), (x[at], y[at]), annotation_clip=False,
                          xytext=(2, 0), textcoords="offset points", fontsize=7)  # fmt: skip


def heat_map_seen(rows: pl.DataFrame) -> str:
    """How far errors differ along a line, and altogether."""
    texts = []
    for name in in_order(rows["optimizer"].unique().to_list()):
        own = rows.filter(pl.col("optimizer") == name, pl.col("wd") > 0)
        along = own.group_by("product").agg(pl.col("error").max() - pl.col("error").min())["error"]
        whole = _spread(own["error"])
        texts.append(
            f"{optimizer_name(name)} {number(_largest(along), 2)} points at equal products, "
            f"{number(whole, 2)} over all its λ > 0"
        )
    return f"Largest difference between mean errors: {listed(texts)}. {diverged_sentence(rows)}"


def _spread(values: pl.Series) -> float | None:
    low, high = values.min(), values.max()
    return None if low is None or high is None else float(high) - float(low)  # type: ignore[arg-type]


def _largest(values: pl.Series) -> float | None:
    high = values.max()
    return None if high is None else float(high)  # type: ignore[arg-type]


HEAT_MAP: Final = Plot(
    name="heat-map",
    title="Test error over learning rate and weight decay",
    alt="Heat maps, one for each optimiser: test error over η and λ.",
    look=(
        "Numbers are mean test errors in percent. The dashed lines join settings with the same "
        "equilibrium: equal ηλ for SGD and AdamW, equal η²λ for Adam, whose penalty is in its "
        "gradient. If η_eff decides and has settled, errors change across these lines and not "
        "along them."
    ),
    claims=(2, 5, 6),
    rows=heat_map_rows,
    figure=heat_map_figure,
    seen=heat_map_seen,
)
