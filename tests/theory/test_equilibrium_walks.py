"""`equilibrium` against random walks of every optimiser; see `support/walks.py`.

The walks have blocks of finitely many entries, and the formulas are those of large blocks: 2/C of
the radius or angle is allowed for that, beside three standard errors.
"""

import math

import pytest
from support import walks

from etaeff.theory import equilibrium

FINITE = 2 / walks.DIM


def assert_agrees(measured, allowed):
    assert measured.error < 0.0015  # or the comparison says nothing
    assert abs(measured.ratio - 1) < 3 * measured.error + allowed, str(measured)


@pytest.mark.parametrize("setting", walks.settings(), ids=str)
def test_radius_and_angle_are_those_of_a_random_walk(setting):
    radius, angle = walks.measure(setting)
    assert_agrees(radius, FINITE + setting.allowed)
    assert_agrees(angle, FINITE + setting.allowed)


def test_the_correction_for_a_finite_beta2_is_needed():
    setting = walks.Setting("adamw", {**walks.SMALL, "betas": (0.5, 0.95)})
    radius, _ = walks.measure(setting)
    found = radius.ratio * float(setting.predicted().radius)
    limit = equilibrium("adamw", **walks.SMALL, betas=(0.5, 1 - 1e-9), dim=walks.DIM).radius
    assert abs(found / limit - 1) > 3 * radius.error + FINITE + setting.allowed


@pytest.mark.parametrize("setting", list(walks.finite_beta2_settings((0.99,))), ids=str)
def test_adam_with_l2_is_half_a_percent_from_its_limit_at_a_beta2_of_099(setting):
    # The formula is the limit β₂ → 1. Measured at 0.999: radius within 0.02 %, angle −0.06 %; at
    # 0.99: −0.14 % and −0.5 %; at 0.95: −0.7 % and −1.7 %.
    radius, angle = walks.measure(setting)
    assert abs(radius.ratio - 1) < 0.002
    assert 0.003 < 1 - angle.ratio < 0.006


def test_muon_without_a_shape_is_a_wide_matrix():
    arguments = {**walks.LARGE, "momentum": 0.9, "nesterov": False}
    setting = walks.Setting("muon", arguments, (16, 1600), steps=100, chains=8, burn=80)
    _, angle = walks.measure(setting)
    found = angle.ratio * math.sqrt(1 - setting.predicted().cosine)
    wide, square = (
        math.sqrt(1 - equilibrium("muon", **arguments, shape=shape).cosine)
        for shape in (None, (64, 64))
    )
    assert found == pytest.approx(wide, rel=0.01)
    assert square > 1.2 * wide


def assert_half_life(setting, wait, steps):
    # 1 %: a deviation of 5 % is not quite small, and the fit begins before the faster modes are
    # quite gone.
    found = walks.half_life(setting, wait=wait, steps=steps)
    assert found.error < 0.004
    assert abs(found.ratio - 1) < 3 * found.error + 0.01, str(found)


@pytest.mark.parametrize(("setting", "wait", "steps"), list(walks.half_life_settings()), ids=str)
def test_half_life_is_that_of_a_disturbed_walk(setting, wait, steps):
    assert_half_life(setting, wait, steps)


@pytest.mark.parametrize(
    ("setting", "wait", "steps"), list(walks.delayed_half_life_settings()), ids=str
)
def test_half_life_with_second_moments_that_lag(setting, wait, steps):
    assert_half_life(setting, wait, steps)
