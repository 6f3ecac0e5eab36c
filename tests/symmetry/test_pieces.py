"""Symmetries in which parts of one tensor differ, against scaling in float64 and by hand."""

import copy
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from etaeff import audit
from etaeff.symmetry import Audit


class Fused(nn.Module):
    """Attention whose queries, keys and values come from one matrix, taken apart in some way."""

    def __init__(self, take_apart, width=24, bias=True):
        super().__init__()
        torch.manual_seed(0)
        self.qkv, self.o = nn.Linear(8, width, bias=bias), nn.Linear(8, 8)
        self.take_apart = take_apart

    def forward(self, x):
        q, k, v = self.take_apart(self.qkv(x))
        read = F.scaled_dot_product_attention(q, k, v)
        return self.o(read.transpose(1, 2).flatten(2))


def heads(*parts):
    return [part.unflatten(-1, (-1, 4)).transpose(1, 2) for part in parts]


def chunked(y):
    return heads(*y.chunk(3, -1))


def unbound(y):
    return y.view(*y.shape[:2], 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)


def sliced(y):
    return heads(y[..., :8], y[..., 8:16], y[..., 16:])


def of_unequal_lengths(y):
    q, k, v = heads(*y.split([8, 4, 4], -1))
    return q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)


def of_each_head(y):
    return y.view(*y.shape[:2], 2, 12).transpose(1, 2).chunk(3, -1)


HEADS = "qkv.{}.unflatten(0, (2, 12))[:, {}:{}]"
CASES = {
    "chunk": (chunked, 24, True, "qkv.{}[{}:{}]", (0, 8, 16, 24)),
    "unbind": (unbound, 24, True, "qkv.{}[{}:{}]", (0, 8, 16, 24)),
    "slices": (sliced, 24, True, "qkv.{}[{}:{}]", (0, 8, 16, 24)),
    "unequal": (of_unequal_lengths, 16, False, "qkv.{}[{}:{}]", (0, 8, 12, 16)),
    "of each head": (of_each_head, 24, True, HEADS, (0, 4, 8, 12)),
}


def evaluated(model, name):
    """The part of a parameter that a name of Python stands for."""
    parameter, rest = re.match(r"([\w.]+?)((?:\.unflatten\(.*\))?(?:\[.*\])?)$", name).groups()
    return eval(f"p{rest}", {"p": dict(model.named_parameters())[parameter].data})


def moved(model, x, symmetry, power):
    """How far outputs move, in float64, if parts are scaled by powers of two."""
    wide = copy.deepcopy(model).double()
    before = wide(x.double())
    for name, exponent in symmetry.exponents.items():
        evaluated(wide, name).mul_(2.0 ** (power * int(exponent)))
    return float((wide(x.double()) - before).abs().max().detach() / before.abs().max().detach())


@pytest.mark.parametrize("kind", CASES)
def test_queries_keys_and_values_of_one_matrix_have_each_their_scale(kind):
    take_apart, width, bias, name, (a, b, c, d) = CASES[kind]
    model, x = Fused(take_apart, width, bias), torch.randn(2, 5, 8)
    found = audit(model, (x,))
    tensors = ["weight", "bias"][: 1 + bias]
    q, k, v = ([name.format(t, i, j) for t in tensors] for i, j in ((a, b), (b, c), (c, d)))
    moving = {frozenset(s.exponents) for s in found.piece_symmetries}
    inert = {frozenset([name]) for name in k[1:]}  # what a bias adds to all scores of a query
    assert moving == {frozenset([*v, "o.weight"]), frozenset([*q, k[0]])} | inert
    for symmetry in found.piece_symmetries:
        assert symmetry.proved
        assert symmetry.kind == ("inert" if len(symmetry.exponents) == 1 else "rescaling")
        assert max(moved(model, x, symmetry, power) for power in (-3, 1, 7)) < 1e-9
    assert found.rank == 0
    assert not found.notes
    assert found.parameters["qkv.weight"].effect == "balances a product"
    assert found.parameters["o.weight"].effect == "balances a product"
    assert f"the scale of `{q[0]}` can move to `{k[0]}`" in found.effect_of_decay("qkv.weight")


