"""The functions of `theory` take a `Setting` or a name with keywords: the numbers are the same."""

import dataclasses

import numpy as np
import pytest

from etaeff.errors import UsageError
from etaeff.theory import (
    Setting,
    effective_lr,
    equilibrium,
    invariant,
    radius_power,
    schedule_law,
    steps_after_drop,
    timescale,
    trajectory,
    update_norm,
    usual_decay,
)
from etaeff.theory.settings import OPTIMIZERS

SIZES = {"dim": 50.0, "grad_norm_sq": 2.0}
OWN = {
    "sgd": {"momentum": 0.9, "nesterov": True},
    "rmsprop": {"alpha": 0.95, "momentum": 0.5},
    "adam": {"betas": (0.8, 0.95)},
    "adamw": {"betas": (0.8, 0.95)},
    "lion": {"betas": (0.8, 0.95)},
    "muon": {"momentum": 0.9, "nesterov": False, "adjust_lr_fn": "match_rms_adamw"},
    "normalized": {"momentum": 0.5},
    "nadam": {"betas": (0.8, 0.95), "momentum_decay": 0.01},
}
CASES = [
    (name, {**given, **decay})
    for name in OPTIMIZERS
    for given in ({}, OWN[name])
    for decay in ({}, *({"decay": decay} for decay in OPTIMIZERS[name].laws))
]


def same(one, other):
    """Equal to the last bit, arrays and what is missing too."""
    one, other = dataclasses.asdict(one), dataclasses.asdict(other)
    return all(np.array_equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(("name", "given"), CASES)
def test_a_setting_is_its_keywords(name, given):
    rates = {"lr": 1e-3, "wd": 0.1}
    setting = Setting(optimizer=name, **rates, **given)
    shape = {"shape": (16, 32)} if name == "muon" else {}
    block = SIZES | shape
    assert same(equilibrium(setting, **block), equilibrium(name, **rates, **given, **block))
    assert same(timescale(setting, **block), timescale(name, **rates, **given, **block))
    run = {"radius": 1.0, "steps": 5, **block}
    assert same(trajectory(setting, **run), trajectory(name, **rates, **given, **run))
    own = {key: value for key, value in given.items() if key != "decay"}
    assert update_norm(setting, **block) == update_norm(name, **own, **block)
    assert effective_lr(setting, radius=2.0) == effective_lr(name, lr=1e-3, radius=2.0)
    assert radius_power(setting) == radius_power(name)
    assert usual_decay(setting) == usual_decay(name)
    assert invariant(setting) == invariant(name, decay=given.get("decay"))
    run = {"lr": [0.1, 0.2], "wd": 0.1, "radius": 1.0, "grad_norm_sq": 1.0}
    assert np.array_equal(schedule_law(setting, **run), schedule_law(name, **run))
    if invariant(setting).lr_power == 1:
        drop = steps_after_drop(name, 10, **rates, **given, **shape)
        assert steps_after_drop(setting, 10, **shape) == drop


SGD = Setting(optimizer="sgd", lr=0.1, wd=5e-4, momentum=0.9)


@pytest.mark.parametrize(
    "ask", [equilibrium, timescale, lambda s, **own: trajectory(s, radius=1.0, steps=3, **own)]
)
@pytest.mark.parametrize(
    ("beside", "shown"),
    [
        ({"lr": 0.2}, "`lr` is 0.1 in the setting and 0.2 beside it."),
        ({"wd": 0.2}, "`wd` is 0.0005 in the setting and 0.2 beside it."),
        ({"momentum": 0.0}, "`momentum` is 0.9 in the setting and 0.0 beside it."),
    ],
)
def test_what_is_given_twice_and_differs_is_refused(ask, beside, shown):
    with pytest.raises(UsageError) as refused:
        ask(SGD, grad_norm_sq=1.0, **beside)
    assert str(refused.value) == (
        f"{shown} Give it once, or change the setting by `dataclasses.replace`."
    )


def test_what_is_given_twice_alike_or_only_beside_the_setting_is_taken():
    plain = equilibrium(SGD)
    assert equilibrium(SGD, lr=0.1, wd=5e-4, momentum=0.9) == plain
    decoupled = equilibrium(SGD, decay="decoupled")
    assert decoupled == equilibrium(dataclasses.replace(SGD, decay="decoupled"))
    assert decoupled.angle != plain.angle


def test_effective_lr_refuses_a_rate_that_differs():
    with pytest.raises(UsageError, match=r"^`lr` is 0\.1 in the setting and 1\.0 beside it\."):
        effective_lr(SGD, lr=1.0, radius=1.0)


@pytest.mark.parametrize("missing", ["lr", "wd"])
@pytest.mark.parametrize(
    "ask", [equilibrium, timescale, lambda s, **own: steps_after_drop(s, 2, **own)]
)
def test_a_name_alone_is_not_enough(ask, missing):
    given = {"lr": 0.1, "wd": 0.1}
    del given[missing]
    with pytest.raises(UsageError) as refused:
        ask("sgd", **given)
    assert str(refused.value) == (
        f"`{missing}` is needed, unless the first argument is a `Setting`."
    )


def test_a_schedule_takes_the_place_of_the_number_of_a_setting():
    lr, wd = np.linspace(0.1, 0.01, 7), np.linspace(0.0, 0.1, 7)
    run = {"radius": 1.0, "grad_norm_sq": 1.0}
    found = trajectory(SGD, lr=lr, wd=wd, **run)
    assert same(found, trajectory("sgd", lr=lr, wd=wd, momentum=0.9, **run))
    assert same(
        trajectory(SGD, lr=lr, **run), trajectory("sgd", lr=lr, wd=5e-4, momentum=0.9, **run)
    )
