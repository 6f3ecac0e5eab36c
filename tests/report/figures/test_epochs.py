import polars as pl
import pytest

from etaeff.report._figures._epochs import epochs_figure, epochs_rows, epochs_seen

GRID = {"lr": (0.1,), "wd": (0.0, 0.01, 0.1)}


def test_rows_are_geometric_means_over_layers_and_seeds(make):
    rows = make.trials(*make.settings(**GRID))
    epochs = make.epochs(rows, epochs=2)
    first = pl.col("trial") == rows["trial"][0]
    epochs = epochs.with_columns(
        radius=pl.when(first & (pl.col("layer") == "hidden1")).then(16.0).otherwise("radius")
    )
    found = epochs_rows(make.frames(rows, epochs=epochs))
    assert found.select("wd", "epoch").rows() == [(wd, e) for wd in GRID["wd"] for e in (1, 2)]
    row = found.row(0, named=True)  # one of two layers of one of two seeds has 16
    assert row["radius"] == pytest.approx(2.0)
    assert (row["radius_low"], row["radius_high"]) == pytest.approx((1.0, 4.0))
    assert found["radius"].to_list()[2:] == pytest.approx([1.0] * 4)


def test_other_arms_and_dead_epochs_are_left_out(make):
    rows = make.trials(*make.settings(sphere=(False, True), **GRID), make.trial(optimizer="adam"))
    epochs = make.epochs(rows, epochs=1)
    dead = epochs.with_columns(epoch=pl.lit(2, pl.Int64), radius=pl.lit(0.0))
    found = epochs_rows(make.frames(rows, epochs=pl.concat([epochs, dead])))
    assert found["epoch"].to_list() == [1, 1, 1]


def test_figure_has_a_line_for_each_wd_and_quantity(make):
    figure = epochs_figure(epochs_rows(make.frames(make.settings(**GRID))))
    assert [axes.get_ylabel() for axes in figure.axes] == [
        r"radius $\|w\|$",
        r"effective learning rate $\eta_{\mathrm{eff}}$",
    ]
    assert all(len(axes.lines) == 3 and axes.get_yscale() == "log" for axes in figure.axes)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [r"$\lambda$ = 0", "0.01", "0.1"]


def test_seen_has_first_and_last_epoch(make):
    said = epochs_seen(epochs_rows(make.frames(make.settings(**GRID))))
    assert said.startswith("η = 0.1.")
    assert "at λ = 0.01 ‖w‖ from 1 to 1 and η_eff from 0.1 to 0.1" in said


def test_no_trials_make_no_rows(make):
    assert epochs_rows(make.frames([])).is_empty()
