"""Values put together and taken apart again: each part keeps its own degree."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from etaeff import audit


class Parts(nn.Module):
    """Layers, and what is done with them."""

    def __init__(self, forward, **layers):
        super().__init__()
        torch.manual_seed(0)
        self.todo = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.todo(self, x)


def linear(n=6, m=6, bias=False):
    return nn.Linear(n, m, bias=bias)


def cat_and_chunk(m, x):
    p, q = torch.cat([m.a(x), m.b(x)], -1).chunk(2, -1)
    return m.h(m.n(p) + m.o(q))


def stack_and_norm(m, x):
    return m.h(m.n(torch.stack([m.a(x), m.b(x)])).mean(0))


def a_norm_for_each_head(m, x):
    heads = m.a(x).unflatten(-1, (2, 3)).unbind(-2)
    return m.h(torch.stack([m.n(heads[0]), m.o(heads[1])], -2).flatten(-2).relu())


def scores_of_joined_parts(m, x):
    q, k = torch.cat([m.a(x), m.b(x)], 0).split([len(x), len(x)])
    return (q @ k.mT).softmax(-1) @ m.h(x)


def groups_of_channels(m, x):
    return m.h(F.group_norm(torch.cat([m.a(x), m.b(x)], -1).mT, 2).mT)


def batch_norm_of_channels(m, x):
    joined = torch.cat([m.a(x), m.b(x)], -1).mT
    return m.h(F.batch_norm(joined, None, None, training=True).mT)


def swapped(m, x):
    p, q = torch.cat([m.a(x), m.b(x)], -1).unflatten(-1, (2, 6)).transpose(-1, -2).unbind(-1)
    return m.h(p * q.sigmoid())


def padded(m, x):
    p, q = torch.cat([m.a(x), torch.zeros_like(x), m.b(x)], -1).split([9, 9], -1)
    return m.h(torch.cat([F.normalize(p, dim=-1), F.normalize(q, dim=-1)], -1))


B = {"b": linear()}
NORM = B | {
    "n": nn.LayerNorm(6, elementwise_affine=False),
    "o": nn.RMSNorm(6, elementwise_affine=False),
}
HALF = {"n": nn.RMSNorm(3), "o": nn.RMSNorm(3)}
CASES = {
    "cat and chunk": (cat_and_chunk, NORM, ["a", "b"]),
    "stack and norm": (stack_and_norm, NORM, ["a", "b"]),
    "a norm for each head": (a_norm_for_each_head, HALF, ["a", "h / n o"]),
    "scores of joined parts": (scores_of_joined_parts, B, ["a / b"]),
    "groups of channels": (groups_of_channels, B | {"h": linear(12)}, ["a", "b"]),
    "batch norm of channels": (batch_norm_of_channels, B | {"h": linear(12)}, ["a", "b"]),
    "a gate, swapped": (swapped, B, ["a / h"]),
    "zeros between": (padded, B | {"h": linear(18)}, ["a", "b"]),
}


def text(symmetry):
    """Such as "a n / h"."""
    sides = [[n[0] for n, v in symmetry.exponents.items() if v * s > 0] for s in (1, -1)]
    sides = sorted(sides) if sides[0] and sides[1] else sides
    return " / ".join(" ".join(sorted(side)) for side in sides if side)


@pytest.mark.parametrize("name", CASES)
def test_parts_that_are_taken_apart_again_have_their_own_scale(name):
    todo, layers, expected = CASES[name]
    found = audit(Parts(todo, **({"a": linear(), "h": linear()} | layers)), (torch.randn(4, 5, 6),))
    assert sorted(text(s) for s in found.symmetries if not s.degree) == sorted(expected)
    assert all(symmetry.proved for symmetry in found.symmetries)
    assert not found.notes


JOINED = {
    "a norm of all": lambda m, x: m.h(F.layer_norm(torch.cat([m.a(x), m.b(x)], -1), [12])),
    "a sum of all": lambda m, x: F.normalize(m.h(torch.cat([m.a(x), m.b(x)], -1)), dim=-1),
    "cut elsewhere": lambda m, x: F.normalize(
        torch.cat([m.a(x), m.b(x)], -1)[..., 3:9] @ m.h.weight[:, :6].mT, dim=-1
    ),
    "written into": lambda m, x: F.layer_norm(torch.stack([m.a(x), m.b(x)]).mul_(m.h(x)), [6]),
}


@pytest.mark.parametrize("name", JOINED)
def test_parts_that_are_mixed_have_one_scale(name):
    wide = {"h": linear(12)} if name != "written into" else {"h": linear()}
    model = Parts(JOINED[name], a=linear(), b=linear(), **wide)
    found = audit(model, (torch.randn(4, 5, 6),), discover=True)
    assert "the proof missed none" in "".join(found.notes)


def test_attention_with_keys_and_values_of_other_widths():
    model = nn.MultiheadAttention(8, 2, kdim=6, vdim=4, bias=False, batch_first=True)
    args = torch.randn(2, 5, 8), torch.randn(2, 3, 6), torch.randn(2, 3, 4)
    found = audit(model, args, outputs=0)
    exponents = [dict(s.exponents) for s in found.symmetries if not s.degree]
    assert {frozenset(e) for e in exponents} == {
        frozenset(["q_proj_weight", "k_proj_weight"]),
        frozenset(["v_proj_weight", "out_proj.weight"]),
    }
