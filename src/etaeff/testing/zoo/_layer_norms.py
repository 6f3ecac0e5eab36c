"""A layer and a normalisation of all its features: layer and RMS normalisation."""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from etaeff.geometry import Block
from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._parts import HEAD, Called, tokens, vectors


class WrittenOut(nn.Module):
    """RMS or layer normalisation in elementary operations, with ε under the root."""

    def __init__(self, width: int, *, centred: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, width))
        self.centred = centred

    def forward(self, x: Tensor) -> Tensor:
        if self.centred:
            x = (x - x.mean(-1, keepdim=True)) / (
                x.var(-1, keepdim=True, correction=0) + 1e-6
            ).sqrt()
        else:
            x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * x


def joint(name: str, because: str, norm: Callable[[], nn.Module], *, bias: bool = True) -> Case:
    """All of a linear layer is one sphere; gain and shift move to the head."""
    return Case(
        name=name,
        because=because,
        build=lambda: Called(
            first=nn.Linear(3, 4, bias=bias), norm=norm(), act=nn.ReLU(), head=nn.Linear(4, 2)
        ),
        inputs=vectors(),
        symmetries=("first.*", "norm.* / head.weight"),
        blocks=(Block(("first.weight", "first.bias") if bias else ("first.weight",)),),
        homogeneous=HEAD,
        lr="first.*",
        balances="norm.* head.weight",
    )


CASES: Final = (
    joint(
        "linear, layer norm",
        "Layer Normalization forgets the scale of all features together, to which weight and bias "
        "contribute; gain and shift go through ReLU to the head.",
        lambda: nn.LayerNorm(4),
    ),
    joint(
        "linear without bias, layer norm",
        "Layer Normalization forgets the scale of all features together, and so of the weight; "
        "gain and shift go through ReLU to the head.",
        lambda: nn.LayerNorm(4),
        bias=False,
    ),
    joint(
        "linear, rms norm",
        "RMS normalisation forgets the scale of all features together, to which weight and bias "
        "contribute; the gain goes through ReLU to the head.",
        lambda: nn.RMSNorm(4),
    ),
    joint(
        "linear, rms norm written out",
        "x · rsqrt(mean x²) has degree 1 − 1 = 0 in x; the gain goes through ReLU to the head.",
        lambda: WrittenOut(4, centred=False),
        bias=False,
    ),
    joint(
        "linear, layer norm written out",
        "x − mean x over the root of a variance has degree 1 − 1 = 0 in x, to which weight and "
        "bias contribute; the gain goes through ReLU to the head.",
        lambda: WrittenOut(4, centred=True),
    ),
    Case(
        name="relu mlp before layer norm",
        because="ReLU keeps a scale, so that all before the norm is forgotten: b, or a together "
        "with the bias that its outputs are added to.",
        build=lambda: Called(
            a=nn.Linear(3, 4),
            f=nn.ReLU(),
            b=nn.Linear(4, 4),
            norm=nn.LayerNorm(4),
            head=nn.Linear(4, 2),
        ),
        inputs=vectors(),
        symmetries=("b.*", "a.* b.bias", "norm.* / head.weight"),
        blocks=(Block(("b.weight", "b.bias")),),
        homogeneous=HEAD,
        lr="b.*",
        balances="norm.* head.weight",
    ),
    Case(
        name="embedding, layer norm",
        because="Each row of the table is normalised by itself, wherever its token stands; gain "
        "and shift go to the head.",
        build=lambda: Called(table=nn.Embedding(7, 4), norm=nn.LayerNorm(4), head=nn.Linear(4, 2)),
        inputs=tokens("x"),
        symmetries=("table.weight", "norm.* / head.weight"),
        blocks=(Block(("table.weight",), count=7),),
        homogeneous=HEAD,
        lr="table.weight",
        balances="norm.* head.weight",
    ),
)
