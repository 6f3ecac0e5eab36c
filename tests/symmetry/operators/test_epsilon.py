"""Which constants are an ε, in the proof and in the measurement alike."""

import pytest
import torch
from torch import nn

from etaeff import audit
from etaeff.symmetry._measurement._float64 import runner
from etaeff.symmetry._measurement._weights import Lazy
from etaeff.symmetry._measurement._wide import double
from etaeff.symmetry._tracing._graph import of_program

EXACT = 1e-12
SMALL = 2.0**-20  # powers of two are exact


class Held(nn.Module):
    """A layer before a quotient that an ε keeps from zero, which is a buffer or a constant."""

    def __init__(self, divided):
        super().__init__()
        self.layer = nn.Linear(4, 4, bias=False)
        self.register_buffer("eps", torch.tensor(1e-3))
        self.divided = divided

    def forward(self, x):
        return self.divided(self.layer(x), self.eps)


HELD = {
    "added": lambda y, e: y * torch.rsqrt(y.square().mean(-1, keepdim=True) + e),
    "added to it": lambda y, e: y / (e + y.norm(dim=-1, keepdim=True)),
    "the larger": lambda y, e: y / torch.maximum(y.norm(dim=-1, keepdim=True), e),
    "the larger, said first": lambda y, e: y / torch.maximum(e, y.norm(dim=-1, keepdim=True)),
    "clamped": lambda y, e: y / y.norm(dim=-1, keepdim=True).clamp(min=e),
    "made in the forward pass": lambda y, e: (
        y / (y.norm(dim=-1, keepdim=True) + y.new_tensor(1e-3))
    ),
    "filled": lambda y, e: y / (n := y.norm(dim=-1, keepdim=True)).max(torch.full_like(n, 1e-3)),
    "chosen": lambda y, e: y / (n := y.norm(dim=-1, keepdim=True)).where(n > 1e-3, 1e-3),
    "masked": lambda y, e: y / (n := y.norm(dim=-1, keepdim=True)).masked_fill(n < 1e-3, 1e-3),
    "in another shape": lambda y, e: y / (y.norm(dim=-1, keepdim=True) + e.view(1, 1).expand(5, 1)),
}


@pytest.mark.parametrize("kind", HELD)
def test_an_epsilon_that_is_a_tensor_is_taken_away_too(kind):
    torch.manual_seed(0)
    model, x = Held(HELD[kind]), torch.randn(5, 4)
    graph = of_program(torch.export.export(model, (x,), strict=False))
    weight = double(model.layer.weight.detach())
    for own_epsilon in (False, True):
        run = runner(graph, own_epsilon=own_epsilon)
        full, small = (
            run({"layer.weight": Lazy(lambda f=factor: f * weight)}, [x])[0]
            for factor in (1, SMALL)
        )
        moved = float((full - small).abs().max())
        assert moved > 1e-4 if own_epsilon else moved < EXACT
    assert audit(model, (x,)).rank == 1


@pytest.mark.parametrize("number", [2e-3, -1e-3, 0.5])
def test_tensors_that_are_no_epsilon_have_a_scale(number):
    torch.manual_seed(0)
    model = Held(HELD["added"])
    model.eps.fill_(abs(number)).copysign_(torch.tensor(number))
    found = audit(model, (torch.randn(5, 4),), measure=False)
    assert found.rank == 0


def test_an_epsilon_that_the_forward_pass_changes_is_none():
    def grown(y, eps):
        eps.mul_(2)
        return HELD["added"](y, eps)

    assert audit(Held(grown), (torch.randn(5, 4),), measure=False).rank == 0


def test_a_small_constant_is_no_epsilon_where_nothing_is_divided():
    model = Held(lambda y, e: torch.maximum(y, e) + y.where(y > e, e))
    assert audit(model, (torch.randn(5, 4),), measure=False).rank == 0
