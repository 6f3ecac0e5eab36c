"""Views of other types and shapes, and memory that several names share."""

import math
from functools import partial
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from field._model import Built, FieldModel, simple

COMPLEX: Final = "complex views"
MEMORY: Final = "shared memory"
ODD: Final = "odd parameters"


class GlobalFilter(nn.Module):
    """A filter of all frequencies, stored as pairs of real numbers, before a norm."""

    def __init__(self, *, norm: bool) -> None:
        super().__init__()
        self.p, self.w = nn.Linear(6, 6, bias=False), nn.Parameter(torch.randn(5, 6, 2))
        self.n, self.h = nn.RMSNorm(6) if norm else nn.Identity(), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        frequencies = torch.fft.rfft(self.p(x), dim=1) * torch.view_as_complex(self.w)
        return self.h(self.n(torch.fft.irfft(frequencies, n=8, dim=1)))


class Spectral(nn.Module):
    """A layer of a Fourier neural operator, whose weights are complex."""

    def __init__(self, *, norm: bool) -> None:
        super().__init__()
        self.lift, self.skip = nn.Linear(1, 4), nn.Linear(4, 4)
        self.w = nn.Parameter(torch.randn(3, 4, 4, dtype=torch.cfloat))
        self.n, self.h = nn.LayerNorm(4) if norm else nn.Identity(), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.lift(x)
        frequencies = torch.fft.rfft(x, dim=1)
        low = torch.einsum("bfi,fio->bfo", frequencies[:, :3], self.w)
        low = F.pad(torch.view_as_real(low), (0, 0, 0, 0, 0, frequencies.shape[1] - 3))
        y = torch.fft.irfft(torch.view_as_complex(low), n=x.shape[1], dim=1)
        return self.h(torch.relu(self.n(y + self.skip(x))))


class Rotation(nn.Module):
    """Entity and relation as complex numbers, of which the relation has unit size."""

    def __init__(self) -> None:
        super().__init__()
        self.entity, self.relation = nn.Embedding(7, 8), nn.Embedding(3, 8)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        h, r, t = (
            torch.view_as_complex(table(i).unflatten(-1, (4, 2)))
            for table, i in ((self.entity, head), (self.relation, relation), (self.entity, tail))
        )
        return self.scale * (h * (r / r.abs()) * t.conj()).real.sum(-1)


