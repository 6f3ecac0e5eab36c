"""What a finished study left in its folder, read and checked."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, get_type_hints

import polars as pl

from etaeff.errors import DataError, StudyError
from etaeff.records import (
    CLAIMS_FILE,
    EPOCHS_FILE,
    RESCALINGS_FILE,
    RESULTS_FILE,
    TRIAL_COLUMNS,
    EpochRow,
    LayerRow,
    OutcomeRow,
    RescaleRow,
)
from etaeff.report._claims import JudgedClaim, read_claims

T = TypeVar("T")


def _schema(*rows: type, **more: Any) -> dict[str, Any]:
    """Column types of the fields of these rows, and of what is named besides."""
    kinds: dict[Any, Any] = {str: pl.String, int: pl.Int64, float: pl.Float64, bool: pl.Boolean}
    kinds |= {kind | None: column for kind, column in kinds.items()}
    hints = {name: hint for row in rows for name, hint in get_type_hints(row).items()}
    return {name: kinds[hint] for name, hint in {**hints, **more}.items()}


RESULT_COLUMNS: Final = _schema(OutcomeRow, **TRIAL_COLUMNS, test_error=float, effective_lr=float)
EPOCH_COLUMNS: Final = _schema(EpochRow, LayerRow)
RESCALE_COLUMNS: Final = _schema(RescaleRow)


@dataclass(frozen=True)
class Frames:
    """All that a report is made of.

    Attributes:
        trials: A row for each trial: its specification and its final values.
        epochs: A row for each trial, epoch and layer.
        rescalings: A row for each trial, factor and ε; none where the study kept none.
        claims: What was claimed and what was found.
        specification: What defines the study. Plain JSON values.
        sessions: When, how long, with what and on what it was run.
    """

    trials: pl.DataFrame
    epochs: pl.DataFrame
    rescalings: pl.DataFrame
    claims: Sequence[JudgedClaim]
    specification: Mapping[str, Any]
    sessions: Sequence[Mapping[str, Any]]


def read_frames(folder: Path) -> Frames:
    """Read a finished study.

    Raises:
        StudyError: If a file is missing.
        DataError: If one is truncated, lacks a column, or is of another study.
    """
    for name in (RESULTS_FILE, EPOCHS_FILE, CLAIMS_FILE):
        if not (folder / name).is_file():
            raise StudyError(f"There is no finished study in '{folder}': '{name}' is missing.")
    trials = _table(folder / RESULTS_FILE, RESULT_COLUMNS)
    epochs = _table(folder / EPOCHS_FILE, EPOCH_COLUMNS)
    rescalings = pl.DataFrame(schema=RESCALE_COLUMNS)
    if (folder / RESCALINGS_FILE).is_file():  # which early versions of the study did not write
        rescalings = _table(folder / RESCALINGS_FILE, RESCALE_COLUMNS)
    claims, specification, sessions = _read(folder / CLAIMS_FILE, _judged)
    if specification.get("trials", len(trials)) != len(trials):
        raise DataError(
            f"'{folder / RESULTS_FILE}' holds {len(trials)} trials, and '{CLAIMS_FILE}' beside it "
            f"speaks of {specification['trials']}: they are not of the same study."
        )
    return Frames(trials, epochs, rescalings, claims, specification, sessions)


def _table(path: Path, columns: Mapping[str, Any]) -> pl.DataFrame:
    """The Parquet file `path`, which must have these columns."""
    frame = _read(path, pl.read_parquet)
    for name in columns:
        if name not in frame.columns:
            raise DataError(f"'{path}' is not what a study writes: it has no column '{name}'.")
    try:
        # A column that is null throughout, as `lr_rest` may be, can come without its type.
        return frame.select(*columns).cast(pl.Schema(columns))
    except pl.exceptions.PolarsError as error:
        raise DataError(f"'{path}' is not what a study writes: {_first_line(error)}.") from error


def _judged(path: Path) -> tuple[list[JudgedClaim], dict[str, Any], list[dict[str, Any]]]:
    """Claims, specification and sessions of the file `path`."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("specification"), dict):
        raise DataError(f"'{path}' is not what a study writes: it has no 'specification'.")
    claims = read_claims(path, content.get("claims"))
    return claims, content["specification"], list(content.get("sessions") or [])


def _read(path: Path, reader: Callable[[Path], T]) -> T:
    """What `reader` makes of `path`, or a sentence that says that it cannot be read."""
    try:
        return reader(path)
    except DataError:
        raise
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(f"'{path}' is truncated or damaged: {_first_line(error)}.") from error


def _first_line(error: Exception) -> str:
    """What an error says first, without its full stop."""
    return str(error).strip().split("\n")[0].rstrip(".:")
