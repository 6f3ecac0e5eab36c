"""Run a study, go on with one, and say how far one is.

A study lives in one folder. `study.sqlite` holds its specification and every row; all other
files there are made from it and can be made again.
"""

import hashlib
import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from etaeff.errors import (
    StudyBusyError,
    StudyMismatchError,
    UnknownNameError,
    UsageError,
)
from etaeff.records import STORE_FILE, ClaimRecord, StudyStore, Trial
from etaeff.studies import _requirements  # noqa: F401 - first, see there
from etaeff.studies._export import export
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

LOCK: Final = ".lock"
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
    with _locked(out), _store(out, specification, trials, where) as store:
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
            running=_is_locked(out),
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


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Hold the folder `out`, which is made if it is absent. The lock dies with the process."""
    _check_folder(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The folder '{out}' cannot be made: {error.strerror}.") from error
    try:
        with FileLock(out / LOCK, timeout=1):
            yield
    except Timeout as error:
        raise StudyBusyError(
            f"Another process is running the study in '{out}'. See: "
            f"{shlex.join(['etaeff', 'study', 'status', str(out)])}"
        ) from error


def _is_locked(out: Path) -> bool:
    """Whether a process holds the folder `out`."""
    try:
        with FileLock(out / LOCK, timeout=0):
            return False
    except Timeout:
        return True


def _check_folder(out: Path) -> None:
    """Refuse a path that holds something which is not a study, so that nothing is overwritten."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"'{out}' is a file; a study needs a folder.")
    if not out.is_dir() or (out / STORE_FILE).exists():
        return
    # What a study that was killed while it was being made leaves behind.
    leftovers = {LOCK, *(f"{Path(STORE_FILE).stem}.new{ending}" for ending in ("", "-journal"))}
    foreign = sorted(path.name for path in out.iterdir() if path.name not in leftovers)
    if foreign:
        raise UsageError(
            f"'{out}' holds '{foreign[0]}' and no study. Give a new or empty folder with --out, "
            "so that nothing is overwritten."
        )


def _store(
    out: Path, specification: Mapping[str, Any], trials: list[Trial], source: str
) -> StudyStore:
    """The store in `out`: a new one, or the one that is there if it is of the same study."""
    path = out / STORE_FILE
    if not path.exists():
        return StudyStore.create(path, specification, trials, source=source)
    store = StudyStore.open(path)
    stored = store.meta("specification")
    differing = [
        f"{key}: {stored.get(key)!r} there, {value!r} here"
        for key, value in specification.items()
        if stored.get(key) != value
    ]
    # A fingerprint says something only where nothing that it is taken from differs.
    differing = [text for text in differing if "fingerprint" not in text] or differing
    if differing:
        raise StudyMismatchError(
            f"'{out}' holds the results of another study ({'; '.join(differing)}). Give another "
            "folder with --out, or go on with that one: "
            f"{shlex.join(['etaeff', 'study', 'resume', str(out)])}"
        )
    store.set_meta("source", source)  # the data may have moved
    return store


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
