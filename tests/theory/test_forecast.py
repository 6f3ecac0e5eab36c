"""A forecast against the laws that it puts together, called one by one or worked out by hand."""

import dataclasses
import math

import numpy as np
import pytest

from etaeff.errors import UnknownNameError, UsageError
from etaeff.theory import (
    PUBLISHED_SETTINGS,
    Setting,
    equilibrium,
    forecast,
    invariant,
    lr_schedule,
    published_rows,
    published_setting,
    timescale,
    trajectory,
)
from etaeff.theory._predicted_run import _named_steps

SGD = Setting.parse("sgd lr=0.1 wd=5e-4 momentum=0.9")
ADAMW = Setting.parse("adamw lr=3e-4 wd=0.1 betas=0.8,0.999")
ADAM = Setting.parse("adam lr=1e-3 wd=1e-4")
MUON = Setting.parse("muon lr=1e-3 wd=0.1")
PLAIN = (str, bool, int, float, type(None))


# Its parts


@pytest.mark.parametrize(
    ("setting", "block"),
    [
        (SGD, {"grad_norm_sq": 2.0}),
        (ADAMW, {"dim": 768.0}),
        (ADAM, {"dim": 100.0, "grad_norm_sq": 0.1}),
        (MUON, {"shape": (64, 256)}),
    ],
    ids=str,
)
def test_its_parts_are_those_of_the_laws(setting, block):
    seen = forecast(setting, **block, batch=128, data=50_000)
    arguments = setting.arguments() | block
    assert seen.equilibrium == equilibrium(setting.optimizer, **arguments)
    assert seen.timescale == timescale(setting.optimizer, batch=128, data=50_000, **arguments)
    assert seen.invariant == invariant(setting.optimizer)
    assert (seen.setting, seen.block, seen.run, seen.published) == (setting, block, None, None)
    assert seen.half_life_epochs == pytest.approx(seen.timescale.half_life * 128 / 50_000)
    assert seen.notes == seen.equilibrium.notes
    assert seen.warnings == ()


def test_the_decay_is_the_optimisers_own_unless_it_is_given():
    assert forecast(SGD).decay == "l2"
    assert forecast(ADAMW).decay == "decoupled"
    other = dataclasses.replace(SGD, decay="decoupled")
    assert forecast(other).decay == "decoupled"
    assert forecast(other).equilibrium.angle != forecast(SGD).equilibrium.angle


def test_it_is_a_frozen_value():
    with pytest.raises(dataclasses.FrozenInstanceError):
        forecast(SGD).decay = "l2"


