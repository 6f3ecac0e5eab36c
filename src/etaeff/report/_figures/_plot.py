"""What a figure of the report is, and how it is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl
from matplotlib.figure import Figure

from etaeff._words import counted
from etaeff.report._frames import Frames
from etaeff.report._style import lay_out, to_png, to_svg


@dataclass(frozen=True)
class Plot:
    """A figure, before it is drawn.

    Attributes:
        name: Of its files.
        title: A few words.
        alt: What kind of picture it is, for those who do not see it.
        look: What to look for, without a word on what was found.
        claims: Numbers of the claims that it bears on.
        rows: Makes what is drawn.
        figure: Draws it.
        seen: Says in numbers what the rows show.
        absent: What is missing where there are no rows.
    """

    name: str
    title: str
    alt: str
    look: str
    claims: tuple[int, ...]
    rows: Callable[[Frames], pl.DataFrame]
    figure: Callable[[pl.DataFrame], Figure]
    seen: Callable[[pl.DataFrame], str]
    absent: str = "the study has no such trials"


@dataclass(frozen=True)
class Drawing:
    """A figure, drawn, or left out for want of rows: then `svg` and `png` are `None`."""

    plot: Plot
    svg: bytes | None = None
    png: bytes | None = None
    seen: str = ""


def draw_plots(plots: Sequence[Plot], frames: Frames) -> list[Drawing]:
    """Draw each of the plots that has rows."""
    return [_draw(plot, frames) for plot in plots]


def _draw(plot: Plot, frames: Frames) -> Drawing:
    """One figure, drawn, or left out for want of rows."""
    rows = plot.rows(frames)
    if rows.is_empty():
        return Drawing(plot)
    figure = plot.figure(rows)
    lay_out(figure)
    return Drawing(plot, to_svg(figure), to_png(figure), plot.seen(rows))


def diverged_sentence(rows: pl.DataFrame) -> str:
    """How many of the trials behind these rows diverged, and how they are shown."""
    diverged, trials = int(rows["diverged"].sum()), int(rows["seeds"].sum())
    if not diverged:
        return f"None of the {counted(trials, 'trial')} diverged."
    return (
        f"Of {counted(trials, 'trial')}, {diverged} diverged and so did no better than guessing: × "
        "marks their settings, and the means are those of the other seeds."
    )
