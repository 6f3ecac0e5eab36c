"""Signs, orders and rounding: where the gradient says nothing, or something else."""

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from field._model import FieldModel, simple

SIGNS: Final = "weights behind a sign"
ORDERS: Final = "orders and maxima"
ROUNDED: Final = "rounding and quantised activations"


class Through(torch.autograd.Function):
    """A sign whose gradient passes as if it were not there."""

    @staticmethod
    def forward(ctx: Any, w: Tensor) -> Tensor:
        return w.sign()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g


class Binary(nn.Module):
    """A layer of signs."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.w, self.h, self.way = nn.Parameter(torch.randn(5, 6)), nn.Linear(5, 2), way

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "function":
            w = Through.apply(self.w)
        elif self.way == "detach":
            w = self.w + (self.w.sign() - self.w).detach()
        elif self.way == "scaled":
            w = self.w.sign() * self.w.abs().mean(1, keepdim=True)
        else:
            w = torch.where(self.w > 0, 1.0, -1.0)
        return self.h(torch.relu(x @ w.T))


class Ternary(nn.Module):
    """Weights that are 1, 0 or −1 times their mean size, as in BitNet; and activations in steps."""

    def __init__(self, *, norm: bool) -> None:
        super().__init__()
        self.w, self.h = nn.Parameter(torch.randn(6, 6)), nn.Linear(6, 2)
        self.e, self.n = nn.Linear(6, 6), nn.RMSNorm(6) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.e(x)
        scale = 127 / x.abs().amax(-1, keepdim=True).clamp(min=1e-5)
        x = x + ((x * scale).round().clamp(-128, 127) / scale - x).detach()
        size = self.w.abs().mean().clamp(min=1e-5)
        w = self.w + ((self.w / size).round().clamp(-1, 1) * size - self.w).detach()
        return self.h(self.n(x @ w.T))


class Bit(nn.Module):
    """Activations quantised by their own maximum before a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.e, self.w, self.h = nn.Linear(6, 6), nn.Parameter(torch.randn(6, 6)), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.e(x)
        scale = 127 / x.abs().amax(-1, keepdim=True).clamp(min=1e-5)
        return self.h(F.rms_norm((x * scale).round() / scale @ self.w, (6,)))


class Fixed(nn.Module):
    """Weights rounded to a fixed grid."""

    def __init__(self, *, through: bool) -> None:
        super().__init__()
        self.w, self.h, self.through = nn.Parameter(torch.randn(5, 6)), nn.Linear(5, 2), through

    def forward(self, x: Tensor) -> Tensor:
        w = (self.w * 4).round() / 4
        w = self.w + (w - self.w).detach() if self.through else w
        return self.h(torch.relu(x @ w.T))


class LearnedStep(nn.Module):
    """Weights in steps of a size that is learned; weight and step go together."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.step = nn.Parameter(torch.randn(5, 6)), nn.Parameter(torch.tensor(0.2))
        self.h = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        w = self.w / self.step
        w = (w + (w.round() - w).detach()) * self.step
        return self.h(torch.relu(x @ w.T))


class Best(nn.Module):
    """The word with the best score is embedded again."""

    def __init__(self) -> None:
        super().__init__()
        self.score, self.table, self.h = nn.Linear(6, 7), nn.Embedding(7, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.h(self.table(self.score(x).argmax(-1)))


class Sorted(nn.Module):
    """Rows in the order of a score, before a recurrent sum."""

    def __init__(self, *, values: bool) -> None:
        super().__init__()
        self.score, self.a, self.values = nn.Linear(6, 1), nn.Linear(6, 4), values

    def forward(self, x: Tensor) -> Tensor:
        scores, order = self.score(x).squeeze(-1).sort(-1)
        y = self.a(x).gather(1, order[..., None].expand(-1, -1, 4))
        steps = torch.arange(1.0, x.shape[1] + 1)[:, None]
        return (y * (scores[..., None] if self.values else steps)).cumsum(1)


class Codebook(nn.Module):
    """The nearest of some vectors, with a gradient that passes it."""

    def __init__(self, *, cosine: bool = False, loss: bool = False) -> None:
        super().__init__()
        self.e, self.codes, self.d = nn.Linear(6, 4), nn.Embedding(8, 4), nn.Linear(4, 3)
        self.cosine, self.loss = cosine, loss

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        z, codes = self.e(x), self.codes.weight
        if self.cosine:
            z, codes = F.normalize(z, dim=-1), F.normalize(codes, dim=-1)
        near = codes[torch.cdist(z, codes).argmin(-1)]
        y = self.d(z + (near - z).detach())
        return (y, (near - z.detach()).square().mean()) if self.loss else y


class Spikes(nn.Module):
    """A unit that fires above a threshold of its own, with a surrogate gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.t, self.h = nn.Linear(6, 5), nn.Parameter(torch.rand(5)), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        u = self.a(x) - self.t
        soft = torch.sigmoid(4 * u)
        return self.h(soft + ((u > 0).to(u.dtype) - soft).detach())


