import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etaeff.records import ClaimRecord, Finding, verdict

INF, NAN = math.inf, math.nan
NUMBERS = st.floats(allow_nan=False)
INTERVALS = st.tuples(NUMBERS, NUMBERS).map(lambda ends: tuple(sorted(ends)))
MODERATE = st.tuples(*[st.integers(-1000, 1000)] * 2).map(lambda ends: tuple(sorted(ends)))


@pytest.mark.parametrize(
    ("interval", "expected", "says"),
    [
        ((0.24, 0.26), (0.2, 0.3), "holds"),
        ((0.2, 0.3), (0.2, 0.3), "holds"),
        ((0.25, 0.25), (0.25, 0.25), "holds"),
        ((0.1, 0.15), (0.2, 0.3), "does not hold"),
        ((0.35, 0.4), (0.2, 0.3), "does not hold"),
        ((0.15, 0.25), (0.2, 0.3), "undecided"),
        ((0.25, 0.35), (0.2, 0.3), "undecided"),
        ((0.1, 0.4), (0.2, 0.3), "undecided"),
        ((0.1, 0.2), (0.2, 0.3), "undecided"),  # they touch
        ((NAN, NAN), (0.2, 0.3), "undecided"),
        ((NAN, 0.1), (0.2, 0.3), "undecided"),
        ((0.1, NAN), (-INF, INF), "undecided"),
        ((0.1, 0.2), (NAN, NAN), "undecided"),
        ((0.1, 99.0), (0.0, INF), "holds"),
        ((0.1, INF), (0.0, INF), "holds"),
        ((-INF, INF), (-INF, INF), "holds"),
        ((-INF, INF), (0.2, 0.3), "undecided"),
        ((-INF, 0.1), (0.2, 0.3), "does not hold"),
        ((-0.2, -0.1), (0.0, INF), "does not hold"),
        ((-0.2, 0.1), (0.0, INF), "undecided"),
    ],
)
def test_verdict(interval, expected, says):
    assert verdict(interval, expected) == says


@given(INTERVALS, INTERVALS)
def test_verdict_does_not_change_in_the_mirror(interval, expected):
    mirrored = [(-high, -low) for low, high in (interval, expected)]
    assert verdict(*mirrored) == verdict(interval, expected)


@given(MODERATE, MODERATE, st.integers(1, 100), st.integers(-1000, 1000))
def test_verdict_does_not_depend_on_the_unit(interval, expected, factor, shift):
    changed = [tuple(factor * end + shift for end in ends) for ends in (interval, expected)]
    assert verdict(*changed) == verdict(interval, expected)


@given(st.lists(st.floats(allow_nan=False), min_size=4, max_size=4), INTERVALS)
def test_more_seeds_never_turn_a_verdict_over(ends, expected):
    low, narrow_low, narrow_high, high = sorted(ends)
    interval, narrower = (low, high), (narrow_low, narrow_high)
    if verdict(interval, expected) != "undecided":
        assert verdict(narrower, expected) == verdict(interval, expected)


def finding(low, high, expected_low=0.2, expected_high=0.3):
    return Finding(
        claim=1,
        part="sgd",
        statistic="slope",
        unit="",
        estimate=(low + high) / 2,
        low=low,
        high=high,
        expected_low=expected_low,
        expected_high=expected_high,
        seeds=3,
        trials=12,
    )


YES, NO, PERHAPS = finding(0.24, 0.26), finding(0.4, 0.5), finding(0.1, 0.25)


@pytest.mark.parametrize(
    ("findings", "says"),
    [
        ((YES,), "holds"),
        ((YES, YES), "holds"),
        ((YES, PERHAPS), "undecided"),
        ((YES, finding(NAN, NAN)), "undecided"),
        ((YES, PERHAPS, NO), "does not hold"),
        ((NO,), "does not hold"),
        ((PERHAPS,), "undecided"),
        ((), "undecided"),
    ],
)
def test_claim_holds_if_every_part_does(findings, says):
    claim = ClaimRecord(number=1, title="", statement="", source="", findings=findings)
    assert claim.verdict == says


def test_finding_asks_its_own_interval():
    assert [one.verdict for one in (YES, NO, PERHAPS)] == ["holds", "does not hold", "undecided"]
