import numpy as np
import pytest

from etaeff.report._figures._heat_map import heat_map_figure, heat_map_rows, heat_map_seen

GRID = {"lr": (0.01, 0.1), "wd": (0.0, 0.01, 0.1)}


def test_product_is_that_of_the_optimiser(make):
    rows = make.settings(seeds=1, optimizer=("sgd", "adam", "adamw", "rmsprop"), **GRID)
    found = heat_map_rows(make.frames(rows))
    assert sorted(found["optimizer"].unique()) == ["adam", "adamw", "sgd"]
    for row in found.iter_rows(named=True):
        power = 2 if row["optimizer"] == "adam" else 1
        assert row["product"] == pytest.approx(row["lr"] ** power * row["wd"])


def test_cells_have_their_errors(make):
    rows = [
        make.trial(lr=lr, wd=wd, error=0.1 * (1 + i + 2 * j))
        for i, lr in enumerate(GRID["lr"])
        for j, wd in enumerate(GRID["wd"])
    ]
    figure = heat_map_figure(heat_map_rows(make.frames(rows)))
    decayed, undecayed = figure.axes[0].collections
    assert np.ravel(undecayed.get_array()).tolist() == pytest.approx([10, 20])
    assert np.ravel(decayed.get_array()).tolist() == pytest.approx([30, 40, 50, 60])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"10.0", "20.0", "60.0"} <= set(texts)


def test_titles_name_the_product_and_lines_are_drawn(make):
    rows = make.settings(optimizer=("sgd", "adam"), **GRID)
    figure = heat_map_figure(heat_map_rows(make.frames(rows)))
    sgd, adam, bar = figure.axes
    assert sgd.get_title(loc="left") == r"SGD, lines of equal $\eta\lambda$"
    assert adam.get_title(loc="left") == r"Adam, lines of equal $\eta^2\lambda$"
    for axes, slope in ((sgd, -1), (adam, -2)):
        line = max(axes.lines, key=lambda line: len(line.get_xdata()))
        x, y = line.get_data()
        assert np.diff(y) / np.diff(x) == pytest.approx(slope)
    assert bar.get_xlabel() == "test error, %"


def test_diverged_cells_are_crossed(make):
    rows = [
        make.trial(lr=0.1, wd=0.1, diverged=1),
        make.trial(lr=0.01, wd=0.1, seed=0, error=0.05),
        make.trial(lr=0.01, wd=0.1, seed=1, diverged=1),
        make.trial(lr=0.01, wd=0.0, error=0.04),
    ]
    found = heat_map_rows(make.frames(rows))
    texts = [text.get_text() for text in heat_map_figure(found).axes[0].texts]
    assert "×" in texts
    assert "5.0 ×" in texts
    assert "Of 4 trials, 2 diverged" in heat_map_seen(found)


@pytest.mark.parametrize("error", [0.0, 0.1])
@pytest.mark.parametrize("wd", [0.0, 0.1])
def test_one_cell_can_be_drawn(make, error, wd):
    found = heat_map_rows(make.frames([make.trial(wd=wd, error=error)]))
    heat_map_figure(found).draw_without_rendering()
    assert heat_map_seen(found)


def test_seen_compares_along_the_lines_with_all(make):
    rows = [
        make.trial(lr=0.01, wd=0.1, error=0.10),
        make.trial(lr=0.1, wd=0.01, error=0.13),  # the same product
        make.trial(lr=0.1, wd=0.1, error=0.20),
        make.trial(lr=0.1, wd=0.0, error=0.90),
    ]
    said = heat_map_seen(heat_map_rows(make.frames(rows)))
    assert "SGD 3 points at equal products and 10 over all its λ > 0" in said


def test_no_trials_make_no_rows(make):
    assert heat_map_rows(make.frames([])).is_empty()
