"""Rows of conversions against closed forms, and against the results that they show."""

import json
import math

import numpy as np
import pytest

from etaeff.convert import Setting, exponential_rows, exponential_schedule, match, match_rows
from etaeff.theory import lr_schedule

SGD = Setting.parse("sgd lr=0.1 wd=5e-4 momentum=0.9")


def test_rows_of_a_match_have_both_equilibria():
    result = match(SGD, "adamw", lr=2e-3, dim=768.0, grad_norm_sq=2.0)
    rows = match_rows(result)
    assert rows["target"]["setting"] == str(result.setting)
    assert rows["notes"] == result.notes
    for side in ("source", "target"):
        settled = getattr(result, side)
        for name in ("angle", "half_life", "radius", "effective_lr"):
            assert rows[side][name] == float(getattr(settled, name))
        assert rows[side]["angle_degrees"] == pytest.approx(math.degrees(settled.angle), rel=1e-15)
    # Heavy ball: cos θ = 1 − ηλ/(1 + μ).
    assert rows["source"]["angle"] == pytest.approx(math.acos(1 - 5e-5 / 1.9), rel=1e-7)


def test_what_is_not_known_is_none_and_rows_are_plain():
    rows = match_rows(match(SGD, "adamw"))
    assert rows["source"]["radius"] is None
    assert rows["target"]["effective_lr"] is None
    assert json.loads(json.dumps(rows)) == {**rows, "notes": list(rows["notes"])}


def test_points_without_decay_are_those_of_the_closed_form():
    lr = np.full(101, 0.1)
    rows = exponential_rows(exponential_schedule(lr, 5e-2), lr)
    assert [point["step"] for point in rows["points"]] == [0, 25, 50, 75, 100]
    for point in rows["points"]:  # η̃_t = η (1 − ηλ)^−(2t + 1)
        exact = math.log10(0.1) - (2 * point["step"] + 1) * math.log10(1 - 5e-3)
        assert point["log10_lr"] == pytest.approx(exact, rel=1e-12)
        assert point["lr"] == 0.1
    assert rows["growth"] == pytest.approx((1 - 5e-3) ** -2, rel=1e-12)
    assert json.loads(json.dumps(rows)) == rows


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "step"])
def test_only_a_constant_rate_has_one_growth(schedule):
    for steps, warmup in ((2, 0), (50, 0), (50, 9)):
        lr = lr_schedule(schedule, lr=0.1, steps=steps, warmup=warmup)
        growth = exponential_rows(exponential_schedule(lr, 5e-4, 0.9), lr)["growth"]
        assert (growth is not None) == (schedule == "constant" and warmup == 0)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_short_runs_have_each_step_once(steps):
    lr = np.full(steps, 0.1)
    rows = exponential_rows(exponential_schedule(lr, 5e-4), lr)
    assert [point["step"] for point in rows["points"]] == list(range(steps))
    assert (rows["growth"] is None) == (steps == 1)
