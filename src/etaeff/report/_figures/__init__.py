"""The figures, in the order of the report."""

from collections.abc import Sequence
from typing import Final

from etaeff.report._figures._collapse import COLLAPSE
from etaeff.report._figures._comparisons import INITIAL_SCALE, PENALISED_GAINS
from etaeff.report._figures._epochs import EPOCHS
from etaeff.report._figures._equilibrium import EQUILIBRIUM
from etaeff.report._figures._error_against_wd import CONTROL, ERROR_AGAINST_WD
from etaeff.report._figures._heat_map import HEAT_MAP
from etaeff.report._figures._plot import Drawing, Plot, draw_plots
from etaeff.report._figures._radius_law import RADIUS_LAW
from etaeff.report._figures._rescaling import RESCALING
from etaeff.report._figures._sphere import SPHERE
from etaeff.report._frames import Frames

__all__ = ["PLOTS", "Drawing", "Plot", "draw"]

PLOTS: Final[Sequence[Plot]] = (
    ERROR_AGAINST_WD,
    COLLAPSE,
    EPOCHS,
    HEAT_MAP,
    SPHERE,
    RADIUS_LAW,
    EQUILIBRIUM,
    INITIAL_SCALE,
    PENALISED_GAINS,
    CONTROL,
    RESCALING,
)


def draw(frames: Frames) -> list[Drawing]:
    """Draw every figure that has rows."""
    return draw_plots(PLOTS, frames)
