"""Attention by itself: queries, keys and values, with and without norms and positions."""

import math
from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from etaeff.geometry import Block
from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._parts import Called, sequences


class Attention(nn.Module):
    """Causal self-attention with separate q, k, v."""

    def __init__(
        self,
        width: int = 8,
        heads: int = 2,
        *,
        bias: bool = True,
        norm: Callable[[int], nn.Module] | None = None,
        rotary: bool = False,
        written_out: bool = False,
    ) -> None:
        super().__init__()
        self.q, self.k = nn.Linear(width, width, bias=bias), nn.Linear(width, width, bias=bias)
        self.v, self.o = nn.Linear(width, width), nn.Linear(width, width)
        if norm:
            self.q_norm, self.k_norm = norm(width // heads), norm(width // heads)
        self.heads, self.normalised, self.rotary = heads, norm is not None, rotary
        self.written_out = written_out

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (self.split(part(x)) for part in (self.q, self.k, self.v))
        if self.normalised:
            q, k = self.q_norm(q), self.k_norm(k)
        if self.rotary:
            q, k = rotated(q), rotated(k)
        if self.written_out:
            scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
            later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
            read = scores.masked_fill(later, -math.inf).softmax(-1) @ v
        else:
            read = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o(read.transpose(1, 2).flatten(2))

    def split(self, x: Tensor) -> Tensor:
        """The heads of (batch, length, width), as (batch, heads, length, width / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def rotated(x: Tensor) -> Tensor:
    """Rotary positions: pairs of entries turned by an angle that grows along the sequence."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[-2])[:, None] * 10.0 ** -torch.arange(half)
    cos, sin = angle.cos().repeat(1, 2), angle.sin().repeat(1, 2)
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


class Fused(nn.Module):
    """Self-attention with q, k and v in one matrix: one after another, or head by head."""

    def __init__(self, *, by_head: bool = False) -> None:
        super().__init__()
        self.qkv, self.o, self.by_head = nn.Linear(8, 24), nn.Linear(8, 8), by_head

    def forward(self, x: Tensor) -> Tensor:
        if self.by_head:
            q, k, v = self.qkv(x).unflatten(-1, (2, 12)).transpose(1, 2).chunk(3, -1)
        else:
            parts = self.qkv(x).chunk(3, -1)
            q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in parts)
        read = F.scaled_dot_product_attention(q, k, v)
        return self.o(read.transpose(1, 2).flatten(2))


class FusedGate(nn.Module):
    """A gated layer whose gate and values are one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.down = nn.Linear(8, 12), nn.Linear(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.both(x).chunk(2, -1)
        return self.down(F.silu(gate) * up)


class Distances(nn.Module):
    """Attention of one head; a fixed bias grows with the distance."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(8, 4), nn.Linear(8, 4), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.q(x) @ self.k(x).mT - 0.1 * torch.arange(float(x.shape[1]))
        return scores.softmax(-1) @ self.v(x)


CASES: Final = (
    Case(
        name="attention, sdpa",
        because="Scores have a scale, so q goes against k, whose bias adds the same to all scores "
        "of a query; values go through a weighted mean to o.",
        build=lambda: Called(a=Attention()),
        inputs=sequences(),
        symmetries=("a.q.* / a.k.weight", "a.v.* / a.o.weight"),
        inert="a.k.bias",
        homogeneous=("a.o.*", 1),
        balances="a.q.* a.k.weight a.v.* a.o.weight",
    ),
    Case(
        name="attention, fused",
        because="Scores fix the scale of the one matrix of q, k and v, as a whole. Its thirds have "
        "scales of their own: q against k, v against o; and softmax forgets the bias of k.",
        build=lambda: Called(a=Fused()),
        inputs=sequences(),
        homogeneous=("a.o.*", 1),
        balances="a.qkv.* a.o.weight",
    ),
    Case(
        name="attention, fused head by head",
        because="The same, with q, k and v of each head side by side.",
        build=lambda: Called(a=Fused(by_head=True)),
        inputs=sequences(),
        homogeneous=("a.o.*", 1),
        balances="a.qkv.* a.o.weight",
    ),
    Case(
        name="fused gate",
        because="SiLU fixes the scale of the gate, and so of the one matrix, as a whole; its other "
        "half goes against what reads it.",
        build=lambda: Called(g=FusedGate()),
        inputs=sequences(),
        homogeneous=("g.down.*", 1),
        balances="g.down.weight",
    ),
    Case(
        name="attention written out",
        because="As with sdpa: q against k, v against o; that softmax forgets what a bias of k "
        "adds to all scores of a query, the graph of its parts does not show.",
        build=lambda: Called(a=Attention(written_out=True)),
        inputs=sequences(),
        symmetries=("a.q.* / a.k.weight", "a.v.* / a.o.weight"),
        inert="a.k.bias",
        homogeneous=("a.o.*", 1),
        balances="a.q.* a.k.weight a.v.* a.o.weight",
        unproved="a.k.bias",
    ),
    Case(
        name="attention with distances",
        because="Distances are added to the scores, which have a scale anyway: q against k, whose "
        "bias softmax forgets; the outputs are linear in v.",
        build=Distances,
        inputs=sequences(),
        symmetries=("q.* / k.weight",),
        inert="k.bias",
        homogeneous=("v.*", 1),
        balances="q.* k.weight",
    ),
    Case(
        name="attention, rotary",
        because="Rotated, the bias of the keys differs from place to place and no longer adds the "
        "same to all scores, so it scales with its weight against q; v against o.",
        build=lambda: Called(a=Attention(rotary=True)),
        inputs=sequences(),
        symmetries=("a.q.* / a.k.*", "a.v.* / a.o.weight"),
        homogeneous=("a.o.*", 1),
        balances="a.q.* a.k.* a.v.* a.o.weight",
    ),
    Case(
        name="attention with qk-norm",
        because="A norm forgets the scale of each head of q and of k; their gains go against each "
        "other in the scores, and v against o.",
        build=lambda: Called(a=Attention(bias=False, norm=nn.RMSNorm, rotary=True)),
        inputs=sequences(),
        symmetries=(
            "a.q.weight",
            "a.k.weight",
            "a.q_norm.weight / a.k_norm.weight",
            "a.v.* / a.o.weight",
        ),
        blocks=(Block(("a.q.weight",), count=2), Block(("a.k.weight",), count=2)),
        homogeneous=("a.o.*", 1),
        lr="a.q.weight a.k.weight",
        balances="a.q_norm.weight a.k_norm.weight a.v.* a.o.weight",
    ),
    Case(
        name="attention with qk layer norm and biases",
        because="Biases of q and k feed a norm, so each head has them in its sphere; a shift that "
        "all keys share is forgotten by softmax, and that of the queries goes with their gain.",
        build=lambda: Called(a=Attention(norm=nn.LayerNorm)),
        inputs=sequences(),
        symmetries=("a.q.*", "a.k.*", "a.q_norm.* / a.k_norm.weight", "a.v.* / a.o.weight"),
        inert="a.k_norm.bias",
        blocks=(
            Block(("a.q.weight", "a.q.bias"), count=2),
            Block(("a.k.weight", "a.k.bias"), count=2),
        ),
        homogeneous=("a.o.*", 1),
        lr="a.q.* a.k.*",
        balances="a.q_norm.* a.k_norm.weight a.v.* a.o.weight",
        unproved="a.k_norm.bias",
    ),
)
