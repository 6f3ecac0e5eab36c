import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etaeff.errors import UnknownNameError, UsageError
from etaeff.theory import Setting, equilibrium

KNOWN = "lr, wd, momentum, dampening, nesterov, betas, alpha, decay, adjust_lr_fn, momentum_decay"
NUMBER = st.floats(1e-300, 1e300)
SHARE = st.floats(0, 1)
SETTINGS = st.builds(
    Setting,
    optimizer=st.sampled_from(
        ["sgd", "rmsprop", "adam", "adamw", "lion", "muon", "normalized", "nadam"]
    ),
    lr=NUMBER,
    wd=NUMBER,
    momentum=st.none() | SHARE,
    dampening=st.none() | SHARE,
    nesterov=st.none() | st.booleans(),
    betas=st.none() | st.tuples(SHARE, SHARE),
    alpha=st.none() | SHARE,
    momentum_decay=st.none() | NUMBER,
    decay=st.sampled_from([None, "l2", "decoupled"]),
)


def test_every_part_of_a_setting_is_read():
    text = (
        "sgd lr=0.1 wd=5e-4 momentum=.9 dampening=0.25 nesterov=True betas=0.9,0.95 alpha=0.5 "
        "decay=decoupled adjust_lr_fn=original momentum_decay=4e-3"
    )
    assert dataclasses.asdict(Setting.parse(text)) == {
        "optimizer": "sgd",
        "lr": 0.1,
        "wd": 5e-4,
        "momentum": 0.9,
        "dampening": 0.25,
        "nesterov": True,
        "betas": (0.9, 0.95),
        "alpha": 0.5,
        "decay": "decoupled",
        "adjust_lr_fn": "original",
        "momentum_decay": 4e-3,
    }


def test_what_is_not_said_is_left_to_torch():
    setting = Setting.parse("  adamw   weight_decay=1\tlr=2 nesterov=FALSE ")
    assert setting == Setting(optimizer="adamw", lr=2.0, wd=1.0, nesterov=False)
    assert setting.arguments() == {"lr": 2.0, "wd": 1.0, "nesterov": False}
    assert str(setting) == "adamw lr=2 wd=1 nesterov=false"


def test_arguments_are_those_of_equilibrium():
    setting = Setting.parse("sgd lr=0.1 wd=5e-4 momentum=0.9")
    found = equilibrium(setting.optimizer, **setting.arguments())
    assert found.angle == equilibrium("sgd", lr=0.1, wd=5e-4, momentum=0.9).angle


@given(SETTINGS)
def test_reading_what_was_written_is_the_identity(setting):
    back = Setting.parse(str(setting))
    assert back == setting


def test_a_share_just_below_one_does_not_become_one():
    setting = Setting(optimizer="sgd", lr=0.1, wd=0.1, momentum=1 - 1e-14)
    assert Setting.parse(str(setting)).momentum < 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "A setting begins with the optimizer, as in 'sgd lr=0.1 wd=5e-4'; got ''."),
        ("  ", "A setting begins with the optimizer, as in 'sgd lr=0.1 wd=5e-4'; got '  '."),
        (
            "lr=0.1 wd=1",
            "A setting begins with the optimizer, as in 'sgd lr=0.1 wd=5e-4'; got 'lr=0.1 wd=1'.",
        ),
        ("sgd", "The setting 'sgd' says no lr and no wd."),
        ("sgd lr=1", "The setting 'sgd lr=1' says no wd."),
        ("sgd wd=1", "The setting 'sgd wd=1' says no lr."),
        ("sgd lr 1", "A part of a setting reads name=value; got 'lr'."),
        ("sgd lr= 1", "A part of a setting reads name=value; got 'lr='."),
        ("sgd lr=1 wd=1 lr=2", "`lr` stands twice in the setting 'sgd lr=1 wd=1 lr=2'."),
        (
            "sgd lr=1 wd=1 weight_decay=1",
            "`wd` stands twice in the setting 'sgd lr=1 wd=1 weight_decay=1'.",
        ),
        ("sgd lr=one wd=1", "`lr` must be a number, got 'one'."),
        ("sgd lr=1=1 wd=1", "`lr` must be a number, got '1=1'."),
        ("sgd lr=1 wd=1 momentum=0,9", "`momentum` must be a number, got '0,9'."),
        ("sgd lr=1 wd=1 nesterov=yes", "`nesterov` must be true or false, got 'yes'."),
        (
            "adamw lr=1 wd=1 betas=0.9",
            "`betas` must be two numbers with a comma between, got '0.9'.",
        ),
        (
            "adamw lr=1 wd=1 betas=0.9,0.95,0.99",
            "`betas` must be two numbers with a comma between, got '0.9,0.95,0.99'.",
        ),
        (
            "adamw lr=1 wd=1 betas=0.9,x",
            "`betas` must be two numbers with a comma between, got '0.9,x'.",
        ),
    ],
)
def test_what_is_no_setting_is_refused_in_a_sentence(text, sentence):
    with pytest.raises(UsageError) as refused:
        Setting.parse(text)
    assert str(refused.value) == sentence


def test_an_unknown_part_lists_the_known_ones():
    with pytest.raises(UnknownNameError) as refused:
        Setting.parse("sgd lr=1 wd=1 momentun=0.9")
    assert str(refused.value) == (
        f"Unknown part of a setting 'momentun'. Known: {KNOWN}. Did you mean 'momentum'?"
    )
    with pytest.raises(UnknownNameError, match=r"^Unknown part of a setting 'optimizer'"):
        Setting.parse("sgd lr=1 wd=1 optimizer=sgd")
