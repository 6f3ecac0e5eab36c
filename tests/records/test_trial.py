import copy
import json
import math
import pickle
from dataclasses import FrozenInstanceError, asdict, fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etaeff.errors import EtaeffError, UnknownNameError, UsageError
from etaeff.records import DECAYED_GAINS, MOMENTUM, NETWORKS, NORMS, OPTIMIZERS, SCHEDULES, Trial

POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
FIELDS = {
    "data": st.text(max_size=8),
    "train_size": st.integers(min_value=1000, max_value=10**6),
    "network": st.sampled_from(NETWORKS),
    "width": st.integers(min_value=1, max_value=10**6),
    "norm": st.sampled_from([norm for norm in NORMS if norm != "none"]),
    "optimizer": st.sampled_from(OPTIMIZERS),
    "lr": POSITIVE,
    "lr_rest": st.none() | POSITIVE,
    "wd": POSITIVE,
    "sphere": st.booleans(),
    "decay_weights": st.booleans(),
    "decay_head": st.booleans(),
    "decay_gains": st.sampled_from(DECAYED_GAINS),
    "init_scale": POSITIVE,
    "random_labels": st.floats(min_value=0, max_value=1),
    "schedule": st.sampled_from(SCHEDULES),
    "steps": st.integers(min_value=1, max_value=10**9),
    "batch_size": st.integers(min_value=1, max_value=1000),
    "seed": st.integers(),
}
TRIALS = st.fixed_dictionaries(FIELDS).map(lambda values: Trial(**values))


def trial(**changes):
    return Trial(**({"data": "digits", "train_size": 600, "lr": 0.1, "steps": 10} | changes))


def test_every_field_has_a_strategy():
    assert list(FIELDS) == [field.name for field in fields(Trial)]


def test_id_is_stable():
    # Results on disk are found by it: a change here orphans them all.
    assert trial().id == "8b33240ec292ed97"


def test_id_is_sixteen_hexadecimal_digits():
    assert len(trial().id) == 16
    assert int(trial().id, 16) >= 0


@settings(max_examples=30)
@given(TRIALS, st.data())
def test_id_differs_when_any_field_differs(one, data):
    for field, strategy in FIELDS.items():
        value = data.draw(strategy.filter(lambda v, f=field: v != getattr(one, f)), label=field)
        assert replace(one, **{field: value}).id != one.id


def test_without_decay_it_does_not_matter_what_it_would_act_on():
    one = trial(wd=0, decay_weights=False, decay_head=True, decay_gains="all")
    assert one == trial()
    assert one.id == trial().id
    assert trial(wd=1e-3, decay_head=True).id != trial(wd=1e-3).id


@given(TRIALS)
def test_trial_survives_the_disk_and_the_process_border(one):
    for again in (
        Trial.from_dict(json.loads(json.dumps(asdict(one)))),
        pickle.loads(pickle.dumps(one)),
        copy.deepcopy(one),
    ):
        assert again == one
        assert again.id == one.id


@pytest.mark.parametrize(
    "same",
    [
        {"lr": 1},
        {"lr": np.float64(1)},
        {"lr": np.float32(1)},
        {"wd": 0},
        {"wd": -0.0},
        {"random_labels": False},
        {"steps": np.int64(10)},
        {"seed": False},
        {"sphere": 0},
        {"sphere": np.False_},
    ],
)
def test_equal_trials_have_equal_ids(same):
    one, other = trial(lr=1.0), trial(**{"lr": 1.0} | same)
    assert one == other
    assert one.id == other.id
    assert hash(one) == hash(other)


def test_trial_is_frozen():
    with pytest.raises(FrozenInstanceError):
        trial().lr = 1.0


@pytest.mark.parametrize(
    ("train_size", "batch_size", "steps"), [(600, 64, 9), (640, 64, 10), (64, 64, 1)]
)
def test_incomplete_batch_is_dropped(train_size, batch_size, steps):
    assert trial(train_size=train_size, batch_size=batch_size).steps_per_epoch == steps


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_momentum_is_that_of_the_optimizers_that_have_one(optimizer):
    expected = MOMENTUM if optimizer in ("heavy-ball", "nesterov") else 0.0
    assert trial(optimizer=optimizer).momentum == expected


@pytest.mark.parametrize(
    ("field", "known"),
    [
        ("network", NETWORKS),
        ("norm", NORMS),
        ("optimizer", OPTIMIZERS),
        ("schedule", SCHEDULES),
        ("decay_gains", DECAYED_GAINS),
    ],
)
@pytest.mark.parametrize("value", ["nonsense", None, 1])
def test_unknown_choice_is_refused(field, known, value):
    with pytest.raises(UnknownNameError) as caught:
        trial(**{field: value})
    assert str(caught.value).startswith(f"Unknown {field} '{value}'. Known: {', '.join(known)}.")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"train_size": 0}, "`train_size` must be at least 1, got 0."),
        ({"width": 0}, "`width` must be at least 1, got 0."),
        ({"steps": -5}, "`steps` must be at least 1, got -5."),
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0."),
        ({"steps": 1.5}, "`steps` must be an integer, got 1.5."),
        ({"width": None}, "`width` must be an integer, got None."),
        ({"seed": "a"}, "`seed` must be an integer, got 'a'."),
        ({"lr": 0.0}, "`lr` must be positive and finite, got 0.0."),
        ({"lr": -0.1}, "`lr` must be positive and finite, got -0.1."),
        ({"lr": math.nan}, "`lr` must be positive and finite, got nan."),
        ({"lr": math.inf}, "`lr` must be positive and finite, got inf."),
        ({"lr": None}, "`lr` must be a number, got None."),
        ({"lr": "fast"}, "`lr` must be a number, got 'fast'."),
        ({"lr_rest": 0.0}, "`lr_rest` must be positive and finite, got 0.0."),
        ({"init_scale": math.inf}, "`init_scale` must be positive and finite, got inf."),
        ({"wd": -1e-4}, "`wd` must be zero or positive and finite, got -0.0001."),
        ({"wd": math.nan}, "`wd` must be zero or positive and finite, got nan."),
        ({"wd": math.inf}, "`wd` must be zero or positive and finite, got inf."),
        ({"random_labels": 1.1}, "`random_labels` must lie in [0, 1], got 1.1."),
        ({"random_labels": math.nan}, "`random_labels` must lie in [0, 1], got nan."),
        (
            {"sphere": True, "norm": "none"},
            "`sphere` needs a normalised network, got `norm` 'none'.",
        ),
        ({"batch_size": 601}, "`batch_size` must be at most `train_size`, got 601 and 600."),
    ],
)
def test_refusals(changes, sentence):
    with pytest.raises(UsageError) as caught:
        trial(**changes)
    assert str(caught.value) == sentence


def test_from_dict_refuses_what_a_newer_version_may_write():
    with pytest.raises(UnknownNameError, match=r"^Unknown field of a trial 'warmup'\. Known"):
        Trial.from_dict(asdict(trial()) | {"warmup": 10})


def test_from_dict_fills_what_an_older_version_did_not_write():
    assert Trial.from_dict({"data": "digits", "train_size": 600, "lr": 0.1, "steps": 10}) == trial()


@given(st.fixed_dictionaries(dict.fromkeys(("lr", "wd", "init_scale"), st.floats())))
def test_floats_are_accepted_or_refused_with_a_sentence(values):
    try:
        one = trial(**values)
    except EtaeffError:
        assert not all(0 < value < math.inf for value in values.values())
    else:
        assert "NaN" not in json.dumps(asdict(one))
        assert "Infinity" not in json.dumps(asdict(one))
