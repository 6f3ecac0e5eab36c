"""Chance outside of torch, and chance that decides which operators run."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from etaeff import audit
from etaeff.records.audits import NoteKind
from etaeff.symmetry._tracing._chance import Generators

X = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
GENERATOR = np.random.default_rng(5)


class Skips(nn.Module):
    """Normalised layers, some of which chance leaves out."""

    def __init__(self, skip):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Linear(8, 8, bias=False) for _ in range(4))
        self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(4))
        self.skip = skip

    def forward(self, x):
        for layer, norm in zip(self.layers, self.norms, strict=True):
            if not self.skip():
                x = x + norm(layer(x))
        return x


class FromModule(Skips):
    def forward(self, x):
        for layer, norm in zip(self.layers, self.norms, strict=True):
            if GENERATOR.random() > 0.5:
                x = x + norm(layer(x))
        return x


class FromHeld(Skips):
    def forward(self, x):
        for layer, norm in zip(self.layers, self.norms, strict=True):
            if self.skip.random() > 0.5:
                x = x + norm(layer(x))
        return x


CHANCES = {
    "python": lambda: Skips(lambda: random.random() < 0.5),
    "numpy": lambda: Skips(lambda: np.random.uniform() < 0.5),  # noqa: NPY002
    "of the model": lambda: FromHeld(random.Random(3)),
    "of the model, NumPy's": lambda: FromHeld(np.random.default_rng(3)),
    "of a module's file": lambda: FromModule(None),
    "torch, as a number": lambda: Skips(lambda: torch.rand(1).item() < 0.5),
    "torch, as a tensor": lambda: Skips(lambda: torch.rand([]) < 0.5),
}


@pytest.mark.parametrize("make", CHANCES.values(), ids=CHANCES)
def test_no_layer_is_inert_because_chance_left_it_out(make):
    found = audit(make(), (X,))
    assert not [s for s in found.symmetries if s.kind == "inert"]
    assert [b.names for b in found.blocks] == [(f"layers.{i}.weight",) for i in range(4)]
    (note,) = [n for n in found.notes if n.kind is NoteKind.CHANCE]
    assert "of 8 draws" in note


@pytest.mark.parametrize("seed", range(3))
def test_chance_demands_what_each_of_its_draws_demands(seed):
    class Either(nn.Module):
        """Two linear maps in a row, between which chance may put a bounded function."""

        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(8, 8, bias=False), nn.Linear(8, 2, bias=False)

        def forward(self, x):
            y = self.a(x)
            return self.b(y.tanh() if random.random() < 0.5 else y)

    random.seed(seed)
    found = audit(Either(), (X,))
    assert not [s for s in found.symmetries if s.kind != "homogeneous"]


def test_chance_without_consequence_is_told_and_no_more():
    class Draws(nn.Linear):
        def forward(self, x):
            random.random()
            return super().forward(x)

    found = audit(nn.Sequential(Draws(8, 8), nn.BatchNorm1d(8)), (X,))
    assert "all took the same path" in " ".join(found.notes)
    assert found.blocks[0].names == ("0.weight",)


def test_generators_that_a_model_holds_are_left_as_they_were():
    model = Skips(None)
    held = np.random.default_rng(1)
    model.skip = held
    before = held.bit_generator.state
    with Generators(model).unchanged():
        held.random(3)
    assert held.bit_generator.state == before


def test_a_model_without_chance_draws_nothing():
    generators = Generators(nn.Linear(2, 2))
    before = generators.states()
    torch.rand(3)
    assert generators.states() == before
    random.random()
    assert generators.states() != before
