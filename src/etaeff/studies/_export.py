"""A finished study as files that other programs read."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from etaeff.records import ClaimRecord, write_atomically
from etaeff.studies.judging._results import Results


def export(
    out: Path,
    specification: Mapping[str, Any],
    sessions: Sequence[Mapping[str, Any]],
    results: Results,
    claims: Sequence[ClaimRecord],
) -> None:
    """Write `results.parquet`, `epochs.parquet`, `rescalings.parquet` and `claims.json`."""
    write_atomically(out / "results.parquet", _parquet(results.trials))
    write_atomically(out / "epochs.parquet", _parquet(results.epochs))
    write_atomically(out / "rescalings.parquet", _parquet(results.rescalings))
    content = {
        "specification": specification,
        "sessions": sessions,
        "claims": [_plain(claim) for claim in claims],
    }
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
    write_atomically(out / "claims.json", text)


def _parquet(frame: pl.DataFrame) -> bytes:
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
