"""Settings of sphere optimisers against the free equilibria that they stand for."""

import json
import math

import numpy as np
import pytest

from etaeff.convert import Setting, match, sphere_setting, to_sphere
from etaeff.errors import UnknownNameError, UsageError
from etaeff.theory import equilibrium

SGD = Setting.parse("sgd lr=0.1 wd=5e-4 momentum=0.9")
ADAMW = Setting.parse("adamw lr=3e-4 wd=0.1")
BLOCK = {"dim": 768.0, "grad_norm_sq": 2.0, "shape": (64, 256)}
SPHERES = ("sphere-sgd", "sphere-adam", "sphere-lion", "sphere-muon")


def test_heavy_ball_goes_to_the_sphere_by_the_closed_form():
    found = sphere_setting(SGD, "sphere-sgd", grad_norm_sq=2.0)
    radius = float(equilibrium("sgd", lr=0.1, wd=5e-4, momentum=0.9, grad_norm_sq=2.0).radius)
    alpha = np.roots([1, -(1.9 - 5e-5), 0.9]).max()
    assert found.lr == pytest.approx(0.1 / alpha / radius**2, rel=1e-12)
    assert found.momentum == pytest.approx(0.9 / alpha, rel=1e-12)
    assert found.angle == pytest.approx(math.acos(1 - 5e-5 / 1.9), rel=1e-7)
    assert found.angle_degrees == pytest.approx(math.degrees(found.angle), rel=1e-15)
    assert (found.optimizer, found.wd, found.betas, found.notes) == ("sphere-sgd", 0.0, None, ())


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("adamw lr=3e-4 wd=0.1 betas=0.9,0.95", "sphere-adam"),
        ("adam lr=3e-4 wd=0.1", "sphere-adam"),
        ("lion lr=1e-4 wd=1", "sphere-lion"),
        ("muon lr=1e-2 wd=0.1", "sphere-muon"),
    ],
)
def test_a_setting_with_the_update_of_the_target_is_not_matched(text, target):
    source = Setting.parse(text)
    shape = {"shape": BLOCK["shape"]} if source.optimizer == "muon" else {}
    sizes = {"dim": 768.0, "grad_norm_sq": 2.0}
    expected = to_sphere(source.optimizer, **sizes, **shape, **source.arguments())
    found = sphere_setting(source, target, **BLOCK)
    assert (found.lr, found.angle) == (float(expected.lr), float(expected.angle))
    assert (found.betas, found.notes) == (source.betas, expected.notes)


def test_any_other_is_matched_first():
    between = match(SGD, "adamw")
    found = sphere_setting(SGD, "sphere-adam")
    assert found.betas == between.setting.betas
    assert found.notes == (*between.notes, "`lr` needs `dim`; `angle` is known without.")
    slow, fast = (sphere_setting(SGD, "sphere-adam", lr=lr, dim=9.0) for lr in (1e-4, 1e-2))
    # The rate between is free: the radius follows it, and η/r stays but for the loss to decay.
    assert slow.lr == pytest.approx(fast.lr, rel=1e-3)


@pytest.mark.parametrize("target", SPHERES)
@pytest.mark.parametrize("source", [SGD, ADAMW], ids=str)
def test_the_turn_is_that_of_the_source(source, target):
    sizes = {"grad_norm_sq": 2.0} if source is SGD else {"dim": 768.0}
    turn = equilibrium(source.optimizer, **sizes, **source.arguments()).angle
    assert sphere_setting(source, target, **BLOCK).angle == pytest.approx(float(turn), rel=1e-9)
    without = sphere_setting(source, target)
    assert without.lr is None
    assert any(note.startswith("`lr` needs ") for note in without.notes)


def test_it_is_plain():
    values = sphere_setting(SGD, "sphere-adam", **BLOCK).to_dict()
    assert list(values) == [
        "optimizer", "lr", "momentum", "betas", "wd", "angle", "angle_degrees", "notes",
    ]  # fmt: skip
    assert json.loads(json.dumps(values))["lr"] == values["lr"]


def test_what_is_no_sphere_optimizer_is_refused_and_so_is_what_to_sphere_refuses():
    known = ", ".join(SPHERES)
    with pytest.raises(
        UnknownNameError, match=rf"^Unknown sphere optimizer 'adamw'\. Known: {known}"
    ):
        sphere_setting(SGD, "adamw")
    with pytest.raises(UnknownNameError, match=r"^Unknown optimizer 'sdg'\. Known: "):
        sphere_setting(Setting.parse("sdg lr=1 wd=1"), "sphere-sgd")
    with pytest.raises(UsageError, match=r"^`lr` times `wd` must be below 1, got 1\.5\.$"):
        sphere_setting(Setting.parse("adamw lr=1 wd=1.5"), "sphere-adam", dim=10.0)
