import math

import polars as pl
import pytest

from etaeff.report._settings import by_setting, grid, in_order, one_lr, select


@pytest.mark.parametrize(
    "other",
    [
        {"norm": "layer"},
        {"norm": "none"},
        {"sphere": True},
        {"wd": 0.1, "decay_weights": False},
        {"wd": 0.1, "decay_head": True},
        {"wd": 0.1, "decay_gains": "all"},
        {"init_scale": 10.0},
        {"random_labels": 0.5},
        {"lr_rest": 0.3},
        {"schedule": "cosine"},
    ],
)
def test_other_arms_are_left_out(make, other):
    plain = make.trial(wd=0.1)
    rows = make.trials(plain, make.trial(**other))
    assert select(rows)["trial"].to_list() == [plain["trial"]]


def test_arms_without_decay_share_their_trials(make):
    rows = make.trials(make.trial(wd=0.0, decay_head=True), make.trial(wd=0.1, decay_head=True))
    assert sorted(select(rows, decay_head=True)["wd"]) == [0.0, 0.1]
    assert select(rows)["wd"].to_list() == [0.0]


def test_free_columns_may_have_any_value(make):
    rows = make.trials(make.trial(init_scale=10.0), make.trial(), make.trial(sphere=True))
    assert sorted(select(rows, free=["init_scale"])["init_scale"]) == [1.0, 10.0]


def test_grid_is_the_length_with_the_most_settings(make):
    rows = make.settings(lr=(0.1, 0.3), wd=(0.0, 0.1), steps=(200,))
    compared = make.settings(seeds=9, lr=(0.1,), wd=(0.0,), steps=(100,))
    others = make.settings(optimizer=("adam",), lr=(0.1,), steps=(100,))
    found = grid(make.trials(*rows, *compared, *others))
    lengths = found.group_by("optimizer").agg(pl.col("steps").unique()).sort("optimizer")
    assert lengths.rows() == [("adam", [100]), ("sgd", [200])]
    assert len(found) == len(rows) + len(others)


def test_means_and_deviations_are_over_seeds(make):
    rows = by_setting(make.trials(*make.settings(seeds=3, wd=(0.1, 0.0))), "wd")
    assert rows["wd"].to_list() == [0.0, 0.1]
    for row in rows.iter_rows(named=True):
        assert row["error"] == pytest.approx(11.0)
        assert row["spread"] == pytest.approx(1.0)
        assert (row["seeds"], row["diverged"]) == (3, 0)


def test_diverged_trials_are_counted_and_not_averaged(make):
    rows = make.trials(
        make.trial(seed=0, error=0.05, effective_lr=1.0),
        make.trial(seed=1, error=0.07, effective_lr=4.0),
        make.trial(seed=2, diverged=3),
        make.trial(lr=0.3, seed=0, diverged=1),
    )
    first, second = by_setting(rows, "lr").rows(named=True)
    assert first["error"] == pytest.approx(6.0)
    assert first["effective_lr"] == pytest.approx(2.0)
    assert (first["seeds"], first["diverged"]) == (3, 1)
    assert (second["error"], second["effective_lr"], second["diverged"]) == (None, None, 1)


@pytest.mark.parametrize("rate", [0.0, math.inf, math.nan, None])
def test_rates_without_a_logarithm_are_left_out(make, rate):
    rows = make.trials(make.trial(seed=0, effective_lr=rate), make.trial(seed=1, effective_lr=2.0))
    assert by_setting(rows, "lr")["effective_lr"].to_list() == pytest.approx([2.0])


def test_one_lr_is_that_of_the_compared_settings_or_the_middle(make):
    values = {"wd": (0.0, 0.1)}
    rows = make.settings(lr=(0.01, 0.1, 1.0), **values) + make.settings(
        optimizer=("adam",), lr=(0.01, 0.1, 1.0), **values
    )
    more = make.settings(seeds=5, optimizer=("adam",), lr=(1.0,), **values)
    found = one_lr(make.trials(*rows, *more))
    assert found.select("optimizer", "lr").unique().sort("optimizer").rows() == [
        ("adam", 1.0),
        ("sgd", 0.1),
    ]
    assert one_lr(make.trials()).is_empty()


def test_optimisers_come_in_the_order_of_the_study():
    assert in_order({"lion", "adamw", "sgd"}) == ["sgd", "adamw", "lion"]
