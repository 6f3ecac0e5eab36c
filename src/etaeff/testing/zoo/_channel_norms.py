"""A layer and a normalisation of its channels: batch, instance and group normalisation."""

from collections.abc import Callable
from typing import Final

from torch import nn

from etaeff.geometry import Block
from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._parts import HEAD, Called, Pool, images, vectors

Make = Callable[[], nn.Module]


def normalised(conv: Make, norm: Make, dropout: float = 0.0) -> Make:
    """Makes a layer, its normalisation, ReLU, the mean over places, and a head."""
    return lambda: Called(
        conv=conv(),
        norm=norm(),
        act=nn.ReLU(),
        drop=nn.Dropout(dropout),
        pool=Pool(),
        head=nn.Linear(4, 2),
    )


def plain_conv() -> nn.Module:
    return nn.Conv2d(3, 4, 3, bias=False)


def per_channel(
    name: str,
    because: str,
    norm: Make = lambda: nn.BatchNorm2d(4),
    conv: Make = plain_conv,
    *,
    axis: int = 0,
    dropout: float = 0.0,
    inert: str = "",
) -> Case:
    """The weight is invariant per output channel; gain and shift move to the head."""
    return Case(
        name=name,
        because=because,
        build=normalised(conv, norm, dropout),
        inputs=images(),
        symmetries=("conv.weight", "norm.* / head.weight"),
        inert=inert,
        blocks=(Block(("conv.weight",), axis=axis, count=4),),
        homogeneous=HEAD,
        lr="conv.weight",
        balances="norm.* head.weight",
    )


def depthwise() -> nn.Module:
    """A grouped convolution and a depthwise one, each with its normalisation."""
    return Called(
        grouped=nn.Conv2d(4, 6, 3, groups=2),
        norm1=nn.BatchNorm2d(6),
        f=nn.ReLU(),
        depthwise=nn.Conv2d(6, 6, 3, groups=6, bias=False),
        norm2=nn.BatchNorm2d(6),
        g=nn.ReLU(),
        pool=Pool(),
        head=nn.Linear(6, 2),
    )


CASES: Final = (
    per_channel(
        "conv, batch norm",
        "Batch Normalization forgets the scale of each channel, and so of each row of the "
        "convolution; gain and shift go through ReLU and the mean to the head.",
    ),
    per_channel(
        "conv with bias, batch norm",
        "Batch Normalization forgets the scale of each channel, and its mean, which is all that "
        "a bias changes; gain and shift go to the head.",
        conv=lambda: nn.Conv2d(3, 4, 3, padding=1),
        inert="conv.bias",
    ),
    per_channel(
        "conv, batch norm, dropout",
        "Dropout multiplies by numbers that it draws, which keeps a scale: as without it.",
        dropout=0.5,
    ),
    per_channel(
        "transposed conv, batch norm",
        "A transposed convolution has its weight as (in, out), so what makes a channel is a slice "
        "of the second axis; Batch Normalization forgets its scale and its bias.",
        conv=lambda: nn.ConvTranspose2d(3, 4, 3, stride=2),
        axis=1,
        inert="conv.bias",
    ),
    per_channel(
        "conv with bias, instance norm",
        "Instance Normalization forgets scale and mean of each channel of each picture, and so "
        "row by row the weight and the bias.",
        norm=lambda: nn.InstanceNorm2d(4, affine=True),
        conv=lambda: nn.Conv2d(3, 4, 3),
        inert="conv.bias",
    ),
    Case(
        name="batch norm without affine",
        because="Batch Normalization forgets the scale of each row; what leaves it has unit "
        "variance, and no gain that the head could undo.",
        build=normalised(plain_conv, lambda: nn.BatchNorm2d(4, affine=False)),
        inputs=images(),
        symmetries=("conv.weight",),
        blocks=(Block(("conv.weight",), count=4),),
        homogeneous=HEAD,
        lr="conv.weight",
    ),
    Case(
        name="conv with bias, group norm",
        because="Two channels share a mean and a scale: the group forgets the mean of its two "
        "biases only, so they scale with its rows, and each group is one sphere.",
        build=normalised(lambda: nn.Conv2d(3, 4, 3), lambda: nn.GroupNorm(2, 4)),
        inputs=images(),
        symmetries=("conv.*", "norm.* / head.weight"),
        blocks=(Block(("conv.weight", "conv.bias"), count=2),),
        homogeneous=HEAD,
        lr="conv.*",
        balances="norm.* head.weight",
    ),
    Case(
        name="grouped and depthwise conv, batch norm",
        because="Batch Normalization forgets the rows of both convolutions; the depthwise one "
        "reads each channel alone, which forgets gain and shift before it channel by channel.",
        build=depthwise,
        inputs=images(4, 8),
        symmetries=("grouped.weight", "depthwise.weight", "norm1.*", "norm2.* / head.weight"),
        inert="grouped.bias",
        blocks=(
            Block(("grouped.weight",), count=6),
            Block(("depthwise.weight",), count=6),
            Block(("norm1.weight", "norm1.bias"), count=6),
        ),
        homogeneous=HEAD,
        lr="grouped.weight depthwise.weight norm1.*",
        balances="norm2.* head.weight",
    ),
    Case(
        name="linear, batch norm in one dimension",
        because="Batch Normalization forgets scale and mean of each feature, and so row by row the "
        "weight and the bias; gain and shift go through ReLU to the head.",
        build=lambda: Called(
            first=nn.Linear(3, 4), norm=nn.BatchNorm1d(4), act=nn.ReLU(), head=nn.Linear(4, 2)
        ),
        inputs=vectors(),
        symmetries=("first.weight", "norm.* / head.weight"),
        inert="first.bias",
        blocks=(Block(("first.weight",), count=4),),
        homogeneous=HEAD,
        lr="first.weight",
        balances="norm.* head.weight",
    ),
)