def is_plain(value):
    """Whether JSON has it, NumPy's types being none of Python's."""
    if isinstance(value, dict):
        return all(type(key) is str and is_plain(part) for key, part in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return type(value) in PLAIN


@pytest.mark.parametrize("setting", [SGD, ADAMW, ADAM, MUON], ids=str)
def test_its_dict_has_plain_values(setting):
    for more in ({}, {"steps": 30, "schedule": "cosine"}, {"batch": 9.0, "data": 99.0}):
        assert is_plain(forecast(setting, **more).to_dict())
    assert is_plain(published_rows())


# The run


def test_a_run_is_the_trajectory_of_its_schedule():
    run = {"steps": 2000, "schedule": "cosine", "warmup": 100, "final": 0.01}
    seen = forecast(SGD, grad_norm_sq=2.0, radius=3.0, **run).run
    lr = lr_schedule("cosine", lr=0.1, steps=2000, warmup=100, final=0.01)
    path = trajectory("sgd", lr=lr, wd=5e-4, radius=3.0, momentum=0.9, grad_norm_sq=2.0)
    assert np.array_equal(seen.lr, lr)
    for name in ("radius", "angle", "effective_lr"):
        assert np.array_equal(getattr(seen.path, name), getattr(path, name))
        for point in seen.points:
            assert getattr(point, name) == getattr(path, name)[point.step]
    assert [(point.at, point.step) for point in seen.points] == [
        ("start", 0), ("warm-up ends", 100), ("25 %", 500), ("50 %", 1000), ("75 %", 1500),
        ("end", 1999),
    ]  # fmt: skip
    assert (seen.start, seen.relative) == ("given", False)
    for point in seen.points:  # plain heavy ball: θ⋆² = 2ηλ/(1 + μ)
        settled = math.sqrt(2 * lr[point.step] * 5e-4 / 1.9)
        assert point.angle_over_equilibrium == pytest.approx(point.angle / settled, rel=1e-3)


@pytest.mark.parametrize(
    ("setting", "block"), [(SGD, {"grad_norm_sq": 7.0}), (ADAMW, {"dim": 9.0})]
)
def test_without_sizes_a_run_is_in_shares_of_its_equilibrium(setting, block):
    shares = forecast(setting, steps=3000, schedule="linear").run
    whole = forecast(setting, steps=3000, schedule="linear", **block)
    assert (shares.relative, whole.run.relative) == (True, False)
    for share, point in zip(shares.points, whole.run.points, strict=True):
        assert share.angle == pytest.approx(point.angle, rel=1e-9)
        for name in ("radius", "effective_lr"):
            unit = float(getattr(whole.equilibrium, name))
            assert getattr(share, name) == pytest.approx(getattr(point, name) / unit, rel=1e-9)


def test_a_constant_run_from_equilibrium_stays_there():
    run = forecast(ADAMW, steps=5000).run
    assert (run.start, run.at_end, run.last_near) == ("equilibrium", True, 4999)
    assert run.points[-1].radius == pytest.approx(1, rel=1e-3)
    assert run.summary.startswith("The run ends at equilibrium: its last step turns 1.00 times as")


def test_a_run_that_never_settles_says_so():
    run = forecast(SGD, grad_norm_sq=1.0, radius=1.0, steps=10).run
    assert (run.at_end, run.last_near) == (False, None)
    assert run.summary.endswith("It was never within 10 % of it.")


def test_the_last_step_near_equilibrium_is_that_of_the_trajectory():
    run = forecast(SGD, steps=20_000, schedule="cosine").run
    lr = lr_schedule("cosine", lr=0.1, steps=20_000)
    path = trajectory("sgd", lr=lr, wd=5e-4, radius=3.344, momentum=0.9, grad_norm_sq=1 / 8)
    near = np.flatnonzero(abs(path.angle / np.sqrt(2 * lr * 5e-4 / 1.9) - 1) < 0.1)[-1]
    assert run.last_near == pytest.approx(near, abs=30)
    assert not run.at_end


@pytest.mark.parametrize(
    ("setting", "missing"), [(ADAM, "`dim` and `grad_norm_sq`"), (MUON, "`shape`")], ids=str
)
def test_a_run_without_a_scale_is_planned_and_not_followed(setting, missing):
    seen = forecast(setting, steps=10, schedule="cosine", final=1e-5)
    assert (seen.run.steps, seen.run.schedule, seen.run.final) == (10, "cosine", 1e-5)
    assert len(seen.run.lr) == 10
    assert seen.run.path is None
    assert set(list(seen.run.to_dict().values())[4:]) == {None}
    assert seen.notes[-1] == f"The run is not followed: that needs {missing}."


def test_named_steps_of_short_runs_are_told_once():
    assert list(_named_steps(1, 0).items()) == [("start", 0)]
    assert list(_named_steps(2, 0).items()) == [("start", 0), ("50 %", 1)]
    assert list(_named_steps(100, 50).items())[2:] == [
        ("warm-up ends", 50), ("75 %", 75), ("end", 99),
    ]  # fmt: skip


# In words


def test_a_run_that_ends_before_equilibrium_is_warned_of():
    # 4.32 half-lives: 1469 steps, as log2(20) ln 2 (1 − μ)/(4ηλ) has it to first order in ηλ.
    first_order = math.log(20) * 0.1 / (4 * 0.1 * 5e-4)
    assert math.ceil(forecast(SGD).timescale.settled) == pytest.approx(first_order, rel=0.03)
    assert forecast(SGD, steps=1000).warnings == (
        "Training ends before equilibrium: settling takes 1,469 steps at the peak learning rate, "
        "and the run has 1,000 (68 %), 469 too few.",
    )
    assert forecast(SGD, steps=1468).warnings
    assert forecast(SGD, steps=1469).warnings == ()
    assert forecast(ADAM, steps=10).warnings == ()  # its time is not known


@pytest.mark.parametrize(
    ("setting", "block", "part"),
    [
        (SGD, {}, "per step: with ηλ = 5e-05 it turns 0.4157° a step at equilibrium, whatever"),
        (ADAM, {}, "per step, through η²λ, as the scale of the gradient is divided out of the pen"),
        (ADAM, {}, "out of the penalty; eight times η²λ turns it twice as far. η/λ sets its radi"),
        (ADAM, {"dim": 100.0, "grad_norm_sq": 0.1}, "penalty: with 1e-10 it turns 0.05237° a ste"),
        (Setting.parse("sgd lr=1 wd=0.9"), {}, "at once: ηλ is too large to train with."),
    ],
    ids=str,
)
def test_it_says_what_wd_does(setting, block, part):
    assert part in forecast(setting, **block).meaning


# Published settings


@pytest.mark.parametrize("published", PUBLISHED_SETTINGS, ids=lambda published: published.name)
def test_every_published_setting_has_a_forecast(published):
    seen = forecast(published.setting, steps=100, schedule=published.schedule, published=published)
    assert seen.to_dict()["published"] == {
        name: getattr(published, name) for name in ("name", "model", "data", "source")
    }
    given = {
        name: getattr(published, name)
        for name in ("optimizer", "lr", "wd", "momentum", "nesterov", "betas")
    }
    assert {name: getattr(published.setting, name) for name in given} == given
    told = any("the recipe's own may differ in this." in note for note in seen.notes)
    assert told == (published.schedule != "constant")


def test_a_published_muon_has_the_rate_that_its_lr_is_for():
    assert published_setting("moonlight-16b").setting.adjust_lr_fn == "match_rms_adamw"
    assert published_setting("gpt3-175b").setting.adjust_lr_fn is None


def test_rows_of_published_settings_are_what_they_imply():
    rows = {row["name"]: row for row in published_rows()}
    assert list(rows) == [published.name for published in PUBLISHED_SETTINGS]
    gpt = rows["gpt3-175b"]
    assert gpt["angle"] == pytest.approx(math.sqrt(2 * 6e-6 * 0.1 / 1.9), rel=0.03)
    assert gpt["angle_degrees"] == pytest.approx(math.degrees(gpt["angle"]))
    assert gpt["settled"] == pytest.approx(gpt["half_life"] * math.log2(20))
    assert gpt["times_settled"] == pytest.approx(93_750 / gpt["settled"])
    for name, row in rows.items():
        seen = forecast(published_setting(name).setting)
        assert row["half_life"] == float(seen.timescale.half_life)
        assert row["angle"] == float(seen.equilibrium.angle)


# Refusals


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"schedule": "cosine"}, "schedule"),
        ({"warmup": 9}, "warmup"),
        ({"final": 0.1}, "final"),
        ({"radius": 2.0}, "radius"),
    ],
)
def test_what_only_a_run_has_needs_its_length(arguments, name):
    with pytest.raises(UsageError) as refused:
        forecast(SGD, **arguments)
    assert str(refused.value) == f"`{name}` is of a run, and needs `steps`, its length."


@pytest.mark.parametrize(
    ("setting", "arguments", "sentence"),
    [
        (SGD, {"steps": 9, "radius": 2.0}, "`grad_norm_sq` is needed for the run of `sgd`."),
        (SGD, {"steps": 0}, "`steps` must be a whole number from 1 on, got 0."),
        (SGD, {"shape": (3, 2)}, "`sgd` has no argument `shape`;"),
        (SGD, {"batch": 9}, "`batch` and `data` must be given together:"),
        (dataclasses.replace(SGD, wd=0.0), {}, "`wd` must be positive and finite, got 0.0."),
    ],
    ids=str,
)
def test_what_a_law_refuses_the_forecast_refuses(setting, arguments, sentence):
    with pytest.raises(UsageError) as refused:
        forecast(setting, **arguments)
    assert str(refused.value).startswith(sentence)


def test_names_that_are_not_known_are_refused():
    with pytest.raises(UnknownNameError, match=r"^Unknown optimizer 'adm'\."):
        forecast(dataclasses.replace(SGD, optimizer="adm"))
    with pytest.raises(UnknownNameError, match=r"^Unknown schedule 'cosin'\."):
        forecast(SGD, steps=9, schedule="cosin")
