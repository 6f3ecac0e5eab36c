"""`invariant`: the product that it names, and that nothing but it fixes the turn of a step."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from etaeff.errors import UnknownNameError, UsageError
from etaeff.theory import Invariant, equilibrium, invariant, trajectory

ETA_LAMBDA, ETA_SQUARED_LAMBDA = Invariant(1, 1), Invariant(2, 1)
TABLE = {
    ("sgd", "l2"): ETA_LAMBDA,
    ("sgd", "decoupled"): ETA_LAMBDA,
    ("rmsprop", "l2"): ETA_SQUARED_LAMBDA,
    ("rmsprop", "decoupled"): ETA_LAMBDA,
    ("adam", "l2"): ETA_SQUARED_LAMBDA,
    ("adam", "decoupled"): ETA_LAMBDA,
    ("adamw", "decoupled"): ETA_LAMBDA,
    ("lion", "decoupled"): ETA_LAMBDA,
    ("muon", "decoupled"): ETA_LAMBDA,
    ("normalized", "decoupled"): ETA_LAMBDA,
}
USUAL = {"sgd": "l2", "rmsprop": "l2", "adam": "l2"}
OTHERS = [
    ("sgd", {"momentum": 0.9}),
    ("sgd", {"momentum": 0.9, "nesterov": True}),
    ("sgd", {"momentum": 0.5, "dampening": 0.5}),
    ("adam", {"betas": (0.5, 0.99)}),
    ("rmsprop", {"momentum": 0.9}),
    ("normalized", {"momentum": 0.9}),
]
CASES = [(name, decay, {}) for name, decay in TABLE] + [
    (name, decay, kind) for name, kind in OTHERS for decay in ("l2", "decoupled")
    if (name, decay) in TABLE
]  # fmt: skip


def inputs_of(name, decay):
    found = {"shape": (8, 32)} if name == "muon" else {}
    if name not in ("muon", "normalized", "sgd"):
        found["dim"] = 50.0
    if decay == "l2":
        found["grad_norm_sq"] = 2.0
    elif name == "sgd":
        found["grad_norm_sq"] = 3.0
    return found


def in_range(x, name, decay):
    """wd for which x is the invariant's value at lr = 1; small enough to have an equilibrium."""
    return 0.01 * x if name in ("adam", "rmsprop") and decay == "l2" else x


@pytest.mark.parametrize(("name", "decay"), TABLE)
def test_the_product_of_every_optimizer_and_decay(name, decay):
    found = invariant(name, decay=decay)
    assert found == TABLE[name, decay]
    assert str(found) == ("η²λ" if found.lr_power == 2 else "ηλ")
    assert found.value(lr=3.0, wd=0.5) == 0.5 * 3.0**found.lr_power


@pytest.mark.parametrize("name", sorted({name for name, _ in TABLE}))
def test_the_usual_decay_is_that_of_torchs_optimizer(name):
    assert invariant(name) == TABLE[name, USUAL.get(name, "decoupled")]


@settings(deadline=None)  # Muon's first call takes long
@given(st.sampled_from(CASES), st.floats(-8, -0.5), st.floats(-4, 4))
def test_settings_that_share_it_turn_alike(case, log_x, log_c):
    name, decay, kind = case
    c, wd = 10.0**log_c, in_range(10.0**log_x, name, decay)
    inputs = inputs_of(name, decay)
    one = equilibrium(name, lr=1e-2, wd=wd, decay=decay, **inputs, **kind)
    power = invariant(name, decay=decay).lr_power
    other = equilibrium(name, lr=1e-2 * c, wd=wd / c**power, decay=decay, **inputs, **kind)
    assert other.angle == pytest.approx(one.angle, rel=1e-12)
    assert other.cosine == pytest.approx(one.cosine, abs=1e-15)
    assert other.half_life == pytest.approx(one.half_life, rel=1e-6)
    # Only the radius moves: as √c for SGD, as c for updates that ignore the gradient's scale.
    grows = math.sqrt(c) if name == "sgd" else c
    assert other.radius == pytest.approx(grows * one.radius, rel=1e-11)


@settings(deadline=None)  # Muon's first call takes long
@given(st.sampled_from(CASES), st.floats(-8, -1), st.floats(0.2, 5))
def test_settings_that_do_not_share_it_turn_differently(case, log_x, c):
    assume(abs(math.log(c)) > 0.01)
    name, decay, kind = case
    wd = in_range(10.0**log_x, name, decay)
    wrong = 3 - invariant(name, decay=decay).lr_power
    inputs = inputs_of(name, decay)
    one = equilibrium(name, lr=1e-2, wd=wd, decay=decay, **inputs, **kind)
    other = equilibrium(name, lr=1e-2 * c, wd=wd / c**wrong, decay=decay, **inputs, **kind)
    # ηλ moves by a factor of c, η²λ likewise: the angle by its square root, or cube root.
    root = 1 / 3 if name in ("adam", "rmsprop") and decay == "l2" else 1 / 2
    log_ratio = math.log(other.angle / one.angle)
    assert abs(log_ratio) == pytest.approx(root * abs(math.log(c)), rel=0.3)


