"""The published settings: what the sources say, and that each is a setting the theory takes."""

import dataclasses

import numpy as np
import pytest

from etaeff.errors import UnknownNameError
from etaeff.theory import (
    PUBLISHED_SETTINGS,
    SCHEDULES,
    equilibrium,
    lr_schedule,
    published_setting,
    timescale,
)

NAMES = [setting.name for setting in PUBLISHED_SETTINGS]
each = pytest.mark.parametrize("setting", PUBLISHED_SETTINGS, ids=NAMES)
# As the sources have them: learning rate, decay, batch.
SPOT = {
    "resnet50-imagenet": (0.1, 1e-4, 256),
    "resnet50-imagenet-8k": (0.1 * 8192 / 256, 1e-4, 8192),
    "resnet50-imagenet-v2": (0.5, 2e-5, 1024),
    "resnet-cifar10": (0.1, 1e-4, 128),
    "wrn-28-10-cifar10": (0.1, 5e-4, 128),
    "pytorch-cifar": (0.1, 5e-4, 128),
    "vit-b16-imagenet": (3e-3, 0.3, 4096),
    "vit-b16-imagenet-lion": (1e-4, 10.0, 4096),
    "deit-b-imagenet": (5e-4 * 1024 / 512, 0.05, 1024),
    "swin-t-imagenet": (5e-4 * 1024 / 512, 0.05, 1024),
    "convnext-t-imagenet": (4e-3, 0.05, 4096),
    "mae-vit-l16-imagenet": (1.5e-4 * 4096 / 256, 0.05, 4096),
    "bert-base": (1e-4, 0.01, 256),
    "gpt3-small": (6e-4, 0.1, 500_000),
    "gpt3-175b": (0.6e-4, 0.1, 3_200_000),
    "gpt2-124m-nanogpt": (6e-4, 0.1, 491_520),
    "llama-7b": (3e-4, 0.1, 4_000_000),
    "pythia-160m": (6e-4, 0.1, 2_097_152),
    "olmo-1b": (4e-4, 0.1, 4_194_304),
    "moonlight-16b": (4.2e-4, 0.1, 4096),
}
EPOCHS = {
    "resnet50-imagenet": 90,
    "resnet50-imagenet-8k": 90,
    "resnet50-imagenet-v2": 600,
    "wrn-28-10-cifar10": 200,
    "pytorch-cifar": 200,
    "vit-b16-imagenet": 300,
    "vit-b16-imagenet-lion": 300,
    "deit-b-imagenet": 300,
    "swin-t-imagenet": 300,
    "convnext-t-imagenet": 300,
    "mae-vit-l16-imagenet": 800,
}
TOKENS = {"gpt3-small": 300e9, "gpt3-175b": 300e9, "llama-7b": 1e12, "pythia-160m": 300e9}


def own(setting):
    """The arguments of `equilibrium` that the setting has."""
    names = ("momentum", "betas", "nesterov")
    return {n: getattr(setting, n) for n in names if getattr(setting, n) is not None}


@each
def test_every_setting_has_an_equilibrium(setting):
    inputs = {"muon": {"shape": (256, 1024)}, "sgd": {"grad_norm_sq": 1.0}}
    found = equilibrium(
        setting.optimizer,
        lr=setting.lr,
        wd=setting.wd,
        **own(setting),
        **inputs.get(setting.optimizer, {"dim": 1024}),
    )
    assert found.radius > 0
    assert 0 < found.angle < 0.1
    assert found.regime == "slow"
    assert found.notes == ()


@each
def test_every_setting_says_what_its_optimizer_needs_and_no_more(setting):
    adaptive = setting.optimizer in ("adam", "adamw", "lion")
    assert (setting.betas is not None) == adaptive
    assert (setting.momentum is None) == adaptive
    assert (setting.nesterov is not None) == (setting.optimizer in ("sgd", "muon"))
    assert setting.schedule in SCHEDULES
    assert lr_schedule(setting.schedule, lr=setting.lr, steps=10)[0] == setting.lr
    assert setting.batch_unit in ("images", "sequences", "tokens")
    assert all((setting.model, setting.data, setting.source))


@each
def test_every_setting_has_the_numbers_of_its_source(setting):
    expected = pytest.approx(SPOT[setting.name], rel=1e-12)
    assert (setting.lr, setting.wd, setting.batch) == expected


@each
def test_epochs_times_batches_are_the_steps(setting):
    if setting.name in EPOCHS:
        whole = setting.steps * setting.batch / setting.examples
        assert whole == pytest.approx(EPOCHS[setting.name], rel=4e-3)
    if setting.name in TOKENS:
        assert setting.steps * setting.batch == pytest.approx(TOKENS[setting.name], rel=1e-3)


@each
def test_every_setting_remembers_less_than_its_whole_run_or_says_how_much_more(setting):
    """τ as a share of the run: a recipe in which decay plays no part would stand out."""
    share = timescale(
        setting.optimizer,
        lr=setting.lr,
        wd=setting.wd,
        batch=setting.batch,
        data=setting.steps * setting.batch,
        **own(setting),
    ).memory_epochs
    assert share == pytest.approx(1 / (setting.lr * setting.wd * setting.steps), rel=1e-12)
    assert 1e-3 < share < 5


def test_names_are_unique_and_find_their_setting():
    assert len(set(NAMES)) == len(NAMES)
    assert set(NAMES) == set(SPOT)
    for setting in PUBLISHED_SETTINGS:
        assert published_setting(setting.name) is setting


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PUBLISHED_SETTINGS[0].lr = 1.0
    assert isinstance(PUBLISHED_SETTINGS, tuple)


def test_optimizers_other_than_adamw_are_among_them():
    optimizers = {setting.optimizer for setting in PUBLISHED_SETTINGS}
    assert {"sgd", "adamw", "lion", "muon"} <= optimizers


def test_eight_thousand_images_a_step_have_the_decay_and_32_times_the_rate_of_256():
    small, large = published_setting("resnet50-imagenet"), published_setting("resnet50-imagenet-8k")
    assert large.lr / small.lr == pytest.approx(large.batch / small.batch, rel=1e-12)
    times = [
        timescale("sgd", lr=s.lr, wd=s.wd, batch=s.batch, data=s.examples).memory_epochs
        for s in (small, large)
    ]
    assert np.ptp(times) < 1e-9 * times[0]


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UnknownNameError) as refused:
        published_setting("bert-bass")
    known = ", ".join(NAMES)
    assert str(refused.value) == (
        f"Unknown published setting 'bert-bass'. Known: {known}. Did you mean 'bert-base'?"
    )
