"""Where gains stand, on models in which one can see it."""

import pytest
import torch
from torch import nn

from etaeff.symmetry import audit

HELPS = "another normalisation follows, where decay is said to help (arXiv:2605.26895)."
HARMS = "It is a gain before the output, where decay is said to harm (arXiv:2605.26895)."


def said(model, name, x=None, **arguments):
    """What is said of the place of a parameter, if anything is."""
    torch.manual_seed(0)
    found = audit(model, (torch.randn(8, 4) if x is None else x,), measure=False, **arguments)
    why = found.parameters[name].why
    return "helps" if HELPS in why else "harms" if HARMS in why else ""


def test_a_gain_before_a_map_and_another_norm():
    model = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 4), nn.GELU(), nn.LayerNorm(4))
    assert said(model, "0.weight") == "helps"
    assert said(model, "3.weight") == "harms"
    assert said(model, "0.bias") == said(model, "3.bias") == ""


def test_a_gain_before_the_head():
    assert said(nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2)), "0.weight") == "harms"
    model = nn.Sequential(nn.Conv1d(3, 4, 1), nn.BatchNorm1d(4), nn.ReLU(), nn.Conv1d(4, 2, 1))
    assert said(model, "1.weight", torch.randn(2, 3, 5)) == "harms"


class Block(nn.Module):
    """A branch beside the stream, normalised before or after."""

    def __init__(self, pre):
        super().__init__()
        self.pre, self.norm, self.linear = pre, nn.LayerNorm(4), nn.Linear(4, 4)

    def forward(self, x):
        return x + self.linear(self.norm(x)) if self.pre else self.norm(x + self.linear(x))


def test_branches_beside_a_stream_end_in_the_last_norm():
    model = nn.Sequential(Block(True), Block(True), nn.LayerNorm(4), nn.Linear(4, 2))
    assert [said(model, f"{i}.norm.weight") for i in range(2)] == ["helps"] * 2
    assert said(model, "2.weight") == "harms"


def test_a_gain_on_the_stream_stands_before_no_map_alone():
    model = nn.Sequential(Block(False), Block(False), nn.Linear(4, 2))
    assert said(model, "0.norm.weight") == ""  # what is not mapped meets the next norm too
    assert said(model, "1.norm.weight") == "harms"


def test_two_ways_are_no_place():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.linear, self.last = nn.LayerNorm(4), nn.Linear(4, 4), nn.LayerNorm(4)

        def forward(self, x):
            x = self.norm(x)
            return {"hidden": x, "logits": self.last(self.linear(x))}

    assert said(Both(), "norm.weight") == ""
    assert said(Both(), "norm.weight", outputs="logits") == "helps"


class RMS(nn.Module):
    """Written by hand, as many are."""

    def __init__(self, dim):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return self.scale * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


class HandNorm(RMS):
    """The same under a name that says what it is."""


@pytest.mark.parametrize(("norm", "place"), [(HandNorm, "helps"), (RMS, "")])
def test_norms_are_known_by_their_names(norm, place):
    model = nn.Sequential(norm(4), nn.Linear(4, 4), nn.LayerNorm(4))
    assert said(model, "0.scale") == place


def test_other_vectors_are_no_gains():
    class Shift(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift, self.norm = nn.Parameter(torch.ones(4)), nn.LayerNorm(4)

        def forward(self, x):
            return self.norm(x + self.shift)

    assert said(Shift(), "shift") == ""


def test_a_frozen_gain_is_not_decayed():
    model = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2))
    model[0].weight.requires_grad_(False)
    assert said(model, "0.weight") == ""
