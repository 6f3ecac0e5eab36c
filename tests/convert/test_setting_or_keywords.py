"""Conversions take a `Setting` or a name with keywords: the numbers are the same."""

import numpy as np
import pytest

from etaeff.convert import Setting, from_trajectory, to_sphere
from etaeff.errors import UsageError

SIZES = {"dim": 50.0, "grad_norm_sq": 2.0}
RATES = {"lr": 1e-2, "wd": 0.1}
CASES = [
    ("sgd", {"momentum": 0.9}),
    ("sgd", {"decay": "decoupled"}),
    ("rmsprop", {"alpha": 0.95}),
    ("adam", {"betas": (0.8, 0.95)}),
    ("adamw", {}),
    ("lion", {}),
    ("muon", {"momentum": 0.9, "adjust_lr_fn": "match_rms_adamw"}),
    ("normalized", {"momentum": 0.5}),
    ("nadam", {"betas": (0.8, 0.95), "decay": "decoupled"}),
]


@pytest.mark.parametrize(("name", "given"), CASES)
def test_the_sphere_of_a_setting_is_that_of_its_keywords(name, given):
    setting = Setting(optimizer=name, **RATES, **given)
    shape = {"shape": (4, 8)} if name == "muon" else {}
    one = to_sphere(setting, **SIZES, **shape)
    other = to_sphere(name, **RATES, **given, **SIZES, **shape)
    assert one.lr is not None
    assert (one.lr, one.momentum, one.angle, one.notes) == (
        other.lr, other.momentum, other.angle, other.notes,
    )  # fmt: skip


def test_a_schedule_takes_the_place_of_the_settings_rate_along_a_radius():
    setting = Setting(optimizer="sgd", lr=0.1, wd=0.01, momentum=0.5)
    run = {"lr": [0.1, 0.05, 0.02], "radius": [1.0, 1.1, 1.2]}
    one, other = to_sphere(setting, **run), to_sphere("sgd", wd=0.01, momentum=0.5, **run)
    assert np.array_equal(one.lr, other.lr)
    assert np.array_equal(one.momentum, other.momentum)
    with pytest.raises(UsageError, match=r"^`lr` is 0\.1 in the setting and 0\.2 beside it\."):
        to_sphere(setting, lr=0.2, radius=[1.0, 1.1])


def test_a_recorded_run_and_the_one_to_come_may_be_settings():
    source = Setting(optimizer="sgd", lr=0.1, wd=0.01, momentum=0.5)
    target = Setting(optimizer="adamw", lr=7.0, wd=3.0, betas=(0.8, 0.95))
    one = from_trajectory(source, target, radius=[1.0, 2.0], **SIZES)
    other = from_trajectory(
        "sgd",
        "adamw",
        lr=0.1,
        wd=0.01,
        radius=[1.0, 2.0],
        source_arguments={"momentum": 0.5},
        target_arguments={"betas": (0.8, 0.95)},
        **SIZES,
    )
    assert np.array_equal(one, other)


@pytest.mark.parametrize("name", ["rmsprop", "adam", "nadam"])
def test_a_recorded_run_whose_second_moment_holds_the_decay_is_refused(name):
    with pytest.raises(UsageError) as refused:
        from_trajectory(name, "sgd", **RATES, radius=[1.0, 2.0], **SIZES)
    assert str(refused.value) == (
        f"A run of `{name}` with L2 has no effective rate by itself: its second moment holds the "
        "decay."
    )
    free = from_trajectory(name, "sgd", lr=1e-2, wd=0.0, radius=[1.0, 2.0], **SIZES)
    assert np.all(free > 0)


@pytest.mark.parametrize(("name", "given"), CASES)
def test_only_buffers_that_add_up_steps_hand_their_momentum_to_the_sphere(name, given):
    shape = {"shape": (4, 8)} if name == "muon" else {}
    sphere = to_sphere(name, **RATES, **given, **SIZES, **shape)
    assert (sphere.momentum is not None) == (name in ("sgd", "rmsprop"))
