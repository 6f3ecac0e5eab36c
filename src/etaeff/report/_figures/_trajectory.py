"""A predicted run: radius, turn and effective learning rate of every step."""

import io
import textwrap
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from etaeff.errors import UsageError
from etaeff.report._axes import EFFECTIVE_LABEL, LR_LABEL, key, panels
from etaeff.report._scales import log_axis, tick_label
from etaeff.report._style import BLUE, INK, house_style
from etaeff.theory import Trajectory, equilibrium

POINTS: Final = 3000  # at most, of a line
_EARLY: Final = 500  # of these stand as densely as a logarithmic axis of time would have them
_LABELS: Final = {
    "lr": LR_LABEL,
    "radius": r"radius $\|w\|$",
    "angle": "turn, degrees per step",
    "effective_lr": EFFECTIVE_LABEL,
}
_SHARES: Final = _LABELS | {
    "radius": r"radius / $r^\star$ at peak $\eta$",
    "effective_lr": r"$\eta_{\mathrm{eff}}$ / $\eta_{\mathrm{eff}}^\star$ at peak $\eta$",
}
_LEVEL: Final = "_equilibrium"
# A logarithmic axis is for values that spread by a factor between these.
_SPREAD: Final = (25.0, 2e3)
# Share of the run that sets no limits: a line's width, in which Adam's first steps are the largest.
_FIRST: Final = 1e-3
_TITLE: Final = 80  # characters of a line of it


def trajectory_rows(
    optimizer: str,
    run: Trajectory,
    *,
    lr: ArrayLike,
    wd: ArrayLike,
    relative: bool = False,
    **arguments: Any,
) -> pl.DataFrame:
    """A row for each step that is drawn: all of a short run, else `POINTS` at most.

    Args:
        optimizer: As in `theory.trajectory`, as are the next.
        run: One block.
        lr: Learning rate, or that of each step.
        wd: Weight decay, or that of each step.
        relative: Radius and effective learning rate as shares of their equilibrium at the highest
            learning rate.
        **arguments: The others of `theory.trajectory` but `radius` and `steps`.

    Returns:
        `step`, `lr`, `radius` before the step, `angle` in degrees, `effective_lr`; and the
        last three at the equilibrium of the step's learning rate and decay (`…_equilibrium`), null
        where there is none.

    Raises:
        UsageError: If the run has several blocks.
    """
    if run.angle.ndim != 1:
        raise UsageError(
            f"`run` must be that of one block, got {run.angle[0].size} of them: draw each by "
            "itself."
        )
    steps = _chosen(len(run.angle))
    eta, lam = (np.broadcast_to(np.asarray(v, float), run.angle.shape)[steps] for v in (lr, wd))
    columns = {
        "radius": run.radius[steps],
        "angle": np.rad2deg(run.angle[steps]),
        "effective_lr": run.effective_lr[steps],
    }
    columns |= _level(optimizer, eta, lam, arguments)
    if relative:
        i = int(np.argmax(np.asarray(lr))) if np.ndim(lr) else 0
        decay = np.broadcast_to(np.asarray(wd, float), run.angle.shape)[i]
        unit = _level(optimizer, np.max(lr)[None], decay[None], arguments)
        for name in ("radius", "effective_lr"):
            for column in (name, name + _LEVEL):
                columns[column] = columns[column] / unit[name + _LEVEL][0]
    frame = pl.DataFrame({"step": steps, "lr": eta, **columns})
    return frame.with_columns(pl.col(name).fill_nan(None) for name in columns)


def _chosen(count: int) -> NDArray[np.int64]:
    """Steps to draw, the first of them more densely: a run changes fastest there."""
    if count <= POINTS:
        return np.arange(count)
    even = np.linspace(0, count - 1, POINTS - _EARLY)
    early = np.geomspace(1, count, _EARLY) - 1
    return np.unique(np.concatenate([even, early]).round().astype(np.int64))


def _level(
    optimizer: str, lr: NDArray[np.float64], wd: NDArray[np.float64], arguments: dict[str, Any]
) -> dict[str, NDArray[np.float64]]:
    """The equilibrium of each step, NaN where there is no decay or nothing is known."""
    columns = {name + _LEVEL: np.full(lr.shape, np.nan) for name in _LABELS if name != "lr"}
    alive = lr * wd > 0
    if not alive.any():
        return columns
    settled = equilibrium(optimizer, lr=lr[alive], wd=wd[alive], **arguments)
    angle = None if settled.angle is None else np.rad2deg(settled.angle)
    for name, value in zip(columns, (settled.radius, angle, settled.effective_lr), strict=True):
        if value is not None:
            columns[name][alive] = value
    return columns


@house_style()
def trajectory_figure(rows: pl.DataFrame, *, relative: bool = False, title: str = "") -> Figure:
    """A panel each for the learning rate, if it changes, radius, turn, effective learning rate."""
    labels = _SHARES if relative else _LABELS
    names = list(labels) if rows["lr"].n_unique() > 1 else list(labels)[1:]
    figure, axes = panels(len(names), 2 if len(names) == 4 else 3, 2.5, share_y="none")
    for panel, name in zip(axes, names, strict=True):
        _panel(panel, rows, name)
        panel.set_ylabel(labels[name])
    for panel in axes[-2 if len(names) == 4 else 0 :]:
        panel.set_xlabel("step")
    handles = [key("predicted", BLUE)]
    if any(rows[name + _LEVEL].count() for name in names if name != "lr"):
        handles.append(key(r"equilibrium at the step's $\eta$", INK, dashes=(4, 1.5), linewidth=1))
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=2,
        title=textwrap.fill(title, _TITLE, break_on_hyphens=False) or None,
        alignment="left",
        title_fontproperties={"weight": "bold", "size": 9},
    )
    return figure


def _panel(axes: Axes, rows: pl.DataFrame, name: str) -> None:
    """Draw one quantity against the step, and where it would settle."""
    level = name + _LEVEL if name + _LEVEL in rows.columns else name
    axes.plot(rows["step"], rows[name], color=BLUE)
    if level != name:
        axes.plot(rows["step"], rows[level], color=INK, dashes=(4, 1.5), linewidth=1)
    later = rows.filter(pl.col("step") >= _FIRST * pl.col("step").max())
    _scale(axes, pl.concat([later[name], later[level]]).drop_nulls())
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))


def _scale(axes: Axes, values: pl.Series) -> None:
    """From zero, or logarithmic where values spread widely and yet have a place on such an axis."""
    low, high = (float(end) for end in (values.min(), values.max()))  # type: ignore[arg-type]
    if low > 0 and _SPREAD[0] < high / low < _SPREAD[1]:
        axes.set_ylim(low / 1.15, high * 1.15)
        log_axis(axes, "y", most=6)
        return
    axes.set_ylim(0, 1.08 * high or 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: tick_label(value) if value > 0 else "0")
    )


def to_pdf(figure: Figure) -> bytes:
    """The figure as a page of its size; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with house_style():
        FigureCanvasPdf(figure).print_pdf(  # type: ignore[no-untyped-call]
            buffer, metadata={"CreationDate": None, "Creator": None, "Producer": None}
        )
    return buffer.getvalue()
