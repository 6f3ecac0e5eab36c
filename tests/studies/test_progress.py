import math

import pytest

from etaeff.records import EpochRow, Trial, TrialResults
from etaeff.studies import _progress
from etaeff.studies._progress import Reporter


def trial(seed, steps=10):
    return Trial.of(data="digits", train_size=600, lr=0.1, steps=steps, seed=seed)


def results(*errors):
    """Rows of two epochs for each trial, the second with this error."""
    epochs = [
        EpochRow(own.id, epoch, epoch, 1.0, 1.0, value)
        for own, error in errors
        for epoch, value in ((1, 0.0), (2, error))
    ]
    return TrialResults([], epochs, [], [])


@pytest.fixture
def clock(monkeypatch):
    """Sets the seconds that have passed since the test began; each look takes a millionth."""
    now = [1000.0]

    def look():
        now[0] += 1e-6
        return now[0]

    def at(seconds):
        now[0] = 1000.0 + seconds

    monkeypatch.setattr(_progress.time, "perf_counter", look)
    return at


class Heard(list):
    """A listener that remembers."""

    def __call__(self, progress):
        self.append(progress)


def test_progress_counts_trials_and_tells_time_by_steps(clock):
    trials, heard = [trial(0, 100), trial(1, 100), trial(2, 50), trial(3, 50)], Heard()
    reporter = Reporter(trials, set(), None, 300, heard)
    assert (heard[0].done, heard[0].total, heard[0].best) == (0, 4, None)
    assert math.isnan(heard[0].remaining)
    clock(10.0)
    reporter((trials[0], trials[1]), results((trials[0], 0.2), (trials[1], 0.1)))
    assert heard[1].done == 2
    assert heard[1].elapsed == pytest.approx(10.0, rel=1e-4)
    assert heard[1].rate == pytest.approx(0.2, rel=1e-4)
    # 100 of 300 steps are left.
    assert heard[1].remaining == pytest.approx(5.0, rel=1e-4)


def test_the_best_is_the_lowest_error_in_a_last_epoch(clock):
    trials, heard = [trial(s) for s in range(4)], Heard()
    reporter = Reporter(trials, {trials[0].id}, (trials[0].id, 0.15), 30, heard)
    assert (heard[0].done, heard[0].best) == (1, (trials[0], 0.15))
    reporter((trials[1],), results((trials[1], 0.3)))
    assert heard[1].best == (trials[0], 0.15)
    reporter((trials[2],), results((trials[2], 0.05)))
    assert heard[2].best == (trials[2], 0.05)
    reporter((trials[3],), results((trials[3], None)))  # diverged
    assert heard[3].best == (trials[2], 0.05)
    assert (heard[3].done, heard[3].remaining) == (4, 0.0)


def test_trials_that_all_diverged_have_no_best(clock):
    own, heard = trial(0), Heard()
    reporter = Reporter([own], set(), None, 10, heard)
    reporter((own,), results((own, None)))
    assert heard[-1].best is None


def test_what_was_done_before_does_not_count_for_the_rate(clock):
    trials, heard = [trial(s) for s in range(10)], Heard()
    reporter = Reporter(trials, {t.id for t in trials[:8]}, None, 20, heard)
    clock(4.0)
    reporter((trials[8],), results((trials[8], 0.1)))
    assert heard[-1].done == 9
    assert heard[-1].rate == pytest.approx(0.25, rel=1e-4)
    assert heard[-1].remaining == pytest.approx(4.0, rel=1e-4)
