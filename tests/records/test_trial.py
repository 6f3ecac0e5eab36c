import copy
import json
import math
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.trials import changed

from etaeff.errors import EtaeffError, UnknownNameError, UsageError
from etaeff.records import (
    DECAYED_GAINS,
    MOMENTUM,
    NETWORKS,
    NORMS,
    OPTIMIZERS,
    SCHEDULES,
    TRIAL_COLUMNS,
    Arm,
    Task,
    Trial,
)
from etaeff.theory import Setting
from etaeff.theory.settings import OPTIMIZERS as KNOWN

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
TRIALS = st.fixed_dictionaries(FIELDS).map(lambda values: Trial.of(**values))


def trial(**changes):
    return Trial.of(**({"data": "digits", "train_size": 600, "lr": 0.1, "steps": 10} | changes))


def test_every_field_has_a_strategy():
    assert FIELDS.keys() == TRIAL_COLUMNS.keys()


def test_id_is_stable():
    # Results on disk are found by it: a change here orphans them all.
    assert trial().id == "fe08047b0bd24a51"
    changes = {"optimizer": "nesterov", "wd": 1e-3, "decay_head": True, "norm": "layer", "seed": 3}
    assert trial(**changes).id == "a8162f36c75a4440"


def test_the_defaults_are_part_of_what_an_id_means():
    # An id leaves them out: another default would give another run the same id.
    assert trial().values == {
        "data": "digits", "train_size": 600, "network": "mlp", "width": 64, "batch_size": 64,
        "steps": 10, "optimizer": "sgd", "lr": 0.1, "wd": 0.0, "norm": "batch", "sphere": False,
        "decay_weights": True, "decay_head": False, "decay_gains": "none", "lr_rest": None,
        "init_scale": 1.0, "random_labels": 0.0, "schedule": "constant", "seed": 0,
    }  # fmt: skip


def test_a_trial_is_four_plain_records_that_any_study_can_fill():
    one = Trial(
        task=Task(data="words", network="tiny-gpt", train_size=600, steps=10),
        setting=Setting(optimizer="adam", lr=1e-3, wd=0.1, betas=(0.9, 0.95)),
        arm=Arm(norm="layer", schedule="linear"),
        seed=4,
    )
    assert one == trial(
        data="words", network="tiny-gpt", optimizer="adam", lr=1e-3, wd=0.1, betas=(0.9, 0.95),
        norm="layer", schedule="linear", seed=4,
    )  # fmt: skip
    assert one.values["optimizer"] == "adam betas=0.9,0.95"
    assert one.momentum == 0.0
    assert trial(optimizer="muon").momentum == 0.95


def test_a_setting_may_be_given_in_full_or_by_name():
    full = {"optimizer": "sgd", "momentum": 0.9, "dampening": 0.0, "nesterov": False, "decay": "l2"}
    assert trial(**full) == trial(optimizer="heavy-ball")
    assert trial(**full).id == trial(optimizer="heavy-ball").id
    assert trial(optimizer="sgd", momentum=0.8).id != trial(optimizer="heavy-ball").id


def test_id_is_sixteen_hexadecimal_digits():
    assert len(trial().id) == 16
    assert int(trial().id, 16) >= 0


@settings(max_examples=30)
@given(TRIALS, st.data())
def test_id_differs_when_any_field_differs(one, data):
    for field, strategy in FIELDS.items():
        value = data.draw(strategy.filter(lambda v, f=field: v != one.values[f]), label=field)
        assert changed(one, **{field: value}).id != one.id


def test_without_decay_it_does_not_matter_what_it_would_act_on():
    one = trial(wd=0, decay_weights=False, decay_head=True, decay_gains="all")
    assert one == trial()
    assert one.id == trial().id
    assert trial(wd=1e-3, decay_head=True).id != trial(wd=1e-3).id


@given(TRIALS)
def test_trial_survives_the_disk_and_the_process_border(one):
    for again in (
        Trial.from_dict(json.loads(json.dumps(one.to_dict()))),
        Trial.of(**one.values),
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
        {"random_labels": -0.0},
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
    assert repr(one.values) == repr(other.values)  # the row of each is written alike too
    assert hash(one) == hash(other)


def test_trial_is_frozen():
    one = trial()
    for part, field in ((one, "seed"), (one.task, "steps"), (one.setting, "lr"), (one.arm, "norm")):
        with pytest.raises(FrozenInstanceError):
            setattr(part, field, 1)


@pytest.mark.parametrize(
    ("train_size", "batch_size", "steps"), [(600, 64, 9), (640, 64, 10), (64, 64, 1)]
)
def test_incomplete_batch_is_dropped(train_size, batch_size, steps):
    assert trial(train_size=train_size, batch_size=batch_size).task.steps_per_epoch == steps


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_momentum_is_that_of_the_optimizers_that_have_one(optimizer):
    expected = MOMENTUM if optimizer in ("heavy-ball", "nesterov") else 0.0
    assert trial(optimizer=optimizer).momentum == expected


@pytest.mark.parametrize(
    ("field", "known"),
    [
        ("norm", NORMS),
        ("optimizer", [*OPTIMIZERS, *(name for name in KNOWN if name not in OPTIMIZERS)]),
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
        ({"data": 3}, "`data` must be a name, got 3."),
        ({"network": None}, "`network` must be a name, got None."),
        ({"momentum": 1.5}, "`momentum` must lie in [0, 1), got 1.5."),
        (
            {"optimizer": "adam", "momentum": 0.9},
            "`adam` has no argument `momentum`; it takes `betas`.",
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
        Trial.from_dict(trial().to_dict() | {"warmup": 10})


@pytest.mark.parametrize("part", ["task", "setting", "arm"])
def test_from_dict_refuses_it_in_every_part(part):
    values = trial().to_dict()
    values[part] |= {"warmup": 10}
    with pytest.raises(UnknownNameError, match=f"^Unknown field of a trial's {part} 'warmup'"):
        Trial.from_dict(values)


def test_a_name_that_no_part_has_is_refused():
    with pytest.raises(UnknownNameError, match=r"^Unknown field of a trial 'warmup'"):
        trial(warmup=10)


def test_a_part_of_another_kind_is_refused():
    one = trial()
    with pytest.raises(UsageError, match=r"^`arm` must be a `Arm`, got 'batch'"):
        Trial(task=one.task, setting=one.setting, arm="batch")
    with pytest.raises(UsageError, match=r"^`setting` must be a `Setting`, got {'lr': 0.1}"):
        Trial(task=one.task, setting={"lr": 0.1})


def test_from_dict_fills_what_an_older_version_did_not_write():
    task = {"data": "digits", "train_size": 600, "steps": 10}
    setting = {"optimizer": "sgd", "lr": 0.1, "wd": 0.0}
    assert Trial.from_dict({"task": task, "setting": setting}) == trial()


@given(st.fixed_dictionaries(dict.fromkeys(("lr", "wd", "init_scale"), st.floats())))
def test_floats_are_accepted_or_refused_with_a_sentence(values):
    try:
        one = trial(**values)
    except EtaeffError:
        assert not all(0 < value < math.inf for value in values.values())
    else:
        assert "NaN" not in json.dumps(one.to_dict())
        assert "Infinity" not in json.dumps(one.to_dict())
