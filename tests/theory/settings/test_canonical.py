"""`canonical`: one form for all settings that mean the same, and a sentence for what is none."""

import math
from dataclasses import replace

import numpy as np
import pytest

from etaeff.errors import NoLawError, UnknownNameError, UsageError
from etaeff.theory import Setting
from etaeff.theory.settings import OPTIMIZERS, canonical


def setting(optimizer="sgd", **changes):
    return Setting(**({"optimizer": optimizer, "lr": 0.1, "wd": 1e-3} | changes))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_torchs_defaults_may_be_given_or_not(name):
    row = OPTIMIZERS[name]
    given = {key: value for key, value in row.defaults.items() if key != "shape"}
    full = canonical(setting(name, **given, decay=row.usual_decay))
    assert full == canonical(setting(name)) == setting(name)
    assert str(full) == f"{name} lr=0.1 wd=0.001"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"lr": 1}, {"lr": 1.0}),
        ({"lr": np.float32(0.5)}, {"lr": 0.5}),
        ({"lr": np.array(0.5)}, {"lr": 0.5}),
        ({"wd": -0.0}, {"wd": 0}),
        ({"momentum": np.float64(0.5)}, {"momentum": 0.5}),
        ({"momentum": -0.0}, {}),
        ({"momentum": 0.5, "nesterov": np.True_}, {"momentum": 0.5, "nesterov": True}),
        (
            {"optimizer": "adam", "betas": [np.float64(0.5), -0.0]},
            {"optimizer": "adam", "betas": (0.5, 0.0)},
        ),
        ({"optimizer": "adam", "decay": "decoupled"}, {"optimizer": "adamw"}),
    ],
)
def test_equal_settings_have_one_text(one, other):
    first, second = canonical(setting(**one)), canonical(setting(**other))
    assert first == second
    assert repr(first) == repr(second)
    assert canonical(first) == first


@pytest.mark.parametrize(
    "changes",
    [
        {"momentum": 0.5},
        {"momentum": 0.5, "nesterov": True},
        {"dampening": 0.1},
        {"decay": "decoupled"},
        {"optimizer": "rmsprop", "alpha": 0.9},
        {"optimizer": "adam", "betas": (0.9, 0.95)},
    ],
)
def test_what_differs_from_torchs_default_stays(changes):
    assert canonical(setting(**changes)) == setting(**changes)
    assert canonical(replace(setting(**changes), lr=0.2)).lr == 0.2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lr": "fast"}, "`lr` must be a number, got 'fast'."),
        ({"lr": None}, "`lr` must be a number, got None."),
        ({"lr": 0}, "`lr` must be positive and finite, got 0.0."),
        ({"lr": math.inf}, "`lr` must be positive and finite, got inf."),
        ({"wd": -1e-4}, "`wd` must be zero or positive and finite, got -0.0001."),
        ({"wd": math.nan}, "`wd` must be zero or positive and finite, got nan."),
        ({"momentum": 1.0}, "`momentum` must lie in [0, 1), got 1.0."),
        ({"nesterov": 1}, "`nesterov` must be True or False, got 1."),
        (
            {"betas": (0.9, 0.99)},
            "`sgd` has no argument `betas`; it takes `momentum`, `dampening`, `nesterov`.",
        ),
    ],
)
def test_each_refusal_is_a_sentence_that_names_the_field(changes, sentence):
    with pytest.raises(UsageError) as refused:
        canonical(setting(**changes))
    assert str(refused.value) == sentence


def test_an_array_is_no_single_number():
    with pytest.raises(UsageError, match=r"^`momentum` must be one number in \[0, 1\), got"):
        canonical(setting(momentum=np.array([0.5, 0.9])))
    with pytest.raises(UsageError, match=r"^`lr` must be a number, got array"):
        canonical(setting(lr=np.array([0.5, 0.9])))


def test_an_optimizer_without_a_law_is_refused_by_its_name():
    with pytest.raises(NoLawError, match="Adagrad"):
        canonical(setting("adagrad"))
    with pytest.raises(UnknownNameError, match="nonsense"):
        canonical(setting("nonsense"))
