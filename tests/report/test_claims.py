import math
from pathlib import Path

import pytest

from etaeff.errors import DataError
from etaeff.report._claims import read_claims

PATH = Path("claims.json")


def test_null_is_infinite_in_a_range_and_unknown_elsewhere(make):
    nulls = dict.fromkeys(["estimate", "low", "high", "expected_low", "expected_high"])
    (claim,) = read_claims(PATH, [make.claim(make.finding(**nulls, verdict="undecided"))])
    (part,) = claim.parts
    found = part.finding
    assert all(math.isnan(v) for v in (found.estimate, found.low, found.high))
    assert (found.expected_low, found.expected_high) == (-math.inf, math.inf)


def test_verdicts_are_those_of_the_file(make):
    parts = [make.finding(verdict=v) for v in ("holds", "does not hold", "undecided", "holds")]
    (claim,) = read_claims(PATH, [make.claim(*parts, verdict="does not hold")])
    assert claim.verdict == "does not hold"
    assert claim.counts == {"holds": 2, "does not hold": 1, "undecided": 1}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda claim: claim.pop("title"),
        lambda claim: claim.update(verdict="maybe"),
        lambda claim: claim.update(number="one"),
        lambda claim: claim.update(findings=3),
        lambda claim: claim["findings"][0].pop("low"),
        lambda claim: claim["findings"][0].update(low="much"),
        lambda claim: claim["findings"].append(None),
    ],
)
def test_what_is_no_claim_is_refused(make, spoil):
    claim = make.claim()
    spoil(claim)
    with pytest.raises(DataError, match=r"'claims\.json' is not what a study writes: its claims"):
        read_claims(PATH, [claim])
    with pytest.raises(DataError, match="its claims cannot be read"):
        read_claims(PATH, None)
