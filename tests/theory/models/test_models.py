"""Every row of the registry reaches a model that has all that the public functions ask for."""

import dataclasses

import numpy as np
import pytest

from etaeff.theory._models import MODELS, Model, Sizes, model_of
from etaeff.theory.settings import OPTIMIZERS
from etaeff.theory.settings._update_rule import rule_of

CASES = [(name, decay) for name, row in OPTIMIZERS.items() for decay in row.laws]
SIZES = Sizes(np.asarray(50.0), np.asarray(2.0))
ETA, LAM = np.asarray(1e-3), np.asarray(0.1)


def test_a_model_is_what_is_asked_of_all():
    names = {field.name for field in dataclasses.fields(Model)}
    assert names == {"equilibrium", "half_life", "path", "update_norm", "bare_decay"}
    assert {row.model for row in OPTIMIZERS.values()} == set(MODELS)


@pytest.mark.parametrize(("name", "decay"), CASES)
def test_every_row_reaches_a_model_with_all_its_functions(name, decay):
    shape = {"shape": (16, 32)} if "shape" in OPTIMIZERS[name].defaults else {}
    rule = rule_of(name, {"decay": decay, **shape})
    model = model_of(rule)
    rest = model.equilibrium(rule, ETA, LAM, SIZES)
    assert rest.radius > 0
    assert 0 < rest.decorrelation < 0.01
    assert rest.shrinkage > 0
    assert 1 < model.half_life(rule, rest.shrinkage) < 1e6
    eta, lam = np.full(10, 1e-3), np.full(10, 0.1)
    path = model.path(rule, eta, lam, float(rest.radius), 50.0, 2.0)
    assert path.radius_sq.shape == (11,)
    assert path.angle.shape == (10,)
    assert np.all(path.angle > 0)
    assert model.update_norm(rule, SIZES) > 0
    if decay == "decoupled" or name == "sgd":
        share, power = model.bare_decay(rule, np.asarray(1e-4))
        assert 0 < share < 1
        assert power in (0.25, 0.5)


@pytest.mark.parametrize(("name", "decay"), CASES)
def test_the_radius_needs_what_the_row_says(name, decay):
    law = OPTIMIZERS[name].laws[decay]
    given = {need: getattr(SIZES, need) for need in law.needs if need != "shape"}
    shape = {"shape": (16, 32)} if "shape" in law.needs else {}
    rule = rule_of(name, {"decay": decay, **shape})
    assert model_of(rule).equilibrium(rule, ETA, LAM, Sizes(**given)).radius is not None
    for missing in given:
        rest = {key: value for key, value in given.items() if key != missing}
        assert model_of(rule).equilibrium(rule, ETA, LAM, Sizes(**rest)).radius is None
    if shape:
        rule = rule_of(name, {"decay": decay})
        assert model_of(rule).equilibrium(rule, ETA, LAM, SIZES).radius is None
