"""The house style of the figures: type, colours, markers, and how a figure becomes bytes.

Every colour stands out from white by 3 : 1 at least and is told from its neighbours by the
colour-blind; where colour tells lines apart, so does the marker.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

PNG_DPI: Final = 150
WIDTH: Final = 7.2  # inches: 691 pixels in a browser
INK: Final = "#1f2430"
FAINT: Final = "#6b7280"
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#00805f", "#8f4a9c"
CATEGORIES: Final = (BLUE, ORANGE, GREEN, PURPLE)
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
ERROR_MAP: Final = "viridis_r"
# The part of a map that is dark enough for lines on white.
_LINE_MAP, _DARKEST, _LIGHTEST = "inferno", 0.12, 0.69

STYLE: Final[dict[str, Any]] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that it is the same everywhere
    "font.size": 8.5,
    "mathtext.fontset": "dejavusans",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "errorbar.capsize": 0,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 1.3,
    "legend.handletextpad": 0.4,
    "legend.columnspacing": 1.0,
    "legend.borderaxespad": 0.2,
    "legend.borderpad": 0.1,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "svg.fonttype": "path",  # the same letters wherever it is opened
    "svg.hashsalt": "etaeff",
}


@contextmanager
def house_style() -> Iterator[None]:
    """In this context, or in a function that this decorates, figures have the house style.

    It begins at matplotlib's defaults, so that the reader's own settings change nothing.
    """
    with matplotlib.style.context(["default", STYLE]):
        yield


def ordered_colours(count: int) -> list[str]:
    """So many colours, from dark to light, for the ordered values of one quantity."""
    if count == 1:
        return [matplotlib_colour(0.3)]
    return [matplotlib_colour(share) for share in np.linspace(0, 1, count)]


def matplotlib_colour(share: float) -> str:
    """The colour at `share` of the way along the map for lines."""
    colour_map = matplotlib.colormaps[_LINE_MAP]
    return to_hex(colour_map(_DARKEST + (_LIGHTEST - _DARKEST) * share))


def wd_colours(values: Sequence[float]) -> dict[float, str]:
    """A colour for each λ: grey for 0, which is no point of a logarithmic scale."""
    positive = sorted({value for value in values if value > 0})
    colours = dict(zip(positive, ordered_colours(len(positive)), strict=True))
    return {0.0: FAINT, **colours} if 0.0 in values else colours


def lay_out(figure: Figure) -> None:
    """Find places for all that is in the figure, once, and not again for every file."""
    engine = figure.get_layout_engine()
    if engine is not None:
        with house_style():
            engine.execute(figure)
        figure.set_layout_engine("none")


# `savefig` would draw everything twice, and a report draws a good deal.
def to_svg(figure: Figure) -> bytes:
    """The figure as vectors; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with house_style():
        FigureCanvasSVG(figure).print_svg(  # type: ignore[no-untyped-call]
            buffer, metadata={"Date": None, "Creator": None}
        )
    return buffer.getvalue()


def to_png(figure: Figure) -> bytes:
    """The figure as pixels, 150 to the inch."""
    buffer = io.BytesIO()
    figure.set_dpi(PNG_DPI)
    with house_style():
        FigureCanvasAgg(figure).print_png(  # type: ignore[no-untyped-call]
            buffer, metadata={"Software": None}
        )
    return buffer.getvalue()
