import math

import pytest

from etaeff.records import (
    TRIAL_COLUMNS,
    EpochRow,
    LayerRow,
    OutcomeRow,
    RescaleRow,
    StudyStore,
    Trial,
    TrialResults,
)
from etaeff.studies.judging._results import collect

EPOCHS = 20  # so the last tenth is two epochs
CLASSES = 4


def trial(**changes):
    common = {"data": "digits", "train_size": 60, "batch_size": 20, "lr": 0.1, "steps": 60}
    return Trial.of(**(common | {"width": 5} | changes))


def rows(own, *, diverged=None, value=lambda epoch, layer: epoch * layer):
    """All rows of a trial: `value` in every column of layers 1 and 2, the epoch as the losses."""
    names = ("conv1", "conv2", "conv3", "conv4") if own.task.network == "conv" else (
        "hidden1", "hidden2")  # fmt: skip
    epochs, layers = [], []
    for epoch in range(1, EPOCHS + 1):
        live = diverged is None or epoch < diverged
        loss = (1.0 * epoch, 2.0 * epoch, epoch / 100) if live else (None,) * 3
        epochs.append(EpochRow(own.id, epoch, 3 * epoch, *loss))
        for number, name in enumerate(names, 1):
            v = value(epoch, number) if live else None
            layers.append(LayerRow(own.id, epoch, name, *[v] * 5))
    change = RescaleRow(own.id, 2.0, 1e-5, 0.25 if diverged is None else None)
    return TrialResults([OutcomeRow(own.id, diverged, 1.5)], epochs, layers, [change])


@pytest.fixture
def collected(tmp_path):
    """Makes the results of a store with the rows of these trials."""

    def make(*trials, in_shape=(1, 8, 8)):
        path = tmp_path / "study.sqlite"
        with StudyStore.create(path, {}, [own.trial for own in map(_named, trials)]) as store:
            for one in map(_named, trials):
                store.add(one.rows)
            return collect(store, in_shape, CLASSES)

    return make


class _named:  # noqa: N801
    def __init__(self, given):
        self.trial, self.rows = given if isinstance(given, tuple) else (given, rows(given))


def test_final_values_are_means_over_the_last_tenth_of_the_epochs(collected):
    results = collected(trial())
    assert results.layers["radius"].to_list() == [19.5, 39.0]
    only = results.trials.row(0, named=True)
    assert only["train_loss"] == 19.5
    assert only["test_loss"] == 39.0
    assert only["test_error"] == pytest.approx(0.195)
    assert only["wall_seconds"] == 1.5
    assert only["diverged_epoch"] is None


def test_a_trials_radius_and_rate_are_geometric_means_over_its_layers(collected):
    only = collected(trial()).trials.row(0, named=True)
    for column in ("radius", "effective_lr", "angle", "grad_norm_sq"):
        assert only[column] == pytest.approx(19.5 * math.sqrt(2), rel=1e-12)


def test_the_last_tenth_is_of_each_trials_own_epochs(collected):
    short, long = trial(steps=15), trial(steps=60)
    few = rows(short)
    few = few._replace(
        epochs=[row for row in few.epochs if row.epoch <= 5],
        layers=[row for row in few.layers if row.epoch <= 5],
    )
    found = collected((short, few), (long, rows(long))).trials
    assert found["train_loss"].to_list() == [5.0, 19.5]


def test_a_diverged_trial_has_the_error_of_guessing_and_no_final_values(collected):
    fine, ill = trial(), trial(lr=9.0)
    results = collected((ill, rows(ill, diverged=20)), (fine, rows(fine)))
    first, second = results.trials.rows(named=True)
    assert first["trial"] == ill.id
    assert first["diverged_epoch"] == 20
    assert first["test_error"] == 0.75
    for column in ("train_loss", "test_loss", "radius", "effective_lr", "angle", "grad_norm_sq"):
        assert first[column] is None
        assert second[column] is not None
    assert results.layers["trial"].unique().to_list() == [fine.id]
    assert results.rescalings["change"].to_list() == [None, 0.25]
    # What it did before is kept.
    before = results.epochs.sort("epoch", "layer").row(0, named=True)
    assert before["radius"] is not None


