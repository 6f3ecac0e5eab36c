import pytest

from etaeff.report._axes import DIVERGED
from etaeff.report._figures._comparisons import (
    gains_figure,
    gains_rows,
    gains_seen,
    initial_scale_figure,
    initial_scale_rows,
    initial_scale_seen,
)

SCALES = (0.1, 1.0, 10.0)


def scales(make, **common):
    free = make.settings(optimizer=("sgd", "adam"), init_scale=SCALES)
    fixed = {"optimizer": ("sgd", "adam"), "sphere": (True,), "lr": (0.3,)}
    return free + make.settings(**fixed, init_scale=SCALES, common=common)


def test_only_settings_with_other_scales_are_compared(make):
    alone = make.settings(lr=(0.7,), init_scale=(1.0,)) + make.settings(
        wd=(0.1,), init_scale=SCALES
    )
    found = initial_scale_rows(make.frames(scales(make) + alone))
    assert sorted(found["lr"].unique()) == [0.1, 0.3]
    assert found.select("optimizer", "sphere", "init_scale").rows() == [
        (name, sphere, scale)
        for name in ("adam", "sgd")
        for sphere in (False, True)
        for scale in SCALES
    ]


def test_initial_scale_has_two_lines_in_each_panel(make):
    figure = initial_scale_figure(initial_scale_rows(make.frames(scales(make, error=0.2))))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["SGD", "Adam"]
    for axes in figure.axes:
        means = {line.get_marker(): line for line in axes.lines}
        assert means["s"].get_ydata().tolist() == pytest.approx([10.5] * 3)
        assert means["o"].get_ydata().tolist() == pytest.approx([20.0] * 3)
        labels = [label.get_text() for label in axes.get_xticklabels()]
        assert labels == ["× 0.1", "× 1", "× 10"]


def test_initial_scale_says_the_means(make):
    said = initial_scale_seen(initial_scale_rows(make.frames(scales(make, error=0.2))))
    assert "SGD with ‖w‖ = 1 (η = 0.3) 20 % at × 0.1, 20 % at × 1 and 20 % at × 10" in said


def gains(make, **common):
    return make.settings(decay_gains=("none", "all", "last"), wd=(0.01, 0.1), common=common)


def test_gains_are_compared_where_all_else_is_equal(make):
    rows = gains(make) + make.settings(wd=(0.5,))  # the grid, with no other choice beside it
    found = gains_rows(make.frames(rows))
    assert found.select("wd", "decay_gains").rows() == [
        (wd, name) for wd in (0.01, 0.1) for name in ("all", "last", "none")
    ]


def test_gains_have_a_mark_for_each_choice(make):
    figure = gains_figure(gains_rows(make.frames(gains(make))))
    (axes,) = figure.axes
    assert axes.get_ylim()[0] == 0
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["none", "all gains and shifts", "the last gain"]
    means = [line for line in axes.lines if line.get_marker() in ("o", "s", "^")]
    places = [round(x, 6) for line in means for x in line.get_xdata()]
    assert len(places) == len(set(places)) == 6


def test_diverged_gains_are_marked(make):
    rows = gains(make) + make.settings(
        decay_gains=("all",), wd=(0.1,), steps=(10,), seeds=3, common={"diverged": 1}
    )
    found = gains_rows(make.frames(rows))
    figure = gains_figure(found)
    assert DIVERGED in [text.get_text() for text in figure.legends[0].get_texts()]
    assert "diverged and so did no better than guessing" in gains_seen(found)


def test_gains_say_the_difference(make):
    rows = make.settings(decay_gains=("none",), wd=(0.1,), common={"error": 0.11})
    rows += make.settings(decay_gains=("all",), wd=(0.1,), common={"error": 0.14})
    assert "3 points at λ = 0.1" in gains_seen(gains_rows(make.frames(rows)))


def test_no_trials_make_no_rows(make):
    assert initial_scale_rows(make.frames([])).is_empty()
    assert gains_rows(make.frames([])).is_empty()
