"""That a false claim is called one, whatever it is, and an open question is not."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from field._model import simple
from field.judge import Category, compare, judge
from field.truth import truth_of
from torch import nn

import etaeff
from etaeff.geometry import Block


def build():
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))


MODEL = simple("of a test", "of a test", build, (16, 4))


@pytest.fixture(scope="module")
def truth():
    return truth_of(MODEL)


@pytest.fixture(scope="module")
def audit():
    torch.manual_seed(0)
    return etaeff.audit(build(), (torch.randn(16, 4),))


def relabelled(audit, name, effect, **more):
    kind = next(k for k in type(audit.parameters[name].effect) if k.value.startswith(effect))
    changed = replace(audit.parameters[name], effect=kind, **more)
    return replace(audit, parameters={**audit.parameters, name: changed})


def test_right_audit_agrees(audit, truth):
    assert compare(audit, truth) == (Category.AGREES, [])
    assert judge(MODEL).category == "full agreement"


@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("0.weight", "regularises"),  # it is scale-invariant
        ("3.weight", "regularises"),  # it balances a product
        ("0.bias", "regularises"),  # it is inert
        ("3.bias", "sets"),
        ("3.weight", "sets"),
        ("3.bias", "balances"),
        ("0.weight", "does nothing"),
        ("3.bias", "does not touch it"),
    ],
)
def test_label_that_the_truth_denies_is_wrong(audit, truth, name, effect):
    category, reasons = compare(relabelled(audit, name, effect), truth)
    assert category is Category.WRONG
    assert name in reasons[0]


def test_symmetry_that_moves_the_outputs_is_wrong(audit, truth):
    false = replace(audit.symmetries[0], exponents={"3.bias": Fraction(1)})
    assert compare(replace(audit, symmetries=(*audit.symmetries, false)), truth)[0] == "wrong"
    degree = replace(false, kind="homogeneous", degree=Fraction(2))
    assert compare(replace(audit, symmetries=(*audit.symmetries, degree)), truth)[0] == "wrong"


def test_block_is_wrong_if_its_pieces_cannot_be_scaled_each_by_itself(audit, truth):
    columns = replace(audit, blocks=(Block(("0.weight",), axis=1, count=4),))
    assert compare(columns, truth)[0] == "wrong"
    with_gain = replace(audit, blocks=(Block(("0.weight", "1.weight"), count=6),))
    assert compare(with_gain, truth)[0] == "wrong"


def test_block_that_could_be_cut_finer_and_symmetry_that_is_not_said_are_missed(audit, truth):
    coarse = replace(audit, blocks=(Block(("0.weight",), count=2),))
    category, reasons = compare(coarse, truth)
    assert category is Category.MISSED
    assert "6 are free" in reasons[0]
    fewer = replace(audit, symmetries=[s for s in audit.symmetries if "1.bias" not in s.exponents])
    assert compare(fewer, truth)[0] == "missed"
    modest = relabelled(audit, "0.weight", "balances")
    assert compare(modest, truth)[0] == "missed"


def test_label_that_says_nothing_is_no_claim(audit, truth):
    for name in ("0.weight", "0.bias", "3.bias", "1.bias"):
        assert compare(relabelled(audit, name, "has an effect"), truth)[0] == "not known"
    unsure = relabelled(audit, "0.weight", "regularises", ground="not known")
    assert compare(unsure, truth)[0] == "not known"
    fewer = replace(audit, symmetries=[s for s in audit.symmetries if "1.bias" not in s.exponents])
    for name in ("1.weight", "1.bias", "3.weight"):
        fewer = relabelled(fewer, name, "has an effect")
    assert compare(fewer, truth)[0] == "not known"


def test_exception_of_an_audit_is_a_refusal():
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 2)

        def forward(self, x):
            raise RuntimeError("it does not run")

    verdict = judge(simple("of a test", "fails", Fails, (3, 4)))
    assert verdict.category == "refused"
    assert "it does not run" in verdict.reasons[0]


def test_claim_on_parts_is_tried(audit, truth):
    right = replace(
        audit.symmetries[0], kind="scale-invariant", exponents={"0.weight[0:2]": Fraction(1)}
    )
    assert compare(replace(audit, piece_symmetries=(right,)), truth)[0] is Category.AGREES
    for false in ("0.weight[:, 0:2]", "3.weight[0:1]", "1.weight[{0:1, 3:5}]"):
        claimed = replace(right, exponents={false: Fraction(1)})
        category, reasons = compare(replace(audit, piece_symmetries=(claimed,)), truth)
        assert category is Category.WRONG
        assert false in reasons[0]


def test_what_no_loss_saw_may_be_called_not_reached():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, x):
            return torch.tanh(self.a(x))

    torch.manual_seed(0)
    audit = etaeff.audit(Unused(), (torch.randn(5, 4),))
    found = truth_of(simple("of a test", "unused", Unused, (5, 4)))
    assert found.unseen == found.inert == {"b.weight", "b.bias"}
    for name in ("b.weight", "b.bias"):
        audit = relabelled(audit, name, "has an effect that was not seen")
    assert compare(audit, found) == (Category.AGREES, [])
