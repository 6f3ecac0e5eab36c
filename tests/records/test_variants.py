"""The names of settings in tables, and the settings behind the names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etaeff.errors import NoLawError, UnknownNameError, UsageError
from etaeff.records import MOMENTUM, OPTIMIZERS, VARIANTS, setting_of, variant
from etaeff.theory import Setting
from etaeff.theory.settings import OPTIMIZERS as KNOWN

TEXTS = (
    "sgd momentum=0.5",
    "sgd momentum=0.9 dampening=0.1",
    "sgd decay=decoupled",
    "rmsprop momentum=0.5 alpha=0.9",
    "adam betas=0.9,0.95",
)


@pytest.mark.parametrize("name", [*OPTIMIZERS, *KNOWN, *TEXTS])
def test_a_name_gives_the_setting_that_has_it(name):
    setting = setting_of(name, lr=0.1, wd=1e-3)
    assert (setting.lr, setting.wd) == (0.1, 1e-3)
    assert variant(setting) == name


def test_the_two_variants_of_sgd_have_the_usual_momentum():
    assert set(VARIANTS) == {"heavy-ball", "nesterov"}
    common = {"optimizer": "sgd", "lr": 0.1, "wd": 0.0, "momentum": MOMENTUM}
    assert setting_of("heavy-ball", lr=0.1) == Setting(**common)
    assert setting_of("nesterov", lr=0.1) == Setting(**common, nesterov=True)
    assert variant(Setting(**common, nesterov=False, dampening=0.0)) == "heavy-ball"
    assert variant(setting_of("heavy-ball", lr=0.1, momentum=0.8)) == "sgd momentum=0.8"


@given(st.floats(0.01, 0.99), st.booleans())
def test_two_settings_share_a_name_only_if_they_differ_in_rate_and_decay(momentum, nesterov):
    one = setting_of("sgd", lr=0.1, momentum=momentum, nesterov=nesterov)
    assert setting_of(variant(one), lr=0.1) == one


@pytest.mark.parametrize("name", ["nonsense", "", None, 1, "lr=1"])
def test_an_unknown_name_is_refused_with_all_that_are_known(name):
    with pytest.raises(UnknownNameError, match="Known: sgd, heavy-ball, nesterov, rmsprop, adam,"):
        setting_of(name, lr=0.1)


def test_an_optimizer_without_a_law_is_refused_with_the_reason():
    with pytest.raises(NoLawError, match="No law is derived for Adagrad"):
        setting_of("adagrad", lr=0.1)


def test_an_argument_that_the_optimizer_does_not_have_is_refused():
    with pytest.raises(UsageError, match="`adam` has no argument `momentum`"):
        setting_of("adam", lr=0.1, momentum=0.9)
