import pytest

from etaeff.report._axes import DIVERGED
from etaeff.report._figures._sphere import sphere_figure, sphere_rows, sphere_seen

WD = (0.0, 0.01, 0.1)


def study(make, **common):
    rows = make.settings(lr=(0.01, 0.1, 1.0), wd=WD) + make.settings(lr=(0.1,), wd=WD, seeds=3)
    rows += make.settings(sphere=(True,), lr=(0.3,), wd=WD, common=common)
    head = {"sphere": (True,), "decay_weights": (False,), "decay_head": (True,)}
    return rows + make.settings(**head, lr=(0.3,), wd=WD)


def test_each_arm_has_one_lr_and_all_wd(make):
    found = sphere_rows(make.frames(study(make)))
    arms = {
        arm: (own["lr"].unique().to_list(), own["wd"].to_list(), own["seeds"].unique().to_list())
        for (arm,), own in found.sort("wd").group_by("arm")
    }
    assert arms == {
        "free": ([0.1], list(WD), [3]),
        "sphere": ([0.3], list(WD), [2]),
        "head": ([0.3], list(WD), [2]),
    }


def test_optimisers_without_the_sphere_are_left_out(make):
    rows = study(make) + make.settings(optimizer=("adam",), wd=WD)
    assert sphere_rows(make.frames(rows))["optimizer"].unique().to_list() == ["sgd"]
    assert sphere_rows(make.frames(make.settings(wd=WD))).is_empty()
    assert sphere_rows(make.frames([])).is_empty()


def test_lines_and_their_names(make):
    figure = sphere_figure(sphere_rows(make.frames(study(make, error=0.2))))
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "SGD"
    assert r"$\eta$ = 0.1 free, 0.3 on the sphere" in [text.get_text() for text in axes.texts]
    means = {line.get_marker(): line for line in axes.lines if line.get_marker() in "os^"}
    # Without decay the last arm has the same trials, and its errors.
    assert means["o"].get_ydata().tolist() == pytest.approx([10.5, 20.0, 20.0])
    assert means["s"].get_ydata().tolist() == pytest.approx([11.0] * 3)
    assert means["^"].get_linewidth() < means["o"].get_linewidth()
    assert len(figure.legends[0].get_texts()) == 3


def test_diverged_trials_are_marked(make):
    found = sphere_rows(make.frames(study(make, diverged=1)))
    figure = sphere_figure(found)
    assert DIVERGED in [text.get_text() for text in figure.legends[0].get_texts()]
    assert DIVERGED in [line.get_label() for line in figure.axes[0].lines]


def test_seen_counts_shared_trials_once(make):
    said = sphere_seen(sphere_rows(make.frames(study(make))))
    assert "SGD 0 when free, 0 with ‖w‖ = 1 and 0 with ‖w‖ = 1 and λ on the head alone" in said
    # Three times three free, three times two on the sphere, twice two more on the head.
    assert "None of the 19 trials diverged" in said
