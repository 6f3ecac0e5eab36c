"""The results of a study, in one SQLite file that survives being killed."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Self

from etaeff.errors import StudyError
from etaeff.records._rows import EpochRow, LayerRow, OutcomeRow, RescaleRow, TrialResults
from etaeff.records._trial import Trial

SCHEMA_VERSION: Final = 1
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
        >>> trial = Trial(data="digits", train_size=600, lr=0.1, steps=10)
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
        cls, path: Path, specification: Mapping[str, Any], trials: Iterable[Trial]
    ) -> Self:
        """A new store at `path`, which must not exist.

        The file appears under its name only when it is complete, so a kill in between
        leaves no study without its specification.
        """
        if path.exists():
            raise StudyError(f"There is a study in '{path}' already.")
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        with closing(sqlite3.connect(unfinished)) as connection, connection:
            connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
            connection.execute("CREATE TABLE trial (id TEXT PRIMARY KEY, specification TEXT)")
            for name, row in TABLES.items():
                connection.execute(f"CREATE TABLE {name} ({', '.join(row._fields)})")  # type: ignore[attr-defined]
            connection.execute("CREATE UNIQUE INDEX outcome_trial ON outcome (trial)")
            meta = {"schema": SCHEMA_VERSION, "specification": specification}
            connection.executemany(
                "INSERT INTO meta VALUES (?, ?)",
                [(key, json.dumps(value)) for key, value in meta.items()],
            )
            connection.executemany(
                "INSERT INTO trial VALUES (?, ?)",
                [(trial.id, json.dumps(asdict(trial))) for trial in trials],
            )
        unfinished.rename(path)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The store at `path`."""
        if not path.exists():
            raise StudyError(f"There is no study in '{path.parent}': '{path.name}' is missing.")
        connection = sqlite3.connect(path)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            store = cls(connection)
            version = store.meta("schema")
        except sqlite3.DatabaseError as error:
            connection.close()
            raise StudyError(f"'{path}' is not a study that etaeff wrote: {error}.") from error
        if version != SCHEMA_VERSION:
            connection.close()
            raise StudyError(
                f"'{path}' has schema {version}, this version of etaeff reads {SCHEMA_VERSION}."
            )
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def meta(self, key: str) -> Any:
        """The value stored under `key`, or `None`."""
        found = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if found is None else json.loads(found[0])

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
    def finished(self) -> set[str]:
        """The ids of the trials whose results are on disk."""
        return {trial for (trial,) in self._connection.execute("SELECT trial FROM outcome")}

    def add(self, results: TrialResults) -> None:
        """Add the rows of trials that finished together: all of them or, on failure, none."""
        with self._connection:
            for (name, row), rows in zip(TABLES.items(), results, strict=True):
                marks = ", ".join("?" * len(row._fields))  # type: ignore[attr-defined]
                self._connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """All rows of one of `TABLES`, in the order in which they were added."""
        return self._connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()
