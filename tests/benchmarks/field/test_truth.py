"""That the truth of the field is one, on models whose symmetries are known on paper."""

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from field._algebra import inside, one_signed
from field._model import simple
from field.truth import truth_of
from torch import nn


class Ways(nn.Module):
    """Two layers and something in between."""

    def __init__(self, between, bias=True):
        super().__init__()
        self.a, self.b, self.between = nn.Linear(4, 5, bias=bias), nn.Linear(5, 2), between

    def forward(self, x):
        return self.b(self.between(self.a(x)))


def truth(build, *shapes):
    return truth_of(simple("of a test", "of a test", build, *shapes))


def spans(found, *directions):
    given = [{n: Fraction(v) for n, v in direction.items()} for direction in directions]
    same = all(inside(d, found.span, found.names) for d in given)
    return same and len(found.span) == len(given)


HANDED_ON = {"a.weight": 1, "a.bias": 1, "b.weight": -1}
TOGETHER = {"a.weight": 1, "a.bias": 1}


@pytest.mark.parametrize(
    ("between", "directions"),
    [
        (F.relu, [HANDED_ON]),
        (torch.tanh, []),
        (F.relu6, []),  # it looks like ReLU wherever nothing is above six
        (lambda x: x.square(), [{"a.weight": 1, "a.bias": 1, "b.weight": -2}]),
        (lambda x: x.abs().sqrt(), [{"a.weight": 2, "a.bias": 2, "b.weight": -1}]),
        (lambda x: F.layer_norm(x, (5,)), [TOGETHER]),
        (lambda x: F.layer_norm(x, (5,), eps=1e-3), [TOGETHER]),
        (lambda x: x / (x.norm(dim=-1, keepdim=True) + 1e-4), [TOGETHER]),
        (lambda x: x / x.norm(dim=-1, keepdim=True).clamp(min=1e-6), [TOGETHER]),
        (lambda x: x / (1 + x.norm(dim=-1, keepdim=True)), []),
        (lambda x: x.float() / x.float().norm(dim=-1, keepdim=True), [TOGETHER]),
        # What autograd does not see.
        (lambda x: x / x.norm(dim=-1, keepdim=True).detach(), [TOGETHER]),
        (lambda x: x.sign(), [TOGETHER]),
        (lambda x: (x.detach() * 4).round() / 4, []),
        (lambda x: torch.from_numpy(x.detach().numpy()), [HANDED_ON]),
        # Dropout is a factor that no symmetry notices.
        (lambda x: F.dropout(F.relu(x), 0.5), [HANDED_ON]),
    ],
)
def test_symmetries_of_two_layers_with_something_between_them(between, directions):
    found = truth(lambda: Ways(between), (16, 4))
    assert spans(found, *directions), found.span
    assert not found.inert


def test_bias_before_batch_normalisation_is_inert_and_the_weight_before_it_invariant():
    found = truth(lambda: Ways(nn.BatchNorm1d(5)), (16, 4))
    assert found.inert == {"a.bias"}
    assert spans(found, {"a.weight": 1}, {"between.weight": 1, "between.bias": 1, "b.weight": -1})
    assert found.one_signed == {"a.weight"}
    assert found.rank == 3


def test_evaluation_has_running_statistics_which_do_not_scale():
    def build():
        model = Ways(nn.BatchNorm1d(5)).eval()
        model.between.running_mean.normal_()
        return model

    found = truth(build, (16, 4))
    assert spans(found, {"between.weight": 1, "between.bias": 1, "b.weight": -1})


def test_frozen_parameter_has_exponent_zero():
    def build():
        model = Ways(F.relu)
        model.b.weight.requires_grad_(False)
        return model

    found = truth(build, (16, 4))
    assert found.held == {"b.weight"}
    assert not found.span


def test_parameter_behind_a_sign_is_invariant_and_not_inert():
    class Signs(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.unused = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(2))

        def forward(self, x):
            return torch.tanh(x @ self.w.sign())

    found = truth(Signs, (16, 4))
    assert found.inert == {"unused"}
    assert spans(found, {"w": 1})


def test_gate_and_bias_that_only_select_go_together():
    class Hard(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = nn.Linear(4, 3)

        def forward(self, x):
            return x[:, :3] * F.one_hot(self.gate(x).argmax(-1), 3)

    found = truth(Hard, (32, 4))
    assert spans(found, {"gate.weight": 1, "gate.bias": 1})


def test_cone_has_all_that_a_direction_without_negative_exponents_scales():
    one, two = {"a": Fraction(1), "b": Fraction(-1)}, {"b": Fraction(2), "c": Fraction(1)}
    assert one_signed([one, two], ["a", "b", "c", "d"]) == {"a", "b", "c"}
    assert one_signed([one], ["a", "b", "c"]) == set()
    assert one_signed([{"a": Fraction(-1)}], ["a"]) == {"a"}


def test_layer_that_is_dropped_by_chance_is_kept():
    class Dropping(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.c, self.b = nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 2)
            self.layerdrop = 0.5

        def forward(self, x):
            x = F.relu(self.a(x))
            return self.b(x if torch.rand([]) < self.layerdrop else F.relu(self.c(x)))

    # Without the layer a goes against b alone, and with it against c as well.
    first = {"a.weight": 1, "a.bias": 1, "c.weight": -1}
    second = {"c.weight": 1, "c.bias": 1, "b.weight": -1}
    assert spans(truth(Dropping, (16, 4)), first, second)
