"""How a running study shows itself: a live display, or plain lines where nobody watches."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

    from etaeff.studies import Progress

PLAIN_EVERY: Final = 10.0  # seconds


@contextmanager
def shown_progress(console: "Console", *, quiet: bool) -> Iterator[Callable[["Progress"], None]]:
    """A listener for `run_study` that shows the progress on `console` until the block ends.

    Args:
        console: Where to show it; a live display if it is a terminal, else a line now and then.
        quiet: Show nothing.
    """
    if quiet:
        yield lambda progress: None
    elif console.is_terminal:
        with _live(console) as listener:
            yield listener
    else:
        yield _Lines(console)


@contextmanager
def _live(console: "Console") -> Iterator[Callable[["Progress"], None]]:
    """A listener that keeps a bar up to date on a terminal."""
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    whole = Column(no_wrap=True)  # in a narrow terminal the text on the right wraps instead
    columns = (
        BarColumn(bar_width=12, table_column=whole),
        TextColumn("{task.completed:.0f}/{task.total} trials", table_column=whole),
        TimeElapsedColumn(table_column=whole),
        TextColumn("{task.fields[pace]}"),
    )
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("", total=None, pace="")

        def listener(progress: "Progress") -> None:
            bar.update(
                task,
                total=progress.total,
                completed=progress.done,
                pace=f"{_pace(progress)}\n{_best(progress)}",
            )

        yield listener


class _Lines:
    """Prints a line at the start, at the end, and at most every `PLAIN_EVERY` seconds."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._last = -math.inf

    def __call__(self, progress: "Progress") -> None:
        """Print a line, if one is due."""
        now = time.monotonic()
        if progress.done < progress.total and now - self._last < PLAIN_EVERY:
            return
        self._last = now
        line = f"{progress.done} of {progress.total} trials, {_pace(progress)}. {_best(progress)}"
        self._console.print(line.strip(), highlight=False, soft_wrap=True)


def _pace(progress: "Progress") -> str:
    """How fast the trials go, and how long the rest will take."""
    if progress.done == progress.total:
        return f"{progress.elapsed:.0f} s"
    if math.isnan(progress.remaining):
        return "the first are training"
    return f"{progress.rate:.1f} per second, {_duration(progress.remaining)} left"


def _duration(seconds: float) -> str:
    """The time in its largest sensible unit.

    Examples:
        >>> _duration(59.0), _duration(90.0), _duration(7300.0)
        ('59 s', '2 min', '2.0 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _best(progress: "Progress") -> str:
    """The setting with the smallest error so far, as a sentence."""
    if progress.best is None:
        return ""
    trial, error = progress.best
    values = trial.values
    arm = ", ‖w‖ = 1" if values["sphere"] else ""
    return (
        f"Best test error {100 * error:.2f} %: {values['optimizer']}, {values['norm']} norm{arm}, "
        f"lr {values['lr']:g}, wd {values['wd']:g}."
    )
