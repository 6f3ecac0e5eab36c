"""What an optimiser comes to, held against the laws of the theory."""

import math

import pytest
import torch
from torch import nn

from etaeff.errors import UnknownNameError, UsageError
from etaeff.optim import SphereSGD
from etaeff.symmetry import Audit, NoteKind, audit
from etaeff.theory import Setting, equilibrium, timescale

X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(),
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2),
    )  # fmt: skip


@pytest.fixture(scope="module")
def bare(model):
    return audit(model, (X,))


def forecasts(model, optimizer):
    return audit(model, (X,), measure=False, optimizer=optimizer).forecasts


INVARIANT = ("0.weight", "1.weight", "1.bias", "3.weight")


def test_a_group_turns_by_the_equilibrium_of_its_numbers(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    (one,) = forecasts(model, optimizer)
    numbers = {"lr": 0.1, "wd": 5e-4, "momentum": 0.9}
    assert set(one.names) <= set(INVARIANT)
    assert {"0.weight", "3.weight"} <= set(one.names)
    assert one.angle == equilibrium("sgd", **numbers).angle
    assert one.half_life == timescale("sgd", **numbers).half_life
    assert one.settled == timescale("sgd", **numbers).settled
    assert one.sentence == (
        f"Param group 0 (SGD, lr 0.1, weight decay 0.0005): its {len(one.names)} scale-invariant "
        "parameters turn 0.007255 rad (0.4157°) a step at equilibrium, reached in 1,469 steps: a "
        "deviation of ‖w‖² halves in 340."
    )


def test_each_group_has_its_own(model, bare):
    groups = bare.param_groups(lr=1e-3, weight_decay=0.1, mode=None, without_decay="standard")
    first, *others = forecasts(model, torch.optim.AdamW(groups))
    assert first.names == ("0.weight", "3.weight")
    assert first.angle == equilibrium("adamw", lr=1e-3, wd=0.1).angle
    assert [one.angle for one in others] == [None, None]
    assert others[0].sentence.endswith("its parameter is not scale-invariant.")


def test_a_setting_stands_for_an_optimiser_of_everything(model):
    text = "lion lr=1e-4 wd=1"
    by_text, by_setting = forecasts(model, text), forecasts(model, Setting.parse(text))
    assert by_text == by_setting
    assert by_text[0].angle == equilibrium("lion", lr=1e-4, wd=1).angle
    assert by_text[0].sentence.startswith("With lion lr=0.0001 wd=1: its ")


def test_muon_turns_matrices_by_their_shapes(model):
    optimizer = torch.optim.Muon([model[0].weight, model[3].weight], lr=0.02, weight_decay=0.1)
    (one,) = forecasts(model, optimizer)
    angles = [
        float(equilibrium("muon", lr=0.02, wd=0.1, momentum=0.95, nesterov=True, shape=s).angle)
        for s in ((4, 3), (6, 4))
    ]
    assert one.angle == pytest.approx(max(angles))
    assert f"{math.degrees(min(angles)):.4g}° to {math.degrees(max(angles)):.4g}°" in one.sentence


def test_without_decay_there_is_no_equilibrium(model):
    (one,) = forecasts(model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert one.angle is None
    assert "without decay the norm of each of its" in one.sentence


@pytest.mark.parametrize(
    ("optimizer", "why"),
    [
        (lambda p: "adagrad lr=0.01 wd=0.1", "No law is derived for Adagrad"),
        (torch.optim.Adagrad, "No law is derived for Adagrad"),
        (lambda p: torch.optim.Adam(p, weight_decay=0.1), "depends on the size of the gradients"),
        (lambda p: Strange(p, {}), "Unknown optimizer class 'Strange'"),
    ],
)
def test_what_is_not_known_is_said(model, optimizer, why):
    (one,) = forecasts(model, optimizer(model.parameters()))
    assert (one.angle, one.half_life, one.settled) == (None, None, None)
    assert "in a step is not known. " in one.sentence
    assert why in one.sentence


class Strange(torch.optim.Optimizer):
    """Of a class that nobody has heard of."""


def test_steps_as_long_as_the_weight_are_warned_of(model):
    (one,) = forecasts(model, torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=1.5))
    assert one.sentence.endswith("A step as long as the weight is too long to train with.")


def test_spheres_have_nothing_to_settle(model, bare):
    def first(mode):
        groups = bare.param_groups(lr=0.1, weight_decay=5e-4, mode=mode)
        return forecasts(model, SphereSGD(groups, lr=0.1, momentum=0.9))[0]

    assert first("projected").angle is None
    assert "nothing has to settle" in first("projected").sentence
    assert first("angle").angle == 0.1
    free = equilibrium("sgd", lr=0.1, wd=5e-4, momentum=0.9).angle
    assert first("equilibrium").angle == free
    assert first("equilibrium").sentence.endswith("a step, from the first step on.")


def test_what_the_optimiser_leaves_out_is_noted(model):
    found = audit(model, (X,), measure=False, optimizer=torch.optim.SGD(model[0].parameters()))
    (note,) = (n for n in found.notes if n.kind is NoteKind.NOT_TRAINED)
    assert set(note.names) == {n for n, _ in model.named_parameters() if not n.startswith("0.")}


def test_an_audit_read_back_has_its_forecasts(model):
    found = audit(model, (X,), measure=False, optimizer="sgd lr=0.1 wd=5e-4")
    assert Audit.from_dict(found.to_dict()).forecasts == found.forecasts
    assert found.forecasts[0].sentence in " ".join(str(found).split())


@pytest.mark.parametrize(
    ("optimizer", "error", "sentence"),
    [
        (3, UsageError, "it is of type int"),
        ("sgd", UsageError, "says no lr and no wd"),
        ("sgdd lr=1 wd=1", UnknownNameError, "Unknown optimizer 'sgdd'"),
        (torch.optim.SGD(nn.Linear(2, 2).parameters()), UsageError, "trains no parameter of this"),
    ],
)
def test_what_is_no_optimiser_of_the_model_is_refused(model, optimizer, error, sentence):
    with pytest.raises(error, match=sentence):
        forecasts(model, optimizer)
