import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from etaeff.report._scales import ZeroLog, log_axis, log_ticks, tick_label


@pytest.mark.parametrize("low", [1e-17, 3e-4, 0.02, 1.0, 2.7])
@pytest.mark.parametrize("factor", [1.5, 4, 30, 1e3, 1e8, 1e21])
@pytest.mark.parametrize("most", [3, 7])
def test_ticks_are_few_and_within_the_limits(low, factor, most):
    ticks = log_ticks(low, low * factor, most)
    assert 0 < len(ticks) <= most
    assert ticks == sorted(ticks)
    assert all(low * 0.999 <= tick <= low * factor * 1.001 for tick in ticks)


def test_labels_of_ticks():
    values = (0.003, 1.0, 20.0, 1e-5, 3e6)
    assert [tick_label(v) for v in values] == [
        "0.003", "1", "20", "$10^{-5}$", r"$3\cdot 10^{6}$",
    ]  # fmt: skip


def test_zero_stands_before_the_smallest():
    scale = ZeroLog.of([0.0, 1e-3, 1e-1])
    places = scale([0.0, 1e-3, 1e-2, 1e-1])
    assert np.all(np.diff(places) > 0)
    assert places[1:] == pytest.approx([-3, -2, -1])
    assert list(scale.labels().values()) == ["0", "0.001", "0.01", "0.1"]


def test_without_zero_there_is_no_break():
    axes = Figure().subplots()
    ZeroLog.of([1e-3, 1e-1]).decorate(axes)
    assert not axes.texts
    ZeroLog.of([0.0, 1e-3, 1e-1]).decorate(axes)
    (stroke,) = axes.texts
    assert stroke.get_text() == "//"
    assert axes.get_xlim()[0] < stroke.get_position()[0] < -3


@pytest.mark.parametrize("values", [[], [0.0], [0.03], [0.0, 0.03], [0.0, math.inf]])
@pytest.mark.parametrize("which", ["x", "y"])
def test_odd_scales_can_be_drawn(values, which):
    axes = Figure().subplots()
    ZeroLog.of(values).decorate(axes, which)
    axes.figure.draw_without_rendering()
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    assert low < high


def test_logarithmic_axis_has_labels_that_fit():
    axes = Figure().subplots()
    axes.set_ylim(2, 40)
    log_axis(axes, "y", highest=12)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["2", "3", "4", "5", "6", "8", "10"]
