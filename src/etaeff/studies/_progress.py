"""How far a running study is."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from etaeff.records import Trial, TrialResults
from etaeff.studies.engine._stacks import work


@dataclass(frozen=True)
class Progress:
    """How far a running study is.

    Attributes:
        done: Finished trials.
        total: All trials.
        elapsed: Seconds since this run began.
        rate: Trials per second in this run.
        remaining: Seconds to go, by the steps that are left; NaN before the first are done.
        best: The trial with the lowest test error in its last epoch so far, and that error.
    """

    done: int
    total: int
    elapsed: float
    rate: float
    remaining: float
    best: tuple[Trial, float] | None


Listener = Callable[[Progress], None]


class Reporter:
    """Turns finished stacks into `Progress`."""

    def __init__(
        self,
        trials: list[Trial],
        finished: set[str],
        best: tuple[str, float] | None,
        steps: int,
        listener: Listener,
    ) -> None:
        self._trials = {trial.id: trial for trial in trials}
        self._best = best
        self._listener = listener
        self._started = time.perf_counter()
        self._before = len(finished)
        self._steps = steps
        self._steps_done = 0
        self.done = len(finished)
        self._report()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._started

    def __call__(self, stack: tuple[Trial, ...], results: TrialResults) -> None:
        """Count a finished stack."""
        self.done += len(stack)
        self._steps_done += work(stack)
        last = {row.trial: row for row in results.epochs}.values()
        errors = [(row.trial, row.test_error) for row in last if row.test_error is not None]
        candidates = [*errors, *([self._best] if self._best else [])]
        self._best = min(candidates, key=lambda candidate: candidate[1], default=None)
        self._report()

    def _report(self) -> None:
        """Call the listener with how far the study is now."""
        elapsed, left = self.elapsed, self._steps - self._steps_done
        best = (self._trials[self._best[0]], self._best[1]) if self._best else None
        self._listener(
            Progress(
                done=self.done,
                total=len(self._trials),
                elapsed=elapsed,
                rate=(self.done - self._before) / elapsed,
                remaining=elapsed * left / self._steps_done if self._steps_done else math.nan,
                best=best,
            )
        )
