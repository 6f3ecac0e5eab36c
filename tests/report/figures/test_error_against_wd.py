import pytest

from etaeff.report._axes import DIVERGED
from etaeff.report._figures._error_against_wd import (
    control_figure,
    control_rows,
    control_seen,
    error_against_wd_figure,
    error_against_wd_rows,
    error_against_wd_seen,
)

GRID = {"lr": (0.1, 0.3), "wd": (0.0, 0.01, 0.1)}


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def lines(axes):
    """The lines of means: bars and crosses have no marker of a mean."""
    return [line for line in axes.lines if line.get_marker() in ("o", "s", "^", "D")]


def test_rows_are_the_free_grid_alone(make):
    others = make.settings(sphere=(True,), **GRID) + make.settings(norm=("layer",), **GRID)
    found = error_against_wd_rows(make.frames(make.settings(**GRID) + others))
    assert found.select("lr", "wd", "seeds").rows() == [
        (lr, wd, 2) for lr in GRID["lr"] for wd in GRID["wd"]
    ]
    assert found["error"].to_list() == pytest.approx([10.5] * 6)


def test_a_panel_for_each_optimiser_and_a_line_for_each_lr(make):
    rows = make.settings(optimizer=("adamw", "sgd"), **GRID)
    figure = error_against_wd_figure(error_against_wd_rows(make.frames(rows)))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["SGD", "AdamW"]
    for axes in figure.axes:
        assert legend(axes) == [r"$\eta$ = 0.1", "0.3"]
        assert [len(line.get_xdata()) for line in lines(axes)] == [3, 3]
        ticks = [label.get_text() for label in axes.get_xticklabels()]
        assert ticks[0] == "0"
    assert figure.get_supxlabel() == r"weight decay $\lambda$"
    assert figure.get_supylabel() == "test error, %"


def test_diverged_trials_are_marked_and_said(make):
    rows = make.settings(**GRID) + make.settings(lr=(1.0,), wd=(0.1,), common={"diverged": 2})
    found = error_against_wd_rows(make.frames(rows))
    assert found.filter(found["lr"] == 1.0)["diverged"].to_list() == [2]
    figure = error_against_wd_figure(found)
    assert DIVERGED in [line.get_label() for line in figure.axes[0].lines]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [DIVERGED]
    assert "Of 14 trials, 2 diverged" in error_against_wd_seen(found)


def test_seen_names_the_lowest_error(make):
    rows = make.settings(**GRID) + make.settings(lr=(0.5,), wd=(0.2,), common={"error": 0.042})
    said = error_against_wd_seen(error_against_wd_rows(make.frames(rows)))
    assert "SGD 4.2 % (η = 0.5, λ = 0.2)" in said
    assert "None of the 14 trials diverged." in said


def control(make, **common):
    rows = make.settings(norm=("none",), decay_head=(True,), common=common, **GRID)
    return rows + make.settings(**GRID)


def test_control_keeps_the_arm_without_decay(make):
    found = control_rows(make.frames(control(make)))
    counts = found.group_by("norm").len().sort("norm").rows()
    assert counts == [("batch", 6), ("none", 6)]


def test_control_stands_beside_the_normalised_arm(make):
    figure = control_figure(control_rows(make.frames(control(make, error=0.2))))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "no normalisation",
        "batch normalisation",
    ]
    left, right = (lines(axes)[0].get_ydata() for axes in figure.axes)
    assert left.tolist() == pytest.approx([20.0] * 3)
    assert right.tolist() == pytest.approx([10.5] * 3)


def test_control_says_the_best_wd(make):
    rows = control(make) + make.settings(
        norm=("none",), decay_head=(True,), lr=(0.1,), wd=(0.5,), common={"error": 0.01}
    )
    assert "no normalisation the lowest mean error lies at λ = 0.5 for η = 0.1" in control_seen(
        control_rows(make.frames(rows))
    )


def test_control_is_left_out_without_either_arm(make):
    assert control_rows(make.frames(make.settings(**GRID))).is_empty()
    assert control_rows(make.frames([])).is_empty()
