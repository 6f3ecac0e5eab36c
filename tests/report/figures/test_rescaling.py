import pytest

from etaeff.report._figures._rescaling import (
    RESCALING,
    rescaling_figure,
    rescaling_rows,
    rescaling_seen,
)

CHANGES = {(2.0, 1e-5): 1e-3, (2.0, 1e-30): 0.0, (0.5, 1e-5): 2e-3, (0.5, 1e-30): 1e-16}


def study(make, changes=CHANGES, **rows):
    trials = make.trials(*make.settings(seeds=1, norm=("batch", "weight"), **rows))
    return make.frames(trials, rescalings=make.rescalings(trials, changes))


def test_largest_eps_is_the_networks_own(make):
    found = rescaling_rows(study(make))
    assert set(found.select("eps", "which").rows()) == {(1e-5, "own"), (1e-30, "none")}
    assert len(found) == 8


@pytest.mark.parametrize("change", [float("nan"), float("inf"), None])
def test_changes_that_are_not_numbers_are_left_out(make, change):
    found = rescaling_rows(study(make, CHANGES | {(2.0, 1e-5): change}))
    assert len(found) == 6


def test_other_arms_are_left_out(make):
    assert rescaling_rows(study(make, sphere=(True,))).is_empty()
    assert rescaling_rows(study(make, optimizer=("adam",))).is_empty()


def test_figure_has_a_panel_for_each_norm_and_a_place_for_zero(make):
    figure = rescaling_figure(rescaling_rows(study(make)))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["batch norm.", "weight norm."]
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["× 0.5", "× 2"]
    assert axes.get_yticklabels()[0].get_text() == "0"
    assert sum(len(line.get_xdata()) for line in axes.lines) == 4


def test_seen_has_the_largest_change(make):
    said = rescaling_seen(rescaling_rows(study(make)))
    assert "batch norm. 0.002 with its own ε, 1 × 10⁻¹⁶ with ε = 1 × 10⁻³⁰" in said


def test_without_the_table_there_are_no_rows(make):
    assert rescaling_rows(make.frames([make.trial()])).is_empty()
    assert "rescalings.parquet" in RESCALING.absent
