"""Mixtures of experts by hand: of ReLU, rarely reached, with biases that only select."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from field._model import FieldModel, simple

RELU: Final = "mixture of ReLU experts"
RARE: Final = "experts that are rarely reached"
SELECTION: Final = "bias that only selects"


class Expert(nn.Module):
    """Two layers."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.up, self.down = (
            nn.Linear(width, width, bias=False),
            nn.Linear(width, width, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.relu(self.up(x)))


class Mixed(nn.Module):
    """A residual layer of experts that all take part; one expert needs no router."""

    def __init__(self, experts: int) -> None:
        super().__init__()
        self.router = nn.Linear(6, experts, bias=False) if experts > 1 else None
        self.experts = nn.ModuleList(Expert() for _ in range(experts))
        self.norm = nn.RMSNorm(6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        p = self.router(y).softmax(-1) if self.router else torch.ones_like(y[..., :1])
        return x + sum(p[..., i : i + 1] * expert(y) for i, expert in enumerate(self.experts))


class Stream(nn.Module):
    """Such layers one after the other."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.first, self.layers = nn.Linear(5, 6, bias=False), nn.Sequential(*layers)
        self.norm, self.head = nn.RMSNorm(6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.layers(self.first(x))))


class Switch(nn.Module):
    """Each row goes to one expert."""

    def __init__(self, experts: int, *, index: bool = False) -> None:
        super().__init__()
        self.router = nn.Linear(6, experts, bias=False)
        self.experts = nn.ModuleList(nn.Linear(6, 6) for _ in range(experts))
        self.index = index

    def forward(self, x: Tensor) -> Tensor:
        p = self.router(x).softmax(-1)
        chosen, y = p.argmax(-1), torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            if self.index:
                (rows,) = torch.where(chosen == i)
                y = y.index_add(0, rows, expert(x[rows]) * p[rows, i, None])
            else:
                y = y + expert(x) * (p[:, i] * (chosen == i))[:, None]
        return x + torch.relu(y)


class Rare(nn.Module):
    """A few rows, and many experts."""

    def __init__(self, experts: int = 8, *, index: bool = False) -> None:
        super().__init__()
        self.mixture, self.head = Switch(experts, index=index), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.mixture(x))


class Conditional(nn.Module):
    """One of two layers, by the sign of the inputs."""

    def __init__(self, *, norm: bool) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)
        self.n, self.h = nn.LayerNorm(6) if norm else nn.Identity(), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.where(x.sum(-1, keepdim=True) > 0, self.a(x), self.b(x))
        return self.h(self.n(y))


class Selected(nn.Module):
    """A bias is added where experts are chosen, and not where they are weighed."""

    def __init__(self, *, parameter: bool, gate: str = "sigmoid", top: int = 2) -> None:
        super().__init__()
        self.gate, self.top = nn.Linear(6, 4, bias=False), top
        bias = torch.randn(4)
        if parameter:
            self.bias = nn.Parameter(bias)
        else:
            self.register_buffer("bias", bias)
        self.weights = nn.Parameter(torch.randn(4, 6, 6))
        self.score = getattr(torch, gate)

    def forward(self, x: Tensor) -> Tensor:
        p = self.score(self.gate(x))
        chosen = torch.topk(p + self.bias, self.top, -1).indices
        w = torch.gather(p, -1, chosen)
        w = w / w.sum(-1, keepdim=True)
        each = torch.einsum("bd,edh->beh", x, self.weights)
        read = torch.gather(each, 1, chosen.unsqueeze(-1).expand(-1, -1, 6))
        return (read * w.unsqueeze(-1)).sum(1)


class Hard(nn.Module):
    """Only the best score counts, and not its size: gate and bias go together."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(6, 3), nn.Parameter(torch.randn(3, 6, 2))

    def forward(self, x: Tensor) -> Tensor:
        chosen = F.one_hot(self.gate(x).argmax(-1), 3).to(x.dtype)
        return torch.einsum("bd,edo,be->bo", x, self.experts, chosen)


class Soft(nn.Module):
    """Slots that are soft mixtures of the rows, normalised on both sides."""

    def __init__(self) -> None:
        super().__init__()
        self.phi, self.scale = nn.Parameter(torch.randn(6, 4)), nn.Parameter(torch.ones(1))
        self.experts, self.head = nn.ModuleList(Expert() for _ in range(2)), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        scores = F.normalize(x, dim=-1) @ (self.scale * F.normalize(self.phi, dim=0))
        slots = scores.softmax(1).mT @ x
        y = torch.cat([e(s) for e, s in zip(self.experts, slots.chunk(2, 1), strict=True)], 1)
        return self.head(scores.softmax(-1) @ y)


MODELS: Final[tuple[FieldModel, ...]] = (
    simple(RELU, "four experts at the end", lambda: Stream(Mixed(1), Mixed(1), Mixed(4)), (8, 5)),
    simple(RELU, "experts in each layer", lambda: Stream(Mixed(3), Mixed(2), Mixed(3)), (8, 5)),
    simple(RELU, "experts first", lambda: Stream(Mixed(4), Mixed(1)), (8, 5)),
    simple(RELU, "five dense layers", lambda: Stream(*(Mixed(1) for _ in range(5))), (8, 5)),
    simple(RELU, "soft mixture", Soft, (2, 5, 6)),
    simple(RARE, "switch of eight, four rows", Rare, (4, 6)),
    simple(RARE, "switch of twelve, four rows", lambda: Rare(12), (4, 6)),
    simple(RARE, "switch by index", lambda: Rare(4, index=True), (8, 6)),
    simple(RARE, "one of two layers", lambda: Conditional(norm=False), (8, 6)),
    simple(RARE, "one of two layers, norm", lambda: Conditional(norm=True), (8, 6)),
    simple(SELECTION, "selection bias, parameter", lambda: Selected(parameter=True), (24, 6)),
    simple(SELECTION, "selection bias, buffer", lambda: Selected(parameter=False), (24, 6)),
    simple(SELECTION, "selection bias, exponential",
           lambda: Selected(parameter=True, gate="exp"), (24, 6)),
    simple(SELECTION, "selection bias, top 1", lambda: Selected(parameter=True, top=1), (24, 6)),
    simple(SELECTION, "hard gate", Hard, (24, 6)),
)  # fmt: skip