class Phases(nn.Module):
    """A diagonal state space: complex eigenvalues from real parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.log, self.angle = nn.Parameter(torch.rand(4)), nn.Parameter(torch.rand(4))
        self.b = nn.Parameter(torch.randn(4, 3, 2))
        self.c = nn.Parameter(torch.randn(2, 4, 2))

    def forward(self, x: Tensor) -> Tensor:
        a = torch.exp(torch.complex(-self.log.exp(), self.angle))
        state = torch.zeros(len(x), 4, dtype=a.dtype)
        for step in x.unbind(1):
            state = a * state + step.to(a.dtype) @ torch.view_as_complex(self.b).T
        return (state @ torch.view_as_complex(self.c).T).real


class Toeplitz(nn.Module):
    """A matrix of constant diagonals, as a strided view of a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.n, self.h = nn.Parameter(torch.randn(11)), nn.LayerNorm(6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.h(self.n(x @ self.w.as_strided((6, 6), (1, 1))))


class Imaginary(nn.Module):
    """Real and imaginary parts that are views of a complex product."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(6, 4, dtype=torch.cfloat))
        self.n, self.h = nn.LayerNorm(8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = x.to(self.w.dtype) @ self.w.conj().resolve_conj()
        return self.h(self.n(torch.cat([y.real, y.imag], -1)))


class TiedByMemory(nn.Module):
    """An embedding, and its memory as the head: a buffer, an attribute or another parameter."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.e, self.n, self.way = nn.Embedding(9, 6), nn.LayerNorm(6), way
        if way == "buffer":
            self.register_buffer("out", self.e.weight.data)
        elif way == "attribute":
            self.out = self.e.weight.detach()
        else:
            self.head = nn.Linear(6, 9, bias=False)
            self.head.weight = self.e.weight

    def forward(self, ids: Tensor) -> Tensor:
        out = self.head.weight if self.way == "parameter" else self.out
        return self.n(self.e(ids)) @ out.T


class Flat(nn.Module):
    """All weights in one vector, of which layers read pieces."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Parameter(torch.randn(6 * 5 + 5 + 5 * 2))
        self.n = nn.BatchNorm1d(5)

    def forward(self, x: Tensor) -> Tensor:
        a, b, c = self.flat.split([30, 5, 10])
        return torch.relu(self.n(x @ a.view(6, 5) + b)) @ c.view(5, 2)


class Odd(nn.Module):
    """Layers beside a parameter of another kind."""

    def __init__(self, p: nn.Parameter) -> None:
        super().__init__()
        self.a, self.n, self.h = nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2)
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return self.h(self.n(self.a(x)))


class MaskParameter(nn.Module):
    """A mask of −∞ that is stored as a frozen parameter."""

    def __init__(self) -> None:
        super().__init__()
        later = torch.full((5, 5), -math.inf).triu(1)
        self.mask = nn.Parameter(later, requires_grad=False)
        self.q, self.k, self.v = (nn.Linear(6, 4) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        scores = self.q(x) @ self.k(x).mT + self.mask
        return scores.softmax(-1) @ self.v(x)


class Quantised(nn.Module):
    """Frozen whole numbers times a scale that trains."""

    def __init__(self) -> None:
        super().__init__()
        codes = torch.randint(-8, 8, (5, 6), dtype=torch.int8)
        self.codes = nn.Parameter(codes, requires_grad=False)
        self.scale, self.h = nn.Parameter(torch.rand(5, 1)), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.h(torch.relu(x @ (self.codes.to(x.dtype) * self.scale).T))


def _tied(way: str) -> Built:
    """A model whose embedding is its head, and tokens."""
    return TiedByMemory(way), (torch.randint(0, 9, (3, 5)),), {}


def _triples() -> Built:
    """Heads, relations and tails."""
    return Rotation(), tuple(torch.randint(0, n, (12,)) for n in (7, 3, 7)), {}


def _odd(p: Tensor, trains: bool = False) -> nn.Module:
    """Layers beside such a parameter."""
    return Odd(nn.Parameter(p, requires_grad=trains))


MODELS: Final[tuple[FieldModel, ...]] = (
    simple(COMPLEX, "global filter", lambda: GlobalFilter(norm=False), (3, 8, 6)),
    simple(COMPLEX, "global filter, norm", lambda: GlobalFilter(norm=True), (3, 8, 6)),
    simple(COMPLEX, "spectral layer", lambda: Spectral(norm=False), (3, 8, 1)),
    simple(COMPLEX, "spectral layer, norm", lambda: Spectral(norm=True), (3, 8, 1)),
    FieldModel("rotations of a graph", COMPLEX, _triples),
    simple(COMPLEX, "state space", Phases, (3, 5, 3)),
    simple(COMPLEX, "strided view", Toeplitz, (4, 6)),
    simple(COMPLEX, "real and imaginary parts", Imaginary, (4, 6)),
    *(FieldModel(f"tied by memory, {way}", MEMORY, partial(_tied, way))
      for way in ("buffer", "attribute", "parameter")),
    simple(MEMORY, "one flat vector", Flat, (8, 6)),
    simple(ODD, "complex and unused", lambda: _odd(torch.randn(3, dtype=torch.cfloat), True),
           (5, 4)),
    simple(ODD, "whole numbers, unused", lambda: _odd(torch.arange(4)), (5, 4)),
    simple(ODD, "infinite, unused", lambda: _odd(torch.full((4,), -math.inf)), (5, 4)),
    simple(ODD, "empty", lambda: _odd(torch.zeros(0, 4), True), (5, 4)),
    simple(ODD, "mask of −∞", MaskParameter, (3, 5, 6)),
    simple(ODD, "quantised weight", Quantised, (8, 6)),
)  # fmt: skip
