"""Constants of a model that are zero, or have no entry: they can have any scale."""

import pytest
import torch
from torch import nn

from etaeff import audit


class Joined(nn.Module):
    """Values behind something constant, before a head."""

    def __init__(self, first, width=0):
        super().__init__()
        self.v, self.o, self.first = nn.Linear(4, 4), nn.Linear(4 + width, 4), first
        self.register_buffer("zeros", torch.zeros(3, 2), persistent=False)
        self.register_buffer("ones", torch.ones(3, 2))

    def forward(self, x):
        return self.o(torch.cat([self.first(self, x), self.v(x)], -1))


NOTHING = {
    "an empty list": (lambda m, x: torch.tensor([]), 0),
    "an empty tensor": (lambda m, x: torch.ones(3, 0), 0),
    "an empty slice": (lambda m, x: x[:, :0], 0),
    "a constant of zeros": (lambda m, x: torch.tensor([[0.0, 0.0]] * 3), 2),
    "a buffer of zeros": (lambda m, x: m.zeros, 2),
}
SOMETHING = {
    "a buffer of ones": (lambda m, x: m.ones, 2),
    "a buffer that is written": (lambda m, x: m.zeros.add_(1.0), 2),
    "a constant": (lambda m, x: torch.tensor([[0.0, 1.0]] * 3), 2),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_what_is_nothing_has_any_scale(kind):
    found = audit(Joined(*NOTHING[kind]), (torch.randn(3, 4),))
    assert [set(s.exponents) for s in found.symmetries if not s.degree] == [
        {"v.weight", "v.bias", "o.weight"}
    ]
    assert not found.notes


@pytest.mark.parametrize("kind", SOMETHING)
def test_what_is_something_has_a_fixed_scale(kind):
    assert audit(Joined(*SOMETHING[kind]), (torch.randn(3, 4),)).rank == 0


def test_a_running_mean_that_is_zero_now_says_nothing_of_what_it_is_subtracted_from():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    found = audit(model, (torch.randn(8, 4),), training=False, measure=False)
    assert found.rank == 1
    assert set(found.symmetries[0].exponents) == {"1.weight", "1.bias", "3.weight"}
