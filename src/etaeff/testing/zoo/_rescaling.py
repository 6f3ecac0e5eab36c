"""Rescalings without a normalisation: a layer against the layer that reads it."""

from collections.abc import Callable
from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._parts import HEAD, Called, Plus, images, tokens, vectors


class Shared(nn.Module):
    """One weight used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(3, 3, bias=False)
        self.head = nn.Linear(3, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.twice(self.twice(x).relu()).relu())


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a = nn.Linear(3, 4), nn.Linear(4, 6)
        self.b, self.head = nn.Linear(6, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(x + self.b(self.a(x).relu()))


class Gated(nn.Module):
    def __init__(self, act: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(3, 5), nn.Linear(3, 5), nn.Linear(5, 2)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.act(self.gate(x)) * self.up(x))


CASES: Final = (
    Case(
        name="relu mlp",
        because="ReLU and LeakyReLU keep a scale: a layer with its bias against the weight that "
        "reads it, whose own bias stays.",
        build=lambda: Called(
            a=nn.Linear(3, 4),
            f=nn.ReLU(),
            b=nn.Linear(4, 4),
            g=nn.LeakyReLU(),
            head=nn.Linear(4, 2),
        ),
        inputs=vectors(),
        symmetries=("a.* / b.weight", "b.* / head.weight"),
        homogeneous=HEAD,
        balances="a.* b.* head.weight",
    ),
    Case(
        name="relu mlp without biases",
        because="The output is linear in each of three weights, so that only the sum of their "
        "exponents counts: it must be zero.",
        build=lambda: Called(
            a=nn.Linear(3, 4, bias=False),
            f=nn.ReLU(),
            b=nn.Linear(4, 4, bias=False),
            g=nn.ReLU(),
            head=nn.Linear(4, 2, bias=False),
        ),
        inputs=vectors(),
        symmetries=("a.weight / b.weight", "b.weight / head.weight"),
        homogeneous=("head.weight", 1),
        balances="*",
    ),
    Case(
        name="a weight used twice",
        because="The output has degree 2 in the weight w that is used twice and 1 in the head v: "
        "2w + v = 0.",
        build=Shared,
        inputs=vectors(),
        symmetries=("twice.weight / 2·head.weight",),
        homogeneous=("head.weight", 1),
        balances="*",
    ),
    Case(
        name="prelu mlp",
        because="PReLU keeps a scale whatever its slopes, which have none themselves: at 0 it is "
        "ReLU, at 1 linear.",
        build=lambda: Called(a=nn.Linear(3, 4), f=nn.PReLU(4), head=nn.Linear(4, 2)),
        inputs=vectors(),
        symmetries=("a.* / head.weight",),
        homogeneous=HEAD,
        balances="a.* head.weight",
    ),
    Case(
        name="max-pool",
        because="The largest of numbers that are scaled together is scaled with them: the "
        "convolution with its bias against the head.",
        build=lambda: Called(
            conv=nn.Conv2d(3, 4, 3),
            f=nn.ReLU(),
            m=nn.MaxPool2d(2),
            flat=nn.Flatten(),
            head=nn.Linear(16, 2),
        ),
        inputs=images(),
        symmetries=("conv.* / head.weight",),
        homogeneous=HEAD,
        balances="conv.* head.weight",
    ),
    Case(
        name="residual add",
        because="Both summands scale as the stem, s: a.bias = a.weight + s, a.weight + b.weight = "
        "0, b.bias = s and head.weight = −s, with s and a.weight free.",
        build=Residual,
        inputs=vectors(),
        symmetries=("stem.* a.bias b.bias / head.weight", "a.* / b.weight"),
        homogeneous=HEAD,
        balances="stem.* a.* b.* head.weight",
    ),
    Case(
        name="relu mlp with a constant",
        because="What is added to a constant cannot scale; as no division needs it, the constant "
        "is no ε, however small.",
        build=lambda: Called(a=nn.Linear(3, 4), f=nn.ReLU(), g=Plus(1e-3), head=nn.Linear(4, 2)),
        inputs=vectors(),
        homogeneous=HEAD,
    ),
    Case(
        name="silu-gated mlp",
        because="SiLU fixes the scale of the gate; what it is multiplied with is linear, and goes "
        "against the weight that reads the product.",
        build=lambda: Gated(F.silu),
        inputs=vectors(),
        symmetries=("up.* / down.weight",),
        homogeneous=("down.*", 1),
        balances="up.* down.weight",
    ),
    Case(
        name="relu-gated mlp",
        because="ReLU keeps the scale of the gate: both factors of the product go against the "
        "weight that reads it.",
        build=lambda: Gated(F.relu),
        inputs=vectors(),
        symmetries=("up.* / down.weight", "gate.* / down.weight"),
        homogeneous=("down.*", 1),
        balances="gate.* up.* down.weight",
    ),
    Case(
        name="embedding",
        because="A table is a linear layer of its rows: it goes against the weight that reads it, "
        "and that layer against the head.",
        build=lambda: Called(
            table=nn.Embedding(7, 4), a=nn.Linear(4, 4), f=nn.ReLU(), head=nn.Linear(4, 2)
        ),
        inputs=tokens("x"),
        symmetries=("table.weight / a.weight", "a.* / head.weight"),
        homogeneous=HEAD,
        balances="table.weight a.* head.weight",
    ),
)
