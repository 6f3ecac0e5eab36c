import math

import pytest

from etaeff.records import Trial
from etaeff.studies.judging._claims import Claim, Measured, Part, needed_trials
from etaeff.studies.judging._statistics import Estimate


def trial(**changes):
    return Trial.of(**({"data": "digits", "train_size": 600, "lr": 0.1, "steps": 10} | changes))


def part(name, trials, measure=None):
    return Part(name, "mean radius", tuple(trials), measure, "units")


def claim(*parts, number=7):
    return Claim(number, "Title", "It is so.", "us", parts)


def test_needed_trials_are_each_once_in_the_order_of_first_need():
    a, b, c, d = (trial(seed=seed) for seed in range(4))
    claims = [claim(part("x", [b, a]), part("y", [a, c])), claim(part("z", [c, d, b]))]
    assert needed_trials(claims) == [b, a, c, d]
    assert needed_trials([]) == []


def test_equal_trials_made_apart_are_one():
    assert len(needed_trials([claim(part("x", [trial()])), claim(part("y", [trial(lr=0.1)]))])) == 1


def test_a_part_is_judged_by_its_own_trials_alone(synthetic, outcome):
    own = [trial(lr=lr, seed=seed) for lr in (0.1, 0.2) for seed in range(3)]
    others = [trial(lr=0.3, seed=seed) for seed in range(5)]
    seen = {}

    def measure(results):
        seen["trials"] = set(results.trials["trial"])
        return Measured(Estimate(2.0, 1.5, 2.5), (1.0, 3.0), "A note.")

    results = synthetic((one, outcome()) for one in own + others)
    finding = part("x", own, measure).judge(4, results)
    assert seen["trials"] == {one.id for one in own}
    assert (finding.claim, finding.part, finding.statistic, finding.unit, finding.note) == (
        4, "x", "mean radius", "units", "A note.",
    )  # fmt: skip
    assert (finding.estimate, finding.low, finding.high) == (2.0, 1.5, 2.5)
    assert (finding.expected_low, finding.expected_high) == (1.0, 3.0)
    assert (finding.seeds, finding.trials, finding.verdict) == (3, 6, "holds")


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        ([(0.2, 0.3), (0.1, 0.9)], "holds"),
        ([(0.2, 0.3), (0.5, 1.5)], "undecided"),
        ([(0.2, 0.3), (1.5, 1.6)], "does not hold"),
        ([(0.5, 1.5), (1.5, 1.6)], "does not hold"),
        ([(math.nan, math.nan), (0.2, 0.3)], "undecided"),
    ],
)
def test_a_claim_holds_if_all_its_parts_do(synthetic, outcome, intervals, verdict):
    parts = [
        part(f"{low}", [trial()], lambda _, ends=(low, high): Measured(
            Estimate(0.5, *ends), (0.0, 1.0)))
        for low, high in intervals
    ]  # fmt: skip
    record = claim(*parts).judge(synthetic([(trial(), outcome())]))
    assert (record.number, record.title, record.statement, record.source) == (
        7, "Title", "It is so.", "us",
    )  # fmt: skip
    assert record.verdict == verdict
    assert [finding.claim for finding in record.findings] == [7, 7]
