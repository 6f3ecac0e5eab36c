"""A study's folder: held by one process, of one study, and nothing foreign overwritten."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from etaeff.errors import StudyBusyError, StudyMismatchError, UsageError
from etaeff.records import STORE_FILE, StudyStore, Trial

LOCK: Final = ".lock"


@contextmanager
def locked(out: Path) -> Iterator[None]:
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


def is_locked(out: Path) -> bool:
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


def store_in(
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
