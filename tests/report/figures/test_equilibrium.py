import math

import pytest

from etaeff.report._figures._equilibrium import (
    equilibrium_figure,
    equilibrium_rows,
    equilibrium_seen,
    exponent,
)


def study(make, optimizer, power, slope, off=1.0):
    """η_eff goes as (η^power λ)^slope, but for a factor at the highest η."""
    return [
        make.trial(
            optimizer=optimizer, lr=lr, wd=product / lr**power, random_labels=0.5,
            effective_lr=(off if lr == 0.1 else 1.0) * product**slope,
        )
        for lr in (0.01, 0.1)
        for product in (1e-4, 1e-3)
    ]  # fmt: skip


@pytest.mark.parametrize(("optimizer", "power"), [("sgd", 1), ("adamw", 1), ("adam", 2)])
def test_product_and_exponent(make, optimizer, power):
    found = equilibrium_rows(make.frames(study(make, optimizer, power, 0.4)))
    assert sorted(found["product"]) == pytest.approx([1e-4, 1e-4, 1e-3, 1e-3])
    assert exponent(found) == pytest.approx(0.4)


def test_other_trials_are_left_out(make):
    rows = [
        make.trial(wd=0.1),
        make.trial(wd=0.1, random_labels=0.5, sphere=True),
        make.trial(wd=0.1, random_labels=0.5, optimizer="rmsprop"),
        make.trial(wd=0.0, random_labels=0.5),
        make.trial(wd=0.1, random_labels=0.5, diverged=2),
    ]
    assert equilibrium_rows(make.frames(rows)).is_empty()


def test_figure_has_the_predicted_slope(make):
    rows = study(make, "sgd", 1, 0.5) + study(make, "adam", 2, 1 / 3)
    figure = equilibrium_figure(equilibrium_rows(make.frames(rows)))
    for axes, title, slope, label in zip(
        figure.axes,
        ("SGD, slope ½", "Adam, slope ⅓"),
        (1 / 2, 1 / 3),
        (r"$\eta\lambda$", r"$\eta^2\lambda$"),
        strict=True,
    ):
        assert axes.get_title(loc="left") == title
        assert axes.get_xlabel() == label
        assert [text.get_text() for text in axes.get_legend().get_texts()] == [
            r"$\eta$ = 0.01",
            "0.1",
        ]
        (x0, x1), (y0, y1) = axes.lines[-1].get_data()
        assert math.log(y1 / y0) / math.log(x1 / x0) == pytest.approx(slope)


def test_seen_has_exponents_and_what_products_leave(make):
    said = equilibrium_seen(equilibrium_rows(make.frames(study(make, "sgd", 1, 0.5, off=2.0))))
    assert "SGD 0.5, with factors of up to 2 between η at equal products" in said


def test_one_product_has_no_exponent(make):
    row = make.trial(wd=0.1, random_labels=0.5)
    found = equilibrium_rows(make.frames([row]))
    assert math.isnan(exponent(found))
    equilibrium_figure(found).draw_without_rendering()
    assert "SGD not known" in equilibrium_seen(found)
