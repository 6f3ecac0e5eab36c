"""Chance from Python and NumPy, and numbers that leave torch."""

import random
from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from field._model import FieldModel, simple

CHANCE: Final = "chance of Python or NumPy"
NUMBERS: Final = "numbers that leave torch"


class Skipping(nn.Module):
    """Layers that are skipped by chance, as LayerDrop does it."""

    def __init__(
        self, chance: Callable[[], float], share: float = 0.4, *, normed: bool = False
    ) -> None:
        super().__init__()
        self.chance, self.share = chance, share
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
        self.norm = nn.LayerNorm(6) if normed else nn.Identity()
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            if self.training and self.chance() < self.share:
                continue
            x = x + torch.relu(layer(self.norm(x)))
        return self.head(self.norm(x))


class Shuffled(nn.Module):
    """Channels whose order is drawn by Python."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        order = random.sample(range(4), 4)
        return self.b(torch.relu(self.a(x))[:, order])


class Masked(nn.Module):
    """Entries that NumPy masks, as the spectra of speech models are."""

    def __init__(self) -> None:
        super().__init__()
        self.mask, self.a = nn.Parameter(torch.rand(6)), nn.Linear(6, 6)
        self.norm, self.b = nn.LayerNorm(6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        chosen = torch.from_numpy(np.random.rand(*x.shape[:2]) < 0.5)  # noqa: NPY002
        x = self.a(x)
        return self.b(self.norm(torch.where(chosen[..., None], self.mask, x)))


class Augmented(nn.Module):
    """A sign of the inputs and a scale, drawn by NumPy."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n, self.b = nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x * float(np.random.choice([-1.0, 1.0])) * np.random.uniform(0.5, 2.0)  # noqa: NPY002
        return self.b(torch.relu(self.n(self.a(x))))


class Branches(nn.Module):
    """One of two branches, chosen by Python."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.a if random.random() < 0.5 else self.b
        return self.c(torch.relu(branch(x)))


class Ratio(nn.Module):
    """Outputs times a ratio of norms that NumPy computes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5, bias=False), nn.Linear(5, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        norms = [np.linalg.norm(layer.weight.detach().numpy()) for layer in (self.a, self.b)]
        return self.b(torch.relu(self.a(x))) * float(norms[1] / norms[0])


class Item(nn.Module):
    """A weight divided by its norm as a number of Python's."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5, bias=False), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.a.weight / self.a.weight.norm().item()
        return self.b(torch.relu(x @ weight.T))


class Order(nn.Module):
    """Columns sorted by scores in NumPy: only the order of the scores counts."""

    def __init__(self) -> None:
        super().__init__()
        self.scores, self.b = nn.Parameter(torch.randn(6)), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(x[:, np.argsort(self.scores.detach().numpy()).copy()])


class Direction(nn.Module):
    """A vector that NumPy normalises."""

    def __init__(self) -> None:
        super().__init__()
        self.d, self.b = nn.Parameter(torch.randn(6)), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        d = self.d.detach().numpy()
        return self.b(x * torch.from_numpy(d / np.linalg.norm(d)))


class Threshold(nn.Module):
    """A threshold that leaves torch as a number and comes back in a clamp."""

    def __init__(self) -> None:
        super().__init__()
        self.t, self.a, self.b = nn.Parameter(torch.rand(1) + 0.5), nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x).clamp(max=self.t.item()))


MODELS: Final[tuple[FieldModel, ...]] = (
    simple(CHANCE, "skipping, random", lambda: Skipping(random.random), (4, 6)),
    simple(CHANCE, "skipping, numpy", lambda: Skipping(np.random.rand, normed=True), (4, 6)),
    simple(CHANCE, "skipping most, random", lambda: Skipping(random.random, 0.6), (4, 6)),
    simple(CHANCE, "skipping most, numpy", lambda: Skipping(np.random.rand, 0.6), (4, 6)),
    simple(CHANCE, "shuffled channels", Shuffled, (4, 5)),
    simple(CHANCE, "masked by numpy", Masked, (3, 5, 6)),
    simple(CHANCE, "augmented by numpy", Augmented, (8, 6)),
    simple(CHANCE, "branches by random", Branches, (4, 6)),
    simple(NUMBERS, "ratio of norms", Ratio, (8, 6)),
    simple(NUMBERS, "norm as an item", Item, (8, 6)),
    simple(NUMBERS, "argsort in numpy", Order, (8, 6)),
    simple(NUMBERS, "direction in numpy", Direction, (8, 6)),
    simple(NUMBERS, "threshold as an item", Threshold, (8, 6)),
)
