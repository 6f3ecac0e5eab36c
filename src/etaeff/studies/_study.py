"""Run a study, go on with one, and say how far one is.

A study lives in one folder. `study.sqlite` holds its specification and every row; all other
files there are made from it and can be made again.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from etaeff.errors import (
    UnknownNameError,
    UsageError,
)
from etaeff.records import STORE_FILE, ClaimRecord, StudyStore, Trial
from etaeff.studies import _requirements  # noqa: F401 - first, see there
from etaeff.studies._export import export
from etaeff.studies._folder import is_locked, locked, store_in
from etaeff.studies._plan import PRESETS, Plan
from etaeff.studies._progress import Listener, Reporter
from etaeff.studies._session import session
from etaeff.studies.data._dataset import Dataset, take
from etaeff.studies.data._datasets import load_dataset
from etaeff.studies.engine._stacks import check_trainable, stacks, work
from etaeff.studies.executors._executor import Executor
from etaeff.studies.executors._pool import Pool
from etaeff.studies.judging._claims import Claim, needed_trials
from etaeff.studies.judging._results import collect
from etaeff.studies.papers import van_laarhoven_2017

STUDIES: Final[Mapping[str, tuple[str, Callable[[Plan], list[Claim]]]]] = {
    "paper": (
        "L2 Regularization versus Batch and Weight Normalization (van Laarhoven 2017)",
        van_laarhoven_2017.claims,
    )
}


@dataclass(frozen=True)
class Status:
    """What a study's folder holds.

    Attributes:
        specification: What defines the study.
        done: Finished trials.
        total: All trials.
        running: Whether a process is running it.
        sessions: When, how long, with what and on what it was run.
    """

    specification: Mapping[str, Any]
    done: int
    total: int
    running: bool
    sessions: list[Mapping[str, Any]]


def run_study(
    name: str,
    out: Path,
    *,
    preset: str = "quick",
    data: str | None = None,
    seeds: int | None = None,
    workers: int | None = None,
    listener: Listener = lambda progress: None,
) -> list[ClaimRecord]:
    """Run a study, or go on with it where `out` holds the same one, and judge its claims.

    Finished trials are kept as they come, so a study that is killed at any moment loses at
    most the stacks in training. `out` then holds `results.parquet` (a row for each trial),
    `epochs.parquet` (a row for each trial, epoch and layer) and `claims.json`.

    Args:
        name: One of `STUDIES`.
        out: The study's folder; made if it is absent.
        preset: One of `PRESETS`.
        data: Name or directory of a data set, see `load_dataset`; `None` for the preset's.
        seeds: Seeds per point, at least 1; `None` for the preset's.
        workers: Processes, at least 1; `None` for one per processor. It changes no result.
        listener: Called after every stack of trials.

    Returns:
        The claims with their findings.

    Raises:
        UsageError: If an argument is wrong, among them `UnknownNameError`, and
            `StudyMismatchError` if `out` holds another study.
        StudyBusyError: If another process is running the study in `out`.
        DataError: If the data cannot be read.
    """
    if name not in STUDIES:
        raise UnknownNameError("study", name, STUDIES)
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    for argument, value in (("seeds", seeds), ("workers", workers)):
        if value is not None and value < 1:
            raise UsageError(f"`{argument}` must be at least 1, got {value}.")
    source = data if data is not None else PRESETS[preset].data
    if source is None:
        raise UsageError(
            f"Preset '{preset}' needs a data set: give the directory of Fashion-MNIST, MNIST or "
            "CIFAR-10 with --data."
        )
    dataset = take(load_dataset(source), PRESETS[preset].train_size)
    plan = Plan(PRESETS[preset], dataset.name, seeds)
    claims = STUDIES[name][1](plan)
    trials = needed_trials(claims)
    check_trainable(trials)
    specification = _specification(name, plan, dataset, trials)
    where = source if source == "digits" else str(Path(source).resolve())
    with locked(out), store_in(out, specification, trials, where) as store:
        _train_missing(store, dataset, Pool(workers or os.cpu_count() or 1), listener)
        results = collect(store, dataset.train_x.shape[1:], dataset.classes)
        records = [claim.judge(results) for claim in claims]
        export(out, specification, store.meta("sessions"), results, records)
        return records


def resume_study(
    out: Path,
    *,
    workers: int | None = None,
    listener: Listener = lambda progress: None,
) -> list[ClaimRecord]:
    """Go on with the study in `out`; see `run_study`."""
    with StudyStore.open(out / STORE_FILE) as store:
        specification, source = store.meta("specification"), store.meta("source")
    return run_study(
        specification["study"],
        out,
        preset=specification["preset"],
        data=source,
        seeds=specification["seeds"],
        workers=workers,
        listener=listener,
    )


def study_status(out: Path) -> Status:
    """What the folder `out` holds; see `Status`."""
    with StudyStore.open(out / STORE_FILE) as store:
        return Status(
            specification=store.meta("specification"),
            done=len(store.finished),
            total=store.size,
            running=is_locked(out),
            sessions=store.meta("sessions") or [],
        )


def _specification(name: str, plan: Plan, data: Dataset, trials: list[Trial]) -> dict[str, Any]:
    """What must agree for two runs to be the same study. Plain JSON values."""
    return {
        "study": name,
        "title": STUDIES[name][0],
        "preset": plan.preset.name,
        "data": data.name,
        "data note": data.note,
        "data fingerprint": data.fingerprint,
        "image shape": list(data.train_x.shape[1:]),
        "classes": data.classes,
        "test examples": len(data.test_y),
        "seeds": plan.seeds,
        "trials": len(trials),
        "trials fingerprint": hashlib.sha256("".join(t.id for t in trials).encode()).hexdigest(),
    }


def _train_missing(
    store: StudyStore, data: Dataset, executor: Executor, listener: Listener
) -> None:
    """Train the stacks of which a trial is missing, and write down that this was done."""
    trials, finished = store.trials, store.finished
    missing = [stack for stack in stacks(trials) if any(t.id not in finished for t in stack)]
    if not missing:
        return
    report = Reporter(trials, finished, store.best(), sum(map(work, missing)), listener)
    record = session(executor)
    sessions = store.meta("sessions") or []
    for stack, results in executor.train(missing, data):
        store.add(results)
        report(stack, results)
        done = {"trials": report.done - len(finished), "seconds": report.elapsed}
        store.set_meta("sessions", [*sessions, {**record, **done}])
