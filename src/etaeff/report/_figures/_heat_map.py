"""The test error over (η, λ), with lines along which the equilibrium is the same."""

import math
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from etaeff._words import number
from etaeff.report._axes import ERROR_LABEL, LR_LABEL, WD_LABEL, panels
from etaeff.report._figures._plot import Plot, diverged_sentence
from etaeff.report._frames import Frames
from etaeff.report._scales import log_ticks, mark, tick_label
from etaeff.report._settings import by_setting, grid, in_order
from etaeff.report._style import ERROR_MAP, house_style
from etaeff.report._words import optimizer_name

# The power of η in the product that fixes the equilibrium: ηλ, but η²λ for Adam with L2.
POWERS: Final = {"sgd": 1, "adam": 2, "adamw": 1}
_SYMBOLS: Final = {1: r"$\eta\lambda$", 2: r"$\eta^2\lambda$"}


def heat_map_rows(frames: Frames) -> pl.DataFrame:
    """A row for each optimiser, η and λ of the free grid, with their `product`."""
    trials = grid(frames.trials).filter(pl.col("optimizer").is_in(list(POWERS)))
    power = pl.col("optimizer").replace_strict(POWERS, return_dtype=pl.Int64)
    product = pl.col("lr").pow(power) * pl.col("wd")
    return by_setting(trials, "optimizer", "lr", "wd").with_columns(product=product)


@house_style()
def heat_map_figure(rows: pl.DataFrame) -> Figure:
    """A panel for each optimiser, and one colour bar."""
    names = in_order(rows["optimizer"].unique().to_list())
    figure, axes = panels(len(names), 3, 3.3, share_y="none")
    norm = _norm(rows["error"].drop_nulls().to_list())
    for panel, name in zip(axes, names, strict=True):
        subset = rows.filter(pl.col("optimizer") == name)
        _cells(panel, subset, norm)
        _equal_products(panel, subset, POWERS[name])
        panel.set_title(f"{optimizer_name(name)}, lines of equal {_SYMBOLS[POWERS[name]]}")
        panel.set_xlabel(LR_LABEL)
    axes[0].set_ylabel(WD_LABEL)
    _colour_bar(figure, axes, norm)
    return figure


def _colour_bar(figure: Figure, axes: list[Axes], norm: Normalize) -> None:
    """Draw the bar that tells what error a colour stands for."""
    scale = ScalarMappable(norm, ERROR_MAP)
    bar = figure.colorbar(scale, ax=axes, location="bottom", aspect=50, label=ERROR_LABEL)
    bar.outline.set_visible(False)
    if isinstance(norm, LogNorm):
        ticks = log_ticks(float(norm.vmin or 1), float(norm.vmax or 1), most=9)
        mark(bar.ax.xaxis, {tick: f"{tick:g}" for tick in ticks})


def _norm(errors: list[float]) -> Normalize:
    """The scale of the colours: logarithmic if no error is 0 and they differ."""
    if not errors or min(errors) <= 0 or min(errors) == max(errors):
        return Normalize(0, max(errors, default=1.0) or 1.0)
    return LogNorm(min(errors), max(errors))


def _cells(axes: Axes, rows: pl.DataFrame, norm: Normalize) -> None:
    """One cell for each setting, with its error in it; × where seeds diverged."""
    lrs, wds = (rows[name].unique().sort().to_list() for name in ("lr", "wd"))
    x = np.log10(lrs)
    heights = _heights(wds)
    # λ = 0 is a row of its own, apart from the others: it has no place on their scale.
    for values in ([wd for wd in wds if wd > 0], [wd for wd in wds if wd == 0]):
        if values:
            y = np.array([heights[wd] for wd in values])
            edges = _edges(y) if values[0] else y[0] + np.array([-0.3, 0.3])
            axes.pcolormesh(_edges(x), edges, _table(rows, lrs, values), norm=norm,
                            cmap=ERROR_MAP, edgecolor="white", linewidth=1.2)  # fmt: skip
    for row in rows.iter_rows(named=True):
        _number(axes, math.log10(row["lr"]), heights[row["wd"]], row, norm)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    mark(axes.xaxis, {math.log10(lr): f"{lr:g}" for lr in lrs})
    mark(axes.yaxis, {heights[wd]: tick_label(wd) if wd else "0" for wd in wds})
    axes.set_xlim(_edges(x)[0], _edges(x)[-1])


