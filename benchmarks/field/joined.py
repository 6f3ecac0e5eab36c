"""What is joined and cut again: caches, pieces, heads of one matrix, more outputs than one."""

from collections.abc import Callable
from functools import partial
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from field._model import Built, FieldModel, simple

CACHES: Final = "caches that begin empty"
PIECES: Final = "joined, then cut"
FUSED: Final = "queries, keys and values in one matrix"
OUTPUTS: Final = "auxiliary outputs"


class Cached(nn.Module):
    """Attention whose keys and values are put behind those of an empty cache."""

    def __init__(self, empty: Callable[[], Tensor] | None, *, norm: bool = False) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(6, 6) for _ in range(4))
        self.n, self.empty = nn.LayerNorm(6) if norm else nn.Identity(), empty
        self.register_buffer("before", torch.zeros(1, 2, 6))

    def forward(self, x: Tensor) -> Tensor:
        k, v = self.k(x), self.v(x)
        if self.empty is None:
            k, v = (torch.cat([self.before.expand(len(x), -1, -1), y], 1) for y in (k, v))
        else:
            k, v = (torch.cat([self.empty().to(y), y], -2) for y in (k, v))
        return self.o(self.n(F.scaled_dot_product_attention(self.q(x), k, v)))


class Lists(nn.Module):
    """A running list that begins with nothing, and is stacked at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.h = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        states, state = torch.zeros(0, len(x), 6), torch.zeros(len(x), 6)
        for step in x.unbind(1):
            state = torch.relu(self.a(step) + F.linear(state, self.b.weight))
            states = torch.cat([states, state[None]])
        return self.h(states)


class CatSplit(nn.Module):
    """Two layers, joined and cut where they were joined, each with a norm."""

    def __init__(self, sizes: tuple[int, int] = (5, 5), where: str = "chunk") -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, sizes[0]), nn.Linear(6, sizes[1])
        self.n1, self.n2 = nn.LayerNorm(sizes[0]), nn.LayerNorm(sizes[1])
        self.h, self.g = nn.Linear(sizes[0], 2), nn.Linear(sizes[1], 2)
        self.sizes, self.where = sizes, where

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([self.a(x), self.b(x)], -1)
        if self.where == "chunk":
            p, q = y.chunk(2, -1)
        elif self.where == "split":
            p, q = y.split(list(self.sizes), -1)
        else:
            p, q = y[..., : self.sizes[0]], y[..., self.sizes[0] :]
        return self.h(torch.relu(self.n1(p))) + self.g(torch.relu(self.n2(q)))


class Stacked(nn.Module):
    """Layers side by side in a new axis, normalised each by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.n = nn.Linear(6, 5), nn.Linear(6, 5), nn.LayerNorm(5)
        self.h = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.h(self.n(torch.stack([self.a(x), self.b(x)])).mean(0))


class GroupedCat(nn.Module):
    """Two convolutions, joined, with one group of a norm for each."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.n, self.h = nn.GroupNorm(2, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.h(torch.relu(self.n(torch.cat([self.a(x), self.b(x)], 1))).mean((2, 3)))


class HeadNorms(nn.Module):
    """A norm of its own for each head, as StableLM has them."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(6, 6, bias=False) for _ in range(3))
        self.qn = nn.ModuleList(nn.LayerNorm(3, bias=False) for _ in range(2))
        self.kn = nn.ModuleList(nn.LayerNorm(3, bias=False) for _ in range(2))
        self.o = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (m(x).unflatten(-1, (2, 3)).transpose(1, 2) for m in (self.q, self.k, self.v))
        q, k = (
            torch.cat([n(h) for n, h in zip(norms, y.split(1, 1), strict=True)], 1)
            for norms, y in ((self.qn, q), (self.kn, k))
        )
        y = F.scaled_dot_product_attention(q, k, v)
        return self.o(y.transpose(1, 2).flatten(2))


class Dense(nn.Module):
    """Each layer reads all before it, as in DenseNet."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3 + 4 * i, 4, 3, padding=1) for i in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(3))
        self.h = nn.Linear(15, 2)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = torch.cat([x, torch.relu(norm(conv(x)))], 1)
        return self.h(x.mean((2, 3)))


class Fused(nn.Module):
    """Attention whose queries, keys and values come from one matrix."""

    def __init__(self, norm: str = "", *, bias: bool = True, interleaved: bool = False) -> None:
        super().__init__()
        self.qkv, self.o = nn.Linear(6, 18, bias=bias), nn.Linear(6, 6)
        self.n, self.h, self.norm, self.interleaved = (
            nn.LayerNorm(6),
            nn.Linear(6, 2),
            norm,
            interleaved,
        )
        if norm:
            self.qn, self.kn = nn.RMSNorm(3), nn.RMSNorm(3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.qkv(self.n(x))
        if self.interleaved:
            q, k, v = (t.transpose(1, 2) for t in y.unflatten(-1, (2, 3, 3)).unbind(3))
        else:
            q, k, v = (t.unflatten(-1, (2, 3)).transpose(1, 2) for t in y.chunk(3, -1))
        if self.norm:
            q, k = self.qn(q), self.kn(k)
        read = F.scaled_dot_product_attention(q, k, v)
        return self.h(x + self.o(read.transpose(1, 2).flatten(2)))


class GatedFused(nn.Module):
    """A gate and a value in one matrix, as in GLU."""

    def __init__(self, gate: str) -> None:
        super().__init__()
        self.up, self.down, self.gate = nn.Linear(6, 10), nn.Linear(5, 2), getattr(torch, gate)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.up(x).chunk(2, -1)
        return self.down(self.gate(gate) * value)


class Multihead(nn.Module):
    """torch's attention, with its own matrices for keys and values or not."""

    def __init__(self, **settings: object) -> None:
        super().__init__()
        self.a = nn.MultiheadAttention(6, 2, batch_first=True, **settings)
        self.h, self.settings = nn.Linear(6, 2), settings

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.h(self.a(x, y, y, need_weights=False)[0])


