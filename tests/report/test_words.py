import math

import pytest

from etaeff._words import counted, listed, number
from etaeff.records import Finding
from etaeff.report._words import expected, interval, optimizer_name


def judged(**changes):
    values = {"estimate": 0.5, "low": 0.4, "high": 0.6, "expected_low": 0.0, "expected_high": 1.0}
    return Finding(
        claim=1, part="", statistic="", unit="", seeds=1, trials=1, **(values | changes)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (0.12345, "0.123"),
        (-0.25, "−0.25"),
        (12345.6, "12346"),
        (9.9e5, "9.9 × 10⁵"),
        (-7.36e-16, "−7.36 × 10⁻¹⁶"),
        (1e-9, "1 × 10⁻⁹"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (math.nan, "not known"),
        (None, "not known"),
    ],
)
def test_number(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.2, 0.3, "0.2 to 0.3"),
        (1.0, math.inf, "at least 1"),
        (-math.inf, 0.0, "at most 0"),
        (-0.1, 0.1, "−0.1 to 0.1"),
        (-math.inf, math.inf, "not known"),
    ],
)
def test_expected_range(low, high, text):
    assert expected(judged(expected_low=low, expected_high=high)) == text


def test_end_that_may_be_unknown_is_not_called_infinite():
    # With one seed the limit is NaN, and the file has null for NaN and for infinity.
    alone = judged(low=math.nan, high=math.nan, expected_high=math.inf)
    assert expected(alone) == "from 0; the other end is open or not known"
    alone = judged(low=math.nan, high=math.nan, expected_low=-math.inf, expected_high=2.0)
    assert expected(alone) == "up to 2; the other end is open or not known"
    assert expected(judged(low=math.nan, high=math.nan)) == "0 to 1"


def test_interval():
    assert interval(judged()) == "0.4 to 0.6"
    assert interval(judged(low=math.nan)) == "no interval"


def test_words():
    assert [counted(n, "seed") for n in (0, 1, 2)] == ["no seeds", "1 seed", "2 seeds"]
    assert listed(["a"]) == "a"
    assert listed(str(i) for i in range(3)) == "0, 1 and 2"


def test_optimizers_are_called_what_the_registry_calls_them_and_unknown_ones_as_they_come():
    names = {
        "sgd": "SGD",
        "heavy-ball": "heavy ball",
        "nesterov": "Nesterov",
        "rmsprop": "RMSProp",
        "adam": "Adam",
        "adamw": "AdamW",
        "lion": "Lion",
        "sgd momentum=0.5": "heavy ball (momentum=0.5)",
        "of another version": "of another version",
        "adagrad": "adagrad",
    }
    assert {name: optimizer_name(name) for name in names} == names
