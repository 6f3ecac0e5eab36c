"""The whole study of the paper in a size that takes no time, and a process that dies in it.

python tiny_study.py OUT WORKERS TRAINER POINT runs it in OUT. TRAINER is `real`, or `drawn`: then
a trial's rows are random numbers that its id fixes. At POINT, such as `listener 3` for the third
call of the listener, the process kills itself; `stall 3` makes it wait there to be killed.
"""

import math
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from etaeff.records import EpochRow, LayerRow, OutcomeRow, RescaleRow, StudyStore, TrialResults
from etaeff.studies import _export, _study
from etaeff.studies._plan import PRESETS, Preset
from etaeff.studies.executors._pool import Pool

PRESET = Preset(
    "tiny",
    network="mlp",
    width=8,
    train_size=60,
    batch_size=10,
    long=14,
    steps=12,
    short=8,
    seeds=2,
    more_seeds=2,
    data="digits",
)


def drawn_rows(trials):
    """Rows as training gives, of numbers that depend on each trial alone."""
    results = TrialResults([], [], [], [])
    for trial in trials:
        rng, task = np.random.default_rng(int(trial.id, 16)), trial.task
        results.outcomes.append(OutcomeRow(trial.id, None, 0.01))
        for epoch in range(1, math.ceil(task.steps / task.steps_per_epoch) + 1):
            step = min(epoch * task.steps_per_epoch, task.steps)
            results.epochs.append(EpochRow(trial.id, epoch, step, *rng.uniform(0, 1, 3).tolist()))
            for name in ("hidden1", "hidden2"):
                values = rng.uniform(1, 2, 5).tolist()
                results.layers.append(LayerRow(trial.id, epoch, name, *values))
        for factor in (2.0, 0.5, 1000.0):
            for eps in (1e-5, 1e-30):
                results.rescalings.append(RescaleRow(trial.id, factor, eps, float(rng.uniform())))
    return results


def diverged_rows(trials):
    """Rows of trials of which none came through its first epoch."""
    drawn = drawn_rows(trials)
    return TrialResults(
        [row._replace(diverged_epoch=1) for row in drawn.outcomes],
        [EpochRow(*row[:3], *[None] * 3) for row in drawn.epochs],
        [LayerRow(*row[:3], *[None] * 5) for row in drawn.layers],
        [row._replace(change=None) for row in drawn.rescalings],
    )


def pool_of(train):
    """In place of `Pool`: an executor that has `train`, of stacks, data and workers, do it all."""

    class StandIn(Pool):
        def train(self, stacks, data):
            yield from train(stacks, data, min(self.workers, len(stacks)))

    return StandIn


def drawn(stacks, data, workers):
    """Every stack with `drawn_rows`."""
    for stack in stacks:
        yield stack, drawn_rows(stack)


class Point:
    """Where the process ends, as `what` and the number of its occurrence, from 1."""

    def __init__(self, text):
        self.what, self.left = text.split()[0], int(text.split()[1])

    def __call__(self, what):
        if what == self.what:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        if self.what == "stall" and what == "listener":
            self.left -= 1
            if self.left == 0:
                print("stalled", flush=True)
                time.sleep(600)


def install(point):
    """Have `point` told what happens."""
    add, rename, write = StudyStore.add, Path.rename, _export.write_atomically

    def told_add(self, results):
        # Between the tables of one transaction.
        self._connection.set_trace_callback(
            lambda sql: point("transaction") if sql.startswith("INSERT INTO rescaling") else None
        )
        add(self, results)
        self._connection.set_trace_callback(None)
        point("added")

    def told_rename(self, target):
        if self.name == "study.new":
            point("create")
        return rename(self, target)

    def told_write(path, content):
        point("export")
        write(path, content)

    StudyStore.add, Path.rename, _export.write_atomically = told_add, told_rename, told_write


def main(out, workers, trainer, point):
    """Run the study and say how it ended."""
    PRESETS["tiny"] = PRESET
    point = Point(point)
    install(point)
    if trainer == "drawn":
        _study.Pool = pool_of(drawn)

    def listener(progress):
        print(progress.done, flush=True)
        point("listener")

    _study.run_study("paper", Path(out), preset="tiny", workers=int(workers), listener=listener)
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
