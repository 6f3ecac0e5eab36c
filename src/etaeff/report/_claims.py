"""Claims and findings as `claims.json` has them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, get_args

from etaeff.errors import DataError
from etaeff.records import Finding, Verdict

VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
# JSON has neither NaN nor infinity, so that a study writes `null` for both. An end of the
# expected range is then infinite, any other number is not known.
_ABSENT: Final = {
    "estimate": math.nan,
    "low": math.nan,
    "high": math.nan,
    "expected_low": -math.inf,
    "expected_high": math.inf,
}
_FIELDS: Final = tuple(f.name for f in fields(Finding))


@dataclass(frozen=True)
class JudgedFinding:
    """A finding and the verdict that the study passed on it."""

    finding: Finding
    verdict: Verdict


@dataclass(frozen=True)
class JudgedClaim:
    """A claim, what was found about its parts, and the verdict on all of them."""

    number: int
    title: str
    statement: str
    source: str
    verdict: Verdict
    parts: tuple[JudgedFinding, ...]

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many parts got each verdict."""
        return {v: sum(part.verdict == v for part in self.parts) for v in VERDICTS}


def read_claims(path: Path, content: Any) -> list[JudgedClaim]:
    """The claims of the JSON value `content`, which `path` held under `claims`.

    Raises:
        DataError: If it is not what a study writes.
    """
    try:
        return [_claim(claim) for claim in content]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"'{path}' is not what a study writes: its claims cannot be read "
            f"({type(error).__name__}: {error})."
        ) from error


def _claim(content: Mapping[str, Any]) -> JudgedClaim:
    """The claim of one JSON object."""
    findings: Sequence[Mapping[str, Any]] = content["findings"]
    return JudgedClaim(
        number=int(content["number"]),
        title=str(content["title"]),
        statement=str(content["statement"]),
        source=str(content["source"]),
        verdict=_verdict(content["verdict"]),
        parts=tuple(_finding(finding) for finding in findings),
    )


def _finding(content: Mapping[str, Any]) -> JudgedFinding:
    """The finding of one JSON object, with NaN and infinity where the file has `null`."""
    values = {name: content[name] for name in _FIELDS}
    for name, absent in _ABSENT.items():
        values[name] = absent if values[name] is None else float(values[name])
    return JudgedFinding(Finding(**values), _verdict(content["verdict"]))


def _verdict(text: Any) -> Verdict:
    """`text` if it is a verdict."""
    if text not in VERDICTS:
        raise ValueError(f"the verdict {text!r} is unknown")
    return VERDICTS[VERDICTS.index(text)]