def _heights(wds: list[float]) -> dict[float, float]:
    """Where the centre of each row stands."""
    heights = {wd: math.log10(wd) for wd in wds if wd > 0}
    floor = _edges(np.array(list(heights.values())))[0] if heights else 0.0
    return {0.0: floor - 0.45, **heights}


def _table(rows: pl.DataFrame, lrs: list[float], wds: list[float]) -> NDArray[np.float64]:
    """Errors, (λ, η); NaN where there is none."""
    error = np.full((len(wds), len(lrs)), math.nan)
    subset = rows.filter(pl.col("wd").is_in(wds))
    for lr, wd, value in subset.select("lr", "wd", "error").rows():
        error[wds.index(wd), lrs.index(lr)] = math.nan if value is None else value
    return error


def _number(axes: Axes, x: float, y: float, row: dict[str, Any], norm: Normalize) -> None:
    """Write a setting's error into its cell, and × where a seed diverged."""
    error = row["error"]
    text = "×" if error is None else f"{error:.1f}{' ×' if row['diverged'] else ''}"
    cell = (1.0, 1.0, 1.0) if error is None else colormaps[ERROR_MAP](norm(error))[:3]
    dark = float(np.dot(cell, (0.3, 0.59, 0.11))) < 0.5
    # The box has the cell's colour, so that the line of equal products stops at the number.
    axes.text(x, y, text, ha="center", va="center", fontsize=8, zorder=4,
              color="white" if dark else "black",
              bbox={"facecolor": cell, "edgecolor": "none", "pad": 1.0})  # fmt: skip


def _edges(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges half way between the centres; the outer cells are as wide outwards as inwards."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middles = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middles[0]], middles, [2 * centres[-1] - middles[-1]]])


def _equal_products(axes: Axes, rows: pl.DataFrame, power: int) -> None:
    """Lines of equal η^power·λ through every decade that the grid reaches."""
    decayed = rows.filter(pl.col("wd") > 0)
    if decayed.is_empty():
        return
    x = np.linspace(*axes.get_xlim(), 100)
    floor, ceiling = _edges(np.log10(decayed["wd"].unique().sort()))[[0, -1]]
    exponents = np.log10(decayed["product"])
    for exponent in range(math.ceil(exponents.min() - 1e-9), math.floor(exponents.max()) + 1):
        y = exponent - power * x
        inside = (y > floor) & (y < ceiling)
        axes.plot(x[inside], y[inside], color="white", linewidth=2, alpha=0.7)
        axes.plot(x[inside], y[inside], color="black", linewidth=0.8, linestyle=(0, (4, 2)))
        if inside[-1]:
            axes.annotate(tick_label(10.0**exponent), (x[-1], y[-1]), annotation_clip=False,
                          xytext=(2, -3), textcoords="offset points", fontsize=7)  # fmt: skip


def heat_map_seen(rows: pl.DataFrame) -> str:
    """How far errors differ along a line, and altogether."""
    texts = []
    for name in in_order(rows["optimizer"].unique().to_list()):
        subset = rows.filter(pl.col("optimizer") == name, pl.col("wd") > 0)
        # A grid of 1 and 3 has 9 where its decades have 10: a tenth of a decade is near enough.
        near = pl.col("product").log10().round(1)
        along = subset.group_by(near).agg(pl.col("error").max() - pl.col("error").min())["error"]
        whole = _spread(subset["error"])
        texts.append(
            f"{optimizer_name(name)} {number(_largest(along), 2)} points at equal products and "
            f"{number(whole, 2)} over all its λ > 0"
        )
    return f"Largest difference between mean errors: {'; '.join(texts)}. {diverged_sentence(rows)}"


def _spread(values: pl.Series) -> float | None:
    """The largest value less the smallest; `None` if there is none."""
    low, high = values.min(), values.max()
    return None if low is None or high is None else float(high) - float(low)  # type: ignore[arg-type]


def _largest(values: pl.Series) -> float | None:
    """The largest value; `None` if there is none."""
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