class Auxiliary(nn.Module):
    """An encoder that returns what a loss does not need beside what it does."""

    def __init__(self, *, hidden: bool, loss: bool = False) -> None:
        super().__init__()
        self.a, self.n, self.b = nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 3)
        self.hidden, self.loss = hidden, loss

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        hidden = self.a(x)
        logits = self.b(self.n(hidden))
        outputs = {"logits": logits}
        if self.hidden:
            outputs["hidden"] = hidden
        if self.loss:
            outputs["loss"] = F.cross_entropy(logits, torch.zeros(len(x), dtype=torch.long))
        return outputs


class TwoTowers(nn.Module):
    """Two towers whose normalised outputs are compared; also what is not normalised is returned."""

    def __init__(self, *, raw: bool) -> None:
        super().__init__()
        self.a, self.b, self.raw = nn.Linear(6, 4), nn.Linear(5, 4), raw
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        p, q = self.a(x), self.b(y)
        logits = self.scale.exp() * F.normalize(p, dim=-1) @ F.normalize(q, dim=-1).T
        return (logits, p) if self.raw else (logits,)


class Integers(nn.Module):
    """Whole numbers beside the outputs, and a nest of them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> dict[str, object]:
        y = self.b(torch.relu(self.a(x)))
        return {"best": y.argmax(-1), "all": [(y, {"mask": y > 0})], "size": len(x), "none": None}


def _kept(other: bool) -> Built:
    """Torch's attention with keys of another width, or not."""
    width = 4 if other else 6
    model = Multihead(**({"kdim": 4, "vdim": 4} if other else {}))
    return model, (torch.randn(2, 5, 6), torch.randn(2, 7, width)), {}


MODELS: Final[tuple[FieldModel, ...]] = (
    simple(CACHES, "empty tensor of the shape", lambda: Cached(lambda: torch.zeros(3, 0, 6)),
           (3, 5, 6)),
    simple(CACHES, "empty tensor of the shape, norm",
           lambda: Cached(lambda: torch.zeros(3, 0, 6), norm=True), (3, 5, 6)),
    simple(CACHES, "empty vector", lambda: Cached(lambda: torch.tensor([])), (3, 5, 6)),
    simple(CACHES, "zeros in a buffer", lambda: Cached(None), (3, 5, 6)),
    simple(CACHES, "list that begins with nothing", Lists, (3, 4, 6)),
    simple(PIECES, "cat, chunk", CatSplit, (4, 6)),
    simple(PIECES, "cat, split", lambda: CatSplit((4, 6), "split"), (4, 6)),
    simple(PIECES, "cat, slices", lambda: CatSplit((4, 6), "slices"), (4, 6)),
    simple(PIECES, "stack, norm", Stacked, (4, 6)),
    simple(PIECES, "cat, group norm", GroupedCat, (2, 3, 8, 8)),
    simple(PIECES, "a norm for each head", HeadNorms, (3, 5, 6)),
    simple(PIECES, "dense blocks", Dense, (3, 3, 6, 6)),
    simple(FUSED, "fused attention", Fused, (3, 5, 6)),
    simple(FUSED, "fused attention without bias", lambda: Fused(bias=False), (3, 5, 6)),
    simple(FUSED, "fused attention, norms of heads", lambda: Fused("rms", bias=False), (3, 5, 6)),
    simple(FUSED, "fused attention, interleaved", lambda: Fused(interleaved=True), (3, 5, 6)),
    simple(FUSED, "fused gate, sigmoid", lambda: GatedFused("sigmoid"), (4, 6)),
    simple(FUSED, "fused gate, relu", lambda: GatedFused("relu"), (4, 6)),
    FieldModel("torch's attention", FUSED, partial(_kept, False)),
    FieldModel("torch's attention, other widths", FUSED, partial(_kept, True)),
    simple(OUTPUTS, "logits alone", lambda: Auxiliary(hidden=False), (4, 6)),
    simple(OUTPUTS, "logits and hidden", lambda: Auxiliary(hidden=True), (4, 6)),
    simple(OUTPUTS, "logits and loss", lambda: Auxiliary(hidden=False, loss=True), (4, 6)),
    simple(OUTPUTS, "two towers", lambda: TwoTowers(raw=False), (4, 6), (4, 5)),
    simple(OUTPUTS, "two towers, one raw", lambda: TwoTowers(raw=True), (4, 6), (4, 5)),
    simple(OUTPUTS, "whole numbers in a nest", Integers, (4, 6)),
)  # fmt: skip
