"""The results of a study, in one SQLite file that survives being killed."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final, Self

from etaeff.errors import StudyError
from etaeff.records._files import sync_folder
from etaeff.records._rows import EpochRow, LayerRow, OutcomeRow, RescaleRow, TrialResults
from etaeff.records._trial import Trial

SCHEMA_VERSION: Final = 2  # 1 had trials of one flat record, with other ids
# The order is that of the fields of `TrialResults`.
TABLES: Final[dict[str, type]] = {
    "outcome": OutcomeRow,
    "epoch": EpochRow,
    "layer": LayerRow,
    "rescaling": RescaleRow,
}


class StudyStore:
    """One study on disk: its specification, its trials, and the rows of the finished ones.

    Rows of trials that finished together are added in one transaction, in WAL mode with
    `synchronous=FULL`: what `add` has returned from is on disk, what it has not is absent.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> trial = Trial.of(data="digits", train_size=600, lr=0.1, steps=10)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "study.sqlite"
        ...     with StudyStore.create(path, {"study": "paper"}, [trial]) as store:
        ...         outcome = OutcomeRow(trial.id, None, 1.0)
        ...         store.add(TrialResults([outcome], [], [], []))
        ...         store.finished == {trial.id}
        True
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def create(
        cls, path: Path, specification: Mapping[str, Any], trials: Iterable[Trial], **meta: Any
    ) -> Self:
        """A new store at `path`, which must not exist, with further JSON values `meta`.

        The file appears under its name only when it is complete, so a kill in between
        leaves no study without its specification.
        """
        if path.exists():
            raise StudyError(f"There is a study in '{path}' already.")
        unfinished = path.with_suffix(".new")
        # SQLite would replay the log of a deleted study into the new one.
        for leftover in (unfinished, *(Path(f"{path}{end}") for end in ("-wal", "-shm"))):
            leftover.unlink(missing_ok=True)
        with closing(sqlite3.connect(unfinished)) as connection, connection:
            connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
            connection.execute("CREATE TABLE trial (id TEXT PRIMARY KEY, specification TEXT)")
            for name, row in TABLES.items():
                connection.execute(f"CREATE TABLE {name} ({', '.join(row._fields)})")  # type: ignore[attr-defined]
            connection.execute("CREATE UNIQUE INDEX outcome_trial ON outcome (trial)")
            meta |= {"schema": SCHEMA_VERSION, "specification": specification}
            connection.executemany(
                "INSERT INTO meta VALUES (?, ?)",
                [(key, json.dumps(value)) for key, value in meta.items()],
            )
            connection.executemany(
                "INSERT INTO trial VALUES (?, ?)",
                [(trial.id, json.dumps(trial.to_dict())) for trial in trials],
            )
        unfinished.rename(path)
        sync_folder(path.parent)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The store at `path`."""
        if not path.exists():
            raise StudyError(f"There is no study in '{path.parent}': '{path.name}' is missing.")
        with ExitStack() as refused:
            try:
                connection = refused.enter_context(closing(sqlite3.connect(path)))
                store = cls(connection)
                version = store.meta("schema")
                if version != SCHEMA_VERSION:
                    raise _other_schema(path, version)
                # Only now: these change the file, which must be ours.
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
            except (sqlite3.DatabaseError, ValueError) as error:
                raise StudyError(f"'{path}' cannot be read as a study: {error}.") from error
            refused.pop_all()
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def meta(self, key: str) -> Any:
        """The value stored under `key`, or `None`."""
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def set_meta(self, key: str, value: Any) -> None:
        """Store the JSON value `value` under `key`."""
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value))
            )

    @property
    def trials(self) -> list[Trial]:
        """All trials of the study, in the order in which they were given."""
        rows = self._connection.execute("SELECT specification FROM trial ORDER BY rowid")
        return [Trial.from_dict(json.loads(text)) for (text,) in rows]

    @property
    def size(self) -> int:
        """How many trials the study has."""
        (size,) = self._connection.execute("SELECT COUNT(*) FROM trial").fetchone()
        return int(size)

    @property
    def finished(self) -> set[str]:
        """The ids of the trials whose results are on disk."""
        return {trial for (trial,) in self._connection.execute("SELECT trial FROM outcome")}

    def add(self, results: TrialResults) -> None:
        """Add the rows of trials that finished together: all of them or, on failure, none.

        Raises:
            StudyError: If they cannot be written, as on a full disk.
        """
        parts: tuple[list[Any], ...] = results
        try:
            with self._connection:
                for (name, row), rows in zip(TABLES.items(), parts, strict=True):
                    marks = ", ".join("?" * len(row._fields))  # type: ignore[attr-defined]
                    self._connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
        except sqlite3.OperationalError as error:
            raise StudyError(
                f"Results cannot be written: {error}. What was written before is kept."
            ) from error

    def best(self) -> tuple[str, float] | None:
        """The trial with the lowest test error in its last epoch, and that error."""
        # SQLite takes the bare columns of a MAX from the row that has the maximum.
        lowest: tuple[str, float] | None = self._connection.execute(
            "SELECT trial, test_error FROM (SELECT trial, test_error, MAX(epoch) FROM epoch "
            "GROUP BY trial) WHERE test_error IS NOT NULL ORDER BY test_error LIMIT 1"
        ).fetchone()
        return lowest

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """All rows of one of `TABLES`, in the order in which they were added."""
        return self._connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()


def _other_schema(path: Path, version: object) -> StudyError:
    """The refusal of a study that another version of this package wrote."""
    sentence = f"'{path}' has schema {version}, this version of etaeff reads {SCHEMA_VERSION}."
    if version == 1:
        sentence += (
            " Its trials have other names since. Go on with it in the version that wrote it, or "
            "run the study anew in another folder."
        )
    return StudyError(sentence)