@settings(deadline=None)  # Muon's first call takes long
@given(st.sampled_from(CASES), st.floats(-3, 3))
def test_the_same_scaling_holds_at_every_step_of_a_run(case, log_c):
    """(w, η, λ) → (cw, c²η, λ/c²) for SGD, else (cw, cη, λ/c), or λ/c² where L2 is divided out."""
    name, decay, kind = case
    c, inputs = 10.0**log_c, inputs_of(name, decay)
    lr_power = 2 if name == "sgd" else 1
    wd_power = lr_power if name == "sgd" or decay == "decoupled" else 2
    eta, lam = np.linspace(0.0, 1e-2, 40), np.linspace(3.0, 1.0, 40)
    eta = eta / (1 if name == "sgd" else 3)
    one = trajectory(name, lr=eta, wd=lam, radius=0.7, decay=decay, **inputs, **kind)
    try:
        other = trajectory(
            name,
            lr=eta * c**lr_power,
            wd=lam / c**wd_power,
            radius=0.7 * c,
            decay=decay,
            **inputs,
            **kind,
        )
    except UsageError:
        # Adam's λ/c² leaves ηλ < 2 for c < 0.02: refused, not mistaken.
        assert np.max(eta * lam) * c ** (lr_power - wd_power) >= 2
        return
    assert other.radius == pytest.approx(c * one.radius, rel=1e-11)
    assert other.angle == pytest.approx(one.angle, rel=1e-9, abs=1e-12)
    assert other.effective_lr == pytest.approx(one.effective_lr, rel=1e-11)


def test_the_gradients_length_changes_nothing_but_sgds_radius():
    one, other = (
        equilibrium("sgd", lr=0.1, wd=0.01, momentum=0.9, grad_norm_sq=g) for g in (1.0, 16.0)
    )
    assert other.angle == one.angle
    assert other.radius == pytest.approx(2 * one.radius, rel=1e-14)
    assert equilibrium("adamw", lr=0.1, wd=0.01, dim=5, grad_norm_sq=9.0) == equilibrium(
        "adamw", lr=0.1, wd=0.01, dim=5
    )


def test_the_value_broadcasts_and_scalars_stay_scalars():
    found = invariant("adam").value(lr=[[0.1], [0.2]], wd=[1.0, 2.0, 3.0])
    assert found == pytest.approx(np.outer([0.01, 0.04], [1.0, 2.0, 3.0]), rel=1e-15)
    assert isinstance(invariant("adam").value(lr=0.1, wd=0.2), np.float64)


def test_an_unknown_optimizer_lists_the_known_ones():
    with pytest.raises(UnknownNameError) as refused:
        invariant("adamx")
    assert str(refused.value).startswith(
        "Unknown optimizer 'adamx'. Known: sgd, rmsprop, adam, adamw, lion, muon, normalized, "
        "nadam."
    )


REFUSALS = [
    ({"lr": 0.0}, "`lr` must be positive and finite, got 0.0."),
    ({"wd": -1.0}, "`wd` must be positive and finite, got -1.0."),
    ({"wd": math.nan}, "`wd` must be positive and finite, got nan."),
    (
        {"lr": [1.0, 2.0], "wd": [1.0, 2.0, 3.0]},
        "The shapes do not broadcast against each other: `lr` (2,), `wd` (3,).",
    ),
    (
        {"lr": 1e200, "wd": 1e-50},
        "The product lies outside what float64 can hold. Check the units of the arguments.",
    ),
    (
        {"lr": 1e-200},
        "The product lies outside what float64 can hold. Check the units of the arguments.",
    ),
]


@pytest.mark.parametrize(("arguments", "sentence"), REFUSALS)
def test_each_refusal_of_a_value_is_one_sentence(arguments, sentence):
    with pytest.raises(UsageError) as refused:
        invariant("adam").value(**({"lr": 0.1, "wd": 0.1} | arguments))
    assert str(refused.value) == sentence


@given(st.sampled_from(["sgd", "adam"]), st.floats(-300, 300), st.floats(-300, 300))
def test_a_value_is_right_or_refused(name, log_lr, log_wd):
    product = invariant(name)
    exponent = product.lr_power * log_lr + log_wd
    try:
        found = product.value(lr=10.0**log_lr, wd=10.0**log_wd)
    except UsageError:
        assert not -300 < exponent < 300  # or it could have been told
        return
    assert 0 < found < math.inf
    assert math.log10(found) == pytest.approx(exponent, abs=1e-9 if exponent > -307 else 1)


def test_decays_are_refused_by_name():
    with pytest.raises(UsageError, match=r'^`muon` is known with decay "decoupled" only: .*\.$'):
        invariant("muon", decay="l2")
    with pytest.raises(UsageError, match=r'^`decay` must be "l2" or "decoupled", got \'none\'\.$'):
        invariant("sgd", decay="none")
