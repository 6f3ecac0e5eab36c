import polars as pl
import pytest

from etaeff.report._figures._radius_law import (
    SETTLED,
    labels_name,
    radius_law_figure,
    radius_law_rows,
    radius_law_seen,
)

LR, WD, G = 0.1, 0.01, 3.0
LAW = LR * G / (WD * (2 - LR * WD))


def study(make, **changes):
    settings = {"lr": LR, "wd": WD, "steps": 20000, **changes}
    return make.trials(make.trial(**settings))


def rows_of(make, trials, radius=LAW**0.25, **values):
    epochs = make.epochs(trials, radius=radius, gradient=G, **values)
    return radius_law_rows(make.frames(trials, epochs=epochs))


def test_law_is_that_of_sgd_with_decay(make):
    found = rows_of(make, study(make))
    assert found["layer"].to_list() == ["hidden1", "hidden2"]
    for row in found.iter_rows(named=True):
        assert row["law"] == pytest.approx(LAW)
        assert row["measured"] == pytest.approx(LAW)
        assert row["decays"] == pytest.approx(LR * WD * 20000)
        assert row["settled"]


def test_only_the_last_tenth_counts(make):
    trials = study(make)
    epochs = make.epochs(trials, epochs=20, radius=2.0)
    early = epochs.with_columns(
        pl.when(pl.col("epoch") <= 18).then(1e6).otherwise("radius_4").alias("radius_4")
    )
    found = radius_law_rows(make.frames(trials, epochs=early))
    assert found["measured"].to_list() == pytest.approx([16.0, 16.0])


@pytest.mark.parametrize(("steps", "settled"), [(4999, False), (5001, True)])
def test_short_runs_are_not_settled(make, steps, settled):
    assert steps * LR * WD > SETTLED - 0.01
    assert rows_of(make, study(make, steps=steps))["settled"].to_list() == [settled] * 2


@pytest.mark.parametrize(
    "other",
    [{"wd": 0.0}, {"optimizer": "adam"}, {"sphere": True}, {"norm": "layer"}, {"diverged": 3},
     {"lr": 30.0, "wd": 0.1}],
)  # fmt: skip
def test_trials_without_the_law_are_left_out(make, other):
    assert rows_of(make, study(make, **other)).is_empty()


@pytest.mark.parametrize("radius", [1e-90, float("nan")])
def test_layers_without_a_radius_are_left_out(make, radius):
    assert rows_of(make, study(make), radius=radius).is_empty()


def test_figure_has_two_colours_and_open_marks(make):
    trials = make.trials(
        make.trial(lr=LR, wd=WD, steps=20000),
        make.trial(lr=LR, wd=WD / 100, steps=20000),
        make.trial(lr=LR, wd=WD, steps=20000, random_labels=0.5),
    )
    figure = radius_law_figure(rows_of(make, trials))
    left, right = figure.axes
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        "as the law says", "clean labels", "50 % random labels", "open: not settled",
    ]  # fmt: skip
    assert left.get_xscale() == left.get_yscale() == right.get_xscale() == "log"
    assert left.get_xlim() == left.get_ylim()
    fillings = {line.get_markerfacecolor() for line in left.lines if len(line.get_xdata())}
    assert "none" in fillings


def test_seen_has_the_ratio_of_settled_runs(make):
    said = radius_law_seen(rows_of(make, study(make), radius=(2 * LAW) ** 0.25))
    assert "2 on clean labels" in said
    assert "2 layers of 1 run" in said
    assert radius_law_seen(rows_of(make, study(make, steps=10))) == "No run has settled."


def test_names_of_labels():
    assert [labels_name(share) for share in (0.0, 0.5)] == ["clean labels", "50 % random labels"]
