"""How far an audit is, for people who wait for it."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import IO, TYPE_CHECKING, Final, TypeAlias

from etaeff.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

Progress: TypeAlias = bool | Callable[[str], None] | None

_PATIENCE: Final = 2.0  # seconds in which nobody wants to be told
_PER_SECOND: Final = 8


def _nobody(_stage: str) -> None:
    """Whom a stage is told where nobody listens."""


# Not handed down: what measures and what proves know nothing of those who wait.
_LISTENER: ContextVar[Callable[[str], None]] = ContextVar("listener", default=_nobody)


def stage(text: str) -> None:
    """Say what the audit does now, such as `measuring sample 1 of 3`."""
    _LISTENER.get()(text)


@contextlib.contextmanager
def told(progress: Progress, what: str) -> Iterator[None]:
    """Tell the stages until the block ends.

    Args:
        progress: A function of each stage; `True` for standard error, `False` for nobody. `None`
            is `True` if standard error is a terminal. Nothing is shown in the first two seconds,
            but a function is told everything.
        what: Whose stages they are.

    Raises:
        UsageError: If `progress` is none of those.
    """
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise UsageError(
            "`progress` must be True, False, None, or a function that takes a text; it is of type "
            f"{type(progress).__name__}."
        )
    file = sys.stderr  # tracers put another in its place for a while
    terminal = file is not None and file.isatty()
    with contextlib.ExitStack() as stack:
        if callable(progress):
            listener = progress
        elif progress is False or not (terminal or progress):
            listener = _nobody
        else:
            listener = stack.enter_context((_live if terminal else _lines)(file, what))
        before = _LISTENER.set(listener)
        stack.callback(_LISTENER.reset, before)
        yield


class _Shown:
    """A line with the stage and the time, once it has taken long enough."""

    def __init__(self, what: str) -> None:
        self._what, self.stage, self._start = what, "", time.monotonic()

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """The line; nothing at first."""
        from rich.text import Text

        seconds = time.monotonic() - self._start
        if seconds >= _PATIENCE:
            yield Text(
                f"Auditing {self._what}: {self.stage} ({seconds:.0f} s)", overflow="ellipsis"
            )


@contextlib.contextmanager
def _live(file: IO[str], what: str) -> Iterator[Callable[[str], None]]:
    """A listener that keeps a line of a terminal up to date, and takes it away at the end."""
    from rich.console import Console
    from rich.live import Live

    shown = _Shown(what)
    live = Live(
        shown,
        console=Console(file=file),
        transient=True,
        refresh_per_second=_PER_SECOND,
        redirect_stdout=False,  # what the model prints goes where it would
        redirect_stderr=False,
    )

    def listener(text: str) -> None:
        shown.stage = text

    with live:
        yield listener


@contextlib.contextmanager
def _lines(file: IO[str], what: str) -> Iterator[Callable[[str], None]]:
    """A listener that prints a line for each stage, once it has taken long enough."""
    stages: list[str] = []

    def printed() -> None:
        print(f"Auditing {what}: {stages[-1]}", file=file, flush=True)

    def listener(text: str) -> None:
        stages.append(text)
        if not waiting.is_alive():
            printed()

    waiting = threading.Timer(_PATIENCE, lambda: printed() if stages else None)
    waiting.daemon = True
    waiting.start()
    try:
        yield listener
    finally:
        waiting.cancel()
        waiting.join()
