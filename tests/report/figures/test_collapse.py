import pytest

from etaeff.report._axes import DIVERGED
from etaeff.report._figures._collapse import collapse_figure, collapse_rows, collapse_seen

GRID = {"lr": (0.1, 0.3), "wd": (0.0, 0.1)}


def test_rows_have_sgd_under_other_normalisations(make):
    rows = make.settings(optimizer=("sgd", "adam"), **GRID)
    rows += make.settings(norm=("layer", "weight"), **GRID)
    rows += make.settings(norm=("none",), **GRID) + make.settings(sphere=(True,), **GRID)
    found = collapse_rows(make.frames(rows))
    arms = found.group_by("norm", "optimizer").len().sort("norm", "optimizer").rows()
    assert arms == [
        ("batch", "adam", 4),
        ("batch", "sgd", 4),
        ("layer", "sgd", 4),
        ("weight", "sgd", 4),
    ]
    assert found.select("lr", "rank").unique().sort("lr").rows() == [(0.1, 0), (0.3, 1)]


def test_panels_and_legend(make):
    rows = make.settings(optimizer=("sgd", "adam"), **GRID) + make.settings(norm=("layer",), **GRID)
    figure = collapse_figure(collapse_rows(make.frames(rows)))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["SGD", "Adam", "SGD, layer norm.", ""]
    key = [text.get_text() for text in figure.axes[-1].get_legend().get_texts()]
    assert key == ["lowest", "second"]
    (colours,) = figure.axes[-1].artists
    assert [text.get_text() for text in colours.get_texts()] == ["0", "0.1"]


def test_point_stands_at_its_effective_lr_and_error(make):
    row = make.trial(wd=0.1, effective_lr=0.25, error=0.07)
    axes = collapse_figure(collapse_rows(make.frames([row]))).axes[0]
    (point,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert (point.get_xdata()[0], point.get_ydata()[0]) == pytest.approx((0.25, 7.0))


def test_diverged_without_effective_lr_are_still_marked(make):
    rows = [make.trial(wd=0.1, diverged=1), make.trial(wd=0.0, effective_lr=0.3)]
    found = collapse_rows(make.frames(rows))
    axes = collapse_figure(found).axes[0]
    (cross,) = [line for line in axes.lines if line.get_label() == DIVERGED]
    assert cross.get_xdata().tolist() == pytest.approx([0.3])
    assert "Of 2 trials, 1 diverged" in collapse_seen(found)
    collapse_figure(collapse_rows(make.frames(rows[:1])))  # and if there is nothing else


def test_seen_counts_what_has_no_effective_lr(make):
    rows = [make.trial(wd=0.1, effective_lr=0.0), make.trial(wd=0.0, effective_lr=0.3)]
    said = collapse_seen(collapse_rows(make.frames(rows)))
    assert "Not shown, for want of a final η_eff: 1 setting." in said
    assert "SGD 0.3 (0)" in said


def test_no_trials_make_no_rows(make):
    assert collapse_rows(make.frames([])).is_empty()
