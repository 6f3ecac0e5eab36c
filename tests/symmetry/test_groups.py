"""Param groups of an audit: what has decay, and what has none."""

import pytest
import torch
from torch import nn

from etaeff.errors import UsageError
from etaeff.records.audits import DecayKind, Ground
from etaeff.symmetry import DecayEffect, audit
from etaeff.symmetry._groups import undecayed, without_verdict

X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def found():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    seen = audit(model, (X,))
    return model, seen


def names(found, **arguments):
    """Names of the parameters of each kind of group, and the decay of the group."""
    model, seen = found
    name_of = {id(p): name for name, p in model.named_parameters()}
    groups = seen.param_groups(lr=0.1, weight_decay=0.01, **arguments)
    return {
        group["kind"]: (group["weight_decay"], [name_of[id(p)] for p in group["params"]])
        for group in groups
    }


def test_structural_groups_are_those_of_the_audit(found):
    assert names(found, mode=None) == {
        "scale-invariant": (0.01, ["0.weight"]),
        "other": (0.01, ["1.weight", "1.bias", "3.weight", "3.bias"]),
        "without decay": (0.0, ["0.bias"]),
    }


def test_the_usual_groups_know_no_structure(found):
    for mode in (None, "projected"):
        assert names(found, mode=mode, structural=False, without_decay="standard") == {
            "other": (0.01, ["0.weight", "3.weight"]),
            "without decay": (0.0, ["0.bias", "1.weight", "1.bias", "3.bias"]),
        }
    assert list(names(found, structural=False)) == ["other"]


def test_both_can_be_had_at_once(found):
    small = ["0.bias", "1.weight", "1.bias", "3.bias"]
    assert names(found, mode=None, without_decay="standard") == {
        "scale-invariant": (0.01, ["0.weight"]),
        "other": (0.01, ["3.weight"]),
        "without decay": (0.0, small),
    }
    assert names(found, mode="projected", without_decay="standard") == {
        "sphere": (0.0, ["0.weight"]),
        "other": (0.01, ["3.weight"]),
        "without decay": (0.0, small),
    }


def test_names_and_globs_have_no_decay(found):
    assert names(found, mode=None, without_decay=["3.weight", "1.*"])["without decay"] == (
        0.0,
        ["0.bias", "1.weight", "1.bias", "3.weight"],
    )
    assert names(found, mode=None, without_decay="*")["without decay"][1] == [
        name for name, _ in found[0].named_parameters()
    ]
    with pytest.raises(UsageError, match=r"'4\.\*' fits none that is trained"):
        names(found, without_decay=["4.*"])


def test_gains_and_biases_are_known_by_shape_and_by_name():
    tensors = {
        "conv.weight": torch.zeros(2, 3), "norm.weight": torch.zeros(3), "scale": torch.zeros(()),
        "attention.in_proj_bias": torch.zeros(3), "table.bias": torch.zeros(2, 3),
        "lstm.bias_hh_l0": torch.zeros(1, 3), "debias.weight": torch.zeros(2, 3),
    }  # fmt: skip
    assert undecayed(tensors, "standard") == set(tensors) - {"conv.weight", "debias.weight"}
    assert undecayed(tensors, None) == set()


def test_spheres_have_their_own_rate_and_decay(found):
    groups = found[1].param_groups(
        lr=0.1, weight_decay=0.01, mode="equilibrium", sphere_lr=0.3, sphere_weight_decay=0.02
    )
    assert [(g["kind"], g["lr"], g["weight_decay"]) for g in groups] == [
        ("sphere", 0.3, 0.02),
        ("other", 0.1, 0.01),
        ("without decay", 0.1, 0.0),
    ]
    with pytest.raises(UsageError, match="goes with mode='equilibrium'"):
        names(found, mode="angle", sphere_weight_decay=0.02)


def test_frozen_parameters_are_in_no_group():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    seen = audit(model, (X,))
    for mode in (None, "projected"):
        groups = seen.param_groups(lr=0.1, weight_decay=0.01, mode=mode)
        held = {id(p) for group in groups for p in group["params"]}
        assert held == {id(p) for p in model.parameters() if p.requires_grad}


def effect(kind):
    return DecayEffect("w", (2, 2), kind, "because.", Ground.NOT_KNOWN)


VERDICTS = {
    "known": effect(DecayKind.REGULARISES),
    "doubt": effect(DecayKind.NOT_KNOWN),
    "far": effect(DecayKind.NOT_REACHED),
}


def test_what_is_not_known_goes_where_the_caller_says():
    assert without_verdict(VERDICTS, "other") == set()
    assert without_verdict(VERDICTS, "without_decay") == {"doubt", "far"}
    with pytest.raises(UsageError, match="to 2 parameters is not known: `doubt`, `far`"):
        without_verdict(VERDICTS, "refuse")
    known = {"known": VERDICTS["known"]}
    assert without_verdict(known, "refuse") == set()


def test_another_policy_is_refused(found):
    with pytest.raises(UsageError, match="must be one of 'other', 'without_decay', 'refuse'"):
        names(found, not_known="decay")
