"""A finished study as files that other programs read."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from etaeff.records import (
    CLAIMS_FILE,
    EPOCHS_FILE,
    RESCALINGS_FILE,
    RESULTS_FILE,
    ClaimRecord,
    write_atomically,
)
from etaeff.studies.judging._results import Results


def export(
    out: Path,
    specification: Mapping[str, Any],
    sessions: Sequence[Mapping[str, Any]],
    results: Results,
    claims: Sequence[ClaimRecord],
) -> None:
    """Write `results.parquet`, `epochs.parquet`, `rescalings.parquet` and `claims.json`."""
    write_atomically(out / RESULTS_FILE, _parquet(results.trials))
    write_atomically(out / EPOCHS_FILE, _parquet(results.epochs))
    write_atomically(out / RESCALINGS_FILE, _parquet(results.rescalings))
    content = {
        "specification": specification,
        "sessions": sessions,
        "claims": [_plain(claim) for claim in claims],
    }
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
    write_atomically(out / CLAIMS_FILE, text)


def _parquet(frame: pl.DataFrame) -> bytes:
    """The bytes of a Parquet file of `frame`."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _plain(claim: ClaimRecord) -> dict[str, Any]:
    """JSON values: a number that is NaN or infinite becomes `null`."""
    findings = [
        {
            **{k: None if isinstance(v, float) and not math.isfinite(v) else v
               for k, v in asdict(finding).items()},
            "verdict": finding.verdict,
        }
        for finding in claim.findings
    ]  # fmt: skip
    return {**asdict(claim), "verdict": claim.verdict, "findings": findings}
