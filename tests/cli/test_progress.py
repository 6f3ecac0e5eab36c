import io
import math

import pytest
from rich.console import Console

from etaeff.cli import _progress
from etaeff.cli._progress import shown_progress
from etaeff.records import Trial
from etaeff.studies import Progress

BEST = Trial.of(
    data="digits", train_size=600, lr=0.1, wd=1e-3, steps=9, optimizer="adam", sphere=True
)


def progress(done, *, elapsed=1.0, remaining=60.0, best=None):
    return Progress(done=done, total=100, elapsed=elapsed, rate=2.5, remaining=remaining, best=best)


@pytest.fixture
def clock(monkeypatch):
    """Sets the time in seconds."""
    now = [0.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])

    def at(seconds):
        now[0] = seconds

    return at


def plain(clock, *moments):
    """What a console that is no terminal shows of the progress at these moments."""
    text = io.StringIO()
    with shown_progress(Console(file=text, width=40), quiet=False) as listener:
        for second, told in moments:
            clock(second)
            listener(told)
    return text.getvalue()


def test_without_a_terminal_there_are_plain_lines_now_and_then(clock):
    moments = [(0, progress(0, remaining=math.nan))]
    moments += [(second, progress(second, elapsed=second)) for second in range(1, 35)]
    moments += [(36, progress(100, elapsed=36.0, remaining=0.0))]
    shown = plain(clock, *moments)
    assert shown.splitlines() == [
        "0 of 100 trials, the first are training.",
        "10 of 100 trials, 2.5 per second, 1 min left.",
        "20 of 100 trials, 2.5 per second, 1 min left.",
        "30 of 100 trials, 2.5 per second, 1 min left.",
        "100 of 100 trials, 36 s.",
    ]
    assert "\x1b" not in shown


def test_a_line_names_the_best_trial_and_is_not_broken(clock):
    shown = plain(clock, (0, progress(7, best=(BEST, 0.0312))))
    assert shown == (
        "7 of 100 trials, 2.5 per second, 1 min left. Best test error 3.12 %: adam, batch norm, "
        "‖w‖ = 1, lr 0.1, wd 0.001.\n"
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5.2, "5 s left"), (59.0, "59 s left"), (61.0, "2 min left"), (3599.0, "60 min left"),
     (5400.0, "1.5 h left")],
)  # fmt: skip
def test_the_time_left_is_in_its_largest_sensible_unit(clock, seconds, words):
    assert words in plain(clock, (0, progress(1, remaining=seconds)))


def test_quiet_shows_nothing(clock):
    for terminal in (False, True):
        text = io.StringIO()
        console = Console(file=text, force_terminal=terminal)
        with shown_progress(console, quiet=True) as listener:
            listener(progress(3, best=(BEST, 0.5)))
        assert text.getvalue() == ""


def test_a_terminal_has_a_live_display_with_all_of_it():
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=200)
    with shown_progress(console, quiet=False) as listener:
        listener(progress(0, remaining=math.nan))
        listener(progress(7, best=(BEST, 0.0312)))
    shown = text.getvalue()
    assert "\x1b" in shown
    for part in ("7/100", "trials", "2.5 per second, 1 min left", "Best test error 3.12 %"):
        assert part in shown


def test_a_live_display_in_a_narrow_terminal_keeps_the_counts():
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=80)
    with shown_progress(console, quiet=False) as listener:
        listener(progress(7, best=(BEST, 0.0312)))
    assert "7/100" in text.getvalue()
    assert "1 min left" in text.getvalue()
