"""Networks that no scale passes through: only the last layer is free."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._parts import HEAD, Called, Pool, images, vectors


class FrozenBatchNorm(nn.Module):
    """Batch Normalization with running statistics, as in eval mode."""

    mean: Tensor
    var: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, width))
        self.bias = nn.Parameter(torch.linspace(-0.5, 0.5, width))
        self.register_buffer("mean", torch.linspace(0.1, 0.4, width))
        self.register_buffer("var", torch.linspace(0.5, 2, width))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.mean, self.var, self.weight, self.bias, training=False)


class SineNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.sin(30 * self.first(x)))


def perceptron(act: nn.Module) -> Called:
    return Called(first=nn.Linear(3, 4), act=act, head=nn.Linear(4, 2))


CASES: Final = (
    Case(
        name="gelu mlp",
        because="GELU(cx) is no power of c times GELU(x), so nothing before it can scale; the "
        "outputs are linear in the head.",
        build=lambda: perceptron(nn.GELU()),
        inputs=vectors(),
        homogeneous=HEAD,
    ),
    Case(
        name="tanh mlp",
        because="tanh bends at 1, so nothing before it can scale; the outputs are linear in the "
        "head.",
        build=lambda: perceptron(nn.Tanh()),
        inputs=vectors(),
        homogeneous=HEAD,
    ),
    Case(
        name="relu6 mlp",
        because="ReLU6 cuts off at 6, so nothing before it can scale, though below 6 it is ReLU; "
        "the outputs are linear in the head.",
        build=lambda: perceptron(nn.ReLU6()),
        inputs=vectors(),
        homogeneous=HEAD,
    ),
    Case(
        name="sine network",
        because="A sine has a period, so nothing before it can scale; the outputs are linear in "
        "the head.",
        build=SineNetwork,
        inputs=vectors(),
        homogeneous=HEAD,
    ),
    Case(
        name="probabilities",
        because="Probabilities sum to 1 and do not scale, and softmax changes with the scale of "
        "its logits: not even the head is free.",
        build=lambda: Called(
            first=nn.Linear(3, 4), act=nn.GELU(), head=nn.Linear(4, 3), p=nn.Softmax(-1)
        ),
        inputs=vectors(),
    ),
    Case(
        name="frozen batch norm",
        because="Running statistics are constants and forget nothing, so the convolution cannot "
        "scale; gain and shift after them go through ReLU and the mean to the head.",
        build=lambda: Called(
            conv=nn.Conv2d(3, 4, 3),
            norm=FrozenBatchNorm(4),
            act=nn.ReLU(),
            pool=Pool(),
            head=nn.Linear(4, 2),
        ),
        inputs=images(),
        symmetries=("norm.* / head.weight",),
        homogeneous=HEAD,
        balances="norm.* head.weight",
    ),
)