class TwoRows(nn.Module):
    """Batch Normalization of two rows leaves a sign of each entry, and no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n = nn.Linear(6, 6), nn.BatchNorm1d(6)
        self.b, self.m, self.h = nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.h(torch.relu(self.m(self.b(torch.relu(self.n(self.a(x)))))))


class Pruned(nn.Module):
    """A weight of which only the largest entries are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.h = nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        w = self.a.weight
        least = w.abs().flatten().kthvalue(w.numel() // 2).values
        return self.h(torch.relu(F.linear(x, w * (w.abs() > least), self.a.bias)))


class Popup(nn.Module):
    """Scores choose which of the weights are kept, as in edge-popup."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.scores = nn.Parameter(torch.randn(5, 6)), nn.Parameter(torch.randn(5, 6))
        self.h = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        s = self.scores.abs()
        mask = (s >= s.flatten().median()).to(x.dtype)
        return self.h(torch.relu(x @ (self.w * (s + (mask - s).detach())).T))


MODELS: Final[tuple[FieldModel, ...]] = (
    *(simple(SIGNS, f"signs, {way}", lambda way=way: Binary(way), (8, 6))
      for way in ("function", "detach", "scaled", "where")),
    simple(SIGNS, "spikes", Spikes, (8, 6)),
    simple(SIGNS, "batch norm of two rows", TwoRows, (2, 6)),
    simple(SIGNS, "batch norm of three rows", TwoRows, (3, 6)),
    simple(ORDERS, "embedding of the best", Best, (16, 6)),
    simple(ORDERS, "sorted by a score", lambda: Sorted(values=False), (3, 5, 6)),
    simple(ORDERS, "sorted by a score, with it", lambda: Sorted(values=True), (3, 5, 6)),
    simple(ORDERS, "codebook", Codebook, (16, 6)),
    simple(ORDERS, "codebook, loss", lambda: Codebook(loss=True), (16, 6)),
    simple(ORDERS, "codebook of directions", lambda: Codebook(cosine=True), (16, 6)),
    simple(ORDERS, "pruned by size", Pruned, (8, 6)),
    simple(ORDERS, "pruned by scores", Popup, (8, 6)),
    simple(ROUNDED, "ternary weights", lambda: Ternary(norm=False), (8, 6)),
    simple(ROUNDED, "ternary weights, norm", lambda: Ternary(norm=True), (8, 6)),
    simple(ROUNDED, "activations by their maximum", Bit, (8, 6)),
    simple(ROUNDED, "fixed grid", lambda: Fixed(through=False), (8, 6)),
    simple(ROUNDED, "fixed grid, straight through", lambda: Fixed(through=True), (8, 6)),
    simple(ROUNDED, "learned step", LearnedStep, (8, 6)),
)  # fmt: skip
