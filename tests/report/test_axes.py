import polars as pl
import pytest
from matplotlib.figure import Figure

from etaeff.report._axes import DIVERGED, error_axis, error_line, panels, with_diverged


def means(error, spread=None, diverged=None):
    count = len(error)
    return pl.DataFrame(
        {
            "error": error,
            "spread": spread or [None] * count,
            "diverged": diverged or [0] * count,
            "seeds": [3] * count,
        },
        schema_overrides={"error": pl.Float64, "spread": pl.Float64},
    )


def test_panels_have_no_empty_one():
    for count in (1, 2, 4, 9):
        figure, axes = panels(count, 3, 1.0)
        assert figure.axes == axes
        assert len(axes) == count


def test_all_bars_are_within_the_axis():
    axes = Figure().subplots()
    error_axis(axes, means([3.0, 10.0], [0.5, 2.0]))
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "log"
    assert 0 < low < 2.5
    assert high > 12


@pytest.mark.parametrize("error", [[0.0, 3.0], [None, None]])
def test_axis_is_linear_where_a_logarithm_cannot_be(error):
    axes = Figure().subplots()
    error_axis(axes, means(error))
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim()[0] == 0 < axes.get_ylim()[1]


def test_bar_to_below_zero_stays_on_a_logarithmic_axis():
    axes = Figure().subplots()
    rows = means([3.0, 4.0], [9.0, None])
    error_line(axes, [0, 1], rows, colour="k", marker="o")
    error_axis(axes, rows)
    assert axes.get_yscale() == "log"
    axes.figure.draw_without_rendering()


def test_diverged_are_marked_in_a_strip_of_their_own():
    axes = Figure().subplots()
    rows = means([3.0, 4.0, None], diverged=[0, 1, 3])
    error_line(axes, [0, 1, 2], rows, colour="k", marker="o")
    error_axis(axes, rows)
    (crosses,) = [line for line in axes.lines if line.get_label() == DIVERGED]
    assert crosses.get_xdata().tolist() == [1, 2]
    top = axes.transData.transform((0, 4.0))[1]
    assert crosses.get_transform().transform((0, crosses.get_ydata()[0]))[1] > top
    assert [handle.get_label() for handle in with_diverged([], rows)] == [DIVERGED]


def test_without_diverged_trials_there_is_no_strip():
    axes = Figure().subplots()
    rows = means([3.0, 4.0])
    error_line(axes, [0, 1], rows, colour="k", marker="o")
    assert DIVERGED not in [line.get_label() for line in axes.lines]
    assert with_diverged([], rows) == []
