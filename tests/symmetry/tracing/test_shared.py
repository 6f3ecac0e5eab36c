"""Buffers and plain tensors that lie in the memory of a parameter."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from etaeff import audit


class Shares(nn.Module):
    """A linear map whose weight is read again by way of another tensor."""

    def __init__(self, share, branch=False):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.norm = nn.Linear(6, 6, bias=False), nn.LayerNorm(6)
        self.branch = branch
        share(self)

    def forward(self, x):
        y = self.norm(self.linear(x))
        if self.branch and x.sum() > 1e9:
            y = -y
        return F.linear(y, self.again)


def buffer(model):
    model.register_buffer("again", model.linear.weight.data)


def attribute(model):
    model.again = model.linear.weight.detach()


def transposed(model):
    model.again = model.linear.weight.detach().T


def rows(model):
    model.register_buffer("again", model.linear.weight.data[2:])


@pytest.mark.parametrize("branch", [False, True])
@pytest.mark.parametrize("share", [buffer, attribute, transposed, rows])
def test_what_lies_in_a_parameters_memory_is_that_parameter(share, branch):
    model = Shares(share, branch)
    x = torch.randn(5, 6)
    found = audit(model, (x,))
    # Scaled in place, the weight scales the output, which a gain can take back.
    (symmetry,) = [s for s in found.symmetries if s.kind != "homogeneous"]
    one = symmetry.exponents["linear.weight"]
    assert {name: value / one for name, value in symmetry.exponents.items()} == {
        "linear.weight": 1, "norm.weight": -1, "norm.bias": -1,
    }  # fmt: skip
    assert not found.blocks
    before = model(x)
    with torch.no_grad():
        model.linear.weight.mul_(2)
        model.norm.weight.div_(2)
        model.norm.bias.div_(2)
    torch.testing.assert_close(model(x), before, rtol=1e-4, atol=1e-5)


def test_a_parameter_inside_a_larger_tensor_is_held():
    model = Shares(attribute)
    whole = torch.randn(8, 6)
    model.linear.weight = nn.Parameter(whole[:6])
    model.again = whole
    found = audit(model, (torch.randn(5, 6),))
    assert not [s for s in found.symmetries if "linear.weight" in s.exponents]
    assert "shares memory" in found.effect_of_decay("linear.weight")