class Gated(nn.Module):
    """SwiGLU with gate and up in one matrix."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.u, self.d = nn.Linear(6, 16, bias=False), nn.Linear(8, 6)

    def forward(self, x):
        gate, up = self.u(x).chunk(2, -1)
        return self.d(F.silu(gate) * up)


def test_of_a_gated_matrix_one_half_is_regularised():
    found = audit(Gated(), (torch.randn(4, 6),))
    (symmetry,) = found.piece_symmetries
    assert set(symmetry.exponents) == {"u.weight[8:16]", "d.weight"}
    assert found.effect_of_decay("u.weight") == (
        "Decay regularises: no scaling of `u.weight[0:8]` leaves the outputs unchanged; but the "
        "scale of `u.weight[8:16]` can move to `d.weight`."
    )


def test_parts_are_told_in_the_table_and_kept_in_a_file():
    found = audit(Gated(), (torch.randn(4, 6),))
    told = str(found).split("Symmetries of parts of tensors\n")[1].split("\n")[0]
    assert sorted(told.split()) == ["against", "d.weight", "rescaling:", "u.weight[8:16]"]
    assert Audit.from_dict(found.to_dict()).piece_symmetries == found.piece_symmetries


def test_parts_of_a_frozen_tensor_stay():
    model = Fused(chunked)
    model.qkv.bias.requires_grad_(False)
    found = audit(model, (torch.randn(2, 5, 8),))
    assert not found.piece_symmetries


class Sliced(nn.Module):
    """Positions of a table, of which the inputs reach a part."""

    def __init__(self):
        super().__init__()
        self.table, self.o = nn.Parameter(torch.randn(9, 4)), nn.Linear(4, 2)

    def forward(self, x):
        return self.o(x + self.table[: x.shape[1]])


def test_the_bias_of_the_keys_has_no_effect_in_torchs_own_attention():
    torch.manual_seed(0)
    model, x = nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(2, 5, 8)
    found = audit(model, (x, x, x), {"need_weights": False})
    inert = [s for s in found.piece_symmetries if s.kind == "inert"]
    assert [dict(s.exponents) for s in inert] == [{"in_proj_bias[8:16]": 1}]
    assert "`in_proj_bias[8:16]` has no effect" in found.effect_of_decay("in_proj_bias")
    with torch.no_grad():
        before = model(x, x, x)[0].clone()
        model.in_proj_bias[8:16] = torch.randn(8)
        torch.testing.assert_close(model(x, x, x)[0], before)


def turned(y):
    q, k, v = chunked(y)
    return q, k * torch.arange(1.0, 6.0)[:, None], v


def test_a_bias_of_keys_that_differs_from_place_to_place_has_an_effect():
    found = audit(Fused(turned), (torch.randn(2, 5, 8),))
    assert all(s.kind == "rescaling" for s in found.piece_symmetries)


def test_what_these_inputs_do_not_reach_is_no_symmetry():
    assert not audit(Sliced(), (torch.randn(2, 5, 4),)).piece_symmetries


def test_without_a_measurement_they_are_only_proved():
    with torch.device("meta"):
        model, x = Fused(chunked), torch.randn(2, 5, 8)
    assert len(audit(model, (x,)).piece_symmetries) == 3


@pytest.mark.parametrize("seed", range(4))
def test_fused_matrices_have_the_symmetries_of_separate_ones(seed):
    """The null space of gradients, a number for each third of the matrix and for each tensor."""
    torch.manual_seed(seed)
    model = Fused(chunked).double()
    rows = []
    for _ in range(16):
        for p in model.parameters():
            p.data.normal_()
            p.grad = None
        y = model(torch.randn(3, 5, 8, dtype=torch.float64))
        (y * torch.randn_like(y)).sum().backward()
        inner = {n: (p * p.grad).detach() for n, p in model.named_parameters()}
        thirds = [part.sum() for n in ("qkv.weight", "qkv.bias") for part in inner[n].chunk(3)]
        rows.append(torch.stack([*thirds, inner["o.weight"].sum(), inner["o.bias"].sum()]))
    values = torch.linalg.svdvals(torch.stack(rows))
    missing = 8 - int((values > 1e-10 * values[0]).sum())
    assert missing == len(audit(model.float(), (torch.randn(3, 5, 8),)).piece_symmetries)