def test_trials_that_all_diverged_are_collected(collected):
    ill = [trial(seed=seed) for seed in range(2)]
    results = collected(*((one, rows(one, diverged=1)) for one in ill))
    assert results.trials["test_error"].to_list() == [0.75, 0.75]
    assert results.trials["radius"].to_list() == [None, None]
    assert results.layers.is_empty()


def test_what_was_not_measured_is_left_out_of_the_mean(collected):
    own = trial()
    found = rows(own, value=lambda epoch, layer: None if epoch == 20 or layer == 2 else epoch)
    results = collected((own, found))
    assert results.layers["radius"].to_list() == [19.0, None]
    assert results.trials["radius"].to_list() == [pytest.approx(19.0)]


def test_a_rate_that_is_infinite_is_none(collected):
    own = trial()
    results = collected((own, rows(own, value=lambda epoch, layer: math.inf)))
    assert results.layers["effective_lr"].to_list() == [None, None]


@pytest.mark.parametrize(
    ("changes", "sizes"),
    [
        ({}, {"hidden1": 64, "hidden2": 5}),
        ({"norm": "layer"}, {"hidden1": 320, "hidden2": 25}),
        ({"network": "conv"}, {"conv1": 9, "conv2": 45, "conv3": 90, "conv4": 90}),
    ],
)
def test_layers_carry_the_size_of_their_blocks(collected, changes, sizes):
    layers = collected(trial(**changes)).layers
    assert dict(layers.select("layer", "block_size").rows()) == sizes


def test_trials_keep_their_order_whatever_finished_first(collected):
    trials = [trial(seed=seed) for seed in range(6)]
    assert collected(*reversed(trials)).trials["seed"].to_list() == [5, 4, 3, 2, 1, 0]


def test_trials_carry_their_specification_and_momentum(collected):
    given = [trial(lr_rest=0.5, optimizer="nesterov"), trial(sphere=True)]
    found = collected(*given).trials.rows(named=True)
    for one, row in zip(given, found, strict=True):
        assert {name: row[name] for name in TRIAL_COLUMNS} == one.values
    assert [row["momentum"] for row in found] == [0.9, 0.0]


def test_trials_carry_every_hyperparameter_with_torchs_defaults(collected):
    given = ({"optimizer": "nesterov"}, {"optimizer": "adam"}, {"betas": (0.5, 0.9)},
             {"decay": "decoupled"}, {"alpha": 0.9, "momentum": 0.5})  # fmt: skip
    names = ("sgd", "adam", "adamw", "sgd", "rmsprop")
    trials = [trial(**{"optimizer": name, **one}) for name, one in zip(names, given, strict=True)]
    columns = ("momentum", "nesterov", "betas", "alpha", "decay", "divides_decay")
    assert collected(*trials).trials.select(columns).rows() == [
        (0.9, True, None, None, "l2", False),
        (0.0, None, [0.9, 0.999], None, "l2", True),
        (0.0, None, [0.5, 0.9], None, "decoupled", False),
        (0.0, False, None, None, "decoupled", False),
        (0.5, None, None, 0.9, "l2", True),
    ]


def test_epochs_join_the_losses_to_every_layer(collected):
    epochs = collected(trial()).epochs
    assert len(epochs) == 2 * EPOCHS
    row = epochs.filter((epochs["epoch"] == 7) & (epochs["layer"] == "hidden2")).row(0, named=True)
    assert (row["step"], row["train_loss"], row["test_error"], row["radius"]) == (21, 7, 0.07, 14)


def test_a_part_of_the_results_is_the_rows_of_its_trials_alone(collected):
    trials = [trial(seed=seed, lr=lr) for seed in (0, 1, 2) for lr in (0.1, 0.2)]
    results = collected(*trials)
    by_seed = results.by_seed
    assert list(by_seed) == [0, 1, 2]
    for seed, own in by_seed.items():
        ids = {one.id for one in trials if one.seed == seed}
        for frame in (own.trials, own.layers, own.epochs, own.rescalings):
            assert set(frame["trial"]) == ids


def test_the_frames_that_tests_of_measures_make_have_the_columns_of_these(collected, schemas):
    fine, ill = trial(lr_rest=0.1), trial(lr=9.0)
    results = collected((fine, rows(fine)), (ill, rows(ill, diverged=3)))
    for name, schema in schemas.items():
        assert dict(getattr(results, name).schema) == schema
