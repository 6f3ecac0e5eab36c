"""Convolutional networks whose blocks add to a stream."""

from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from etaeff.geometry import Block
from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._parts import HEAD, Called, Pool, affine, conv_norm, images


class Summed(nn.Module):
    """Two branches added, and what comes after the sum."""

    def __init__(
        self,
        branch: nn.Module,
        shortcut: nn.Module | None = None,
        act: Callable[[Tensor], Tensor] = F.relu,
    ) -> None:
        super().__init__()
        self.branch, self.shortcut, self.act = branch, shortcut or nn.Identity(), act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.branch(x) + self.shortcut(x))


class SqueezeExcite(nn.Module):
    """A gate for each channel, of the mean over places."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(width, inner, 1), nn.Conv2d(inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.expand(F.silu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * gate.sigmoid()


class ChannelsLast(nn.LayerNorm):
    """Layer Normalization over the channels of pictures."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNextBlock(nn.Module):
    """A depthwise convolution, its norm, two pointwise layers, and the layer scale."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.dw = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.LayerNorm(width)
        self.a, self.b = nn.Linear(width, 8), nn.Linear(8, width)
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dw(x).permute(0, 2, 3, 1))
        return x + (self.scale * self.b(F.gelu(self.a(y)))).permute(0, 3, 1, 2)


def resnet() -> nn.Module:
    return Called(
        stem=conv_norm(3, 4, 3),
        one=Summed(Called(a=conv_norm(4, 4, 3), b=conv_norm(4, 4, 3, act=None))),
        two=Summed(
            Called(a=conv_norm(4, 6, 3, stride=2), b=conv_norm(6, 6, 3, act=None)),
            conv_norm(4, 6, stride=2, act=None),
        ),
        pool=Pool(),
        head=nn.Linear(6, 2),
    )


def resnext() -> nn.Module:
    branch = Called(
        a=conv_norm(4, 6),
        b=conv_norm(6, 6, 3, groups=2),
        c=conv_norm(6, 4, act=None),
    )
    return Called(block=Summed(branch), pool=Pool(), head=nn.Linear(4, 2))


def inverted_residual(name: str, because: str, act: Callable[[], nn.Module], squeeze: bool) -> Case:
    """A stem and a block that widens, filters each channel, and narrows again."""

    def build() -> nn.Module:
        branch: dict[str, nn.Module] = {
            "expand": conv_norm(4, 6, act=act),
            "depthwise": conv_norm(6, 6, 3, groups=6, act=act),
            **({"se": SqueezeExcite(6, 3)} if squeeze else {}),
            "project": conv_norm(6, 4, act=None),
        }
        return Called(
            stem=conv_norm(3, 4, 3, act=None),
            block=Summed(Called(**branch), act=nn.Identity()),
            pool=Pool(),
            head=nn.Linear(4, 2),
        )

    filters = {"stem": 4, "block.branch.expand": 6, "block.branch.depthwise": 6}
    filters["block.branch.project"] = 4
    return Case(
        name=name,
        because=because,
        build=build,
        inputs=images(),
        symmetries=(
            *(f"{layer}.conv.weight" for layer in filters),
            "stem.norm.* block.branch.project.norm.* / head.weight",
        ),
        blocks=tuple(Block((f"{layer}.conv.weight",), count=n) for layer, n in filters.items()),
        homogeneous=HEAD,
        lr="*.conv.weight",
        balances="stem.norm.* block.branch.project.norm.* head.weight",
    )


RESNET_FILTERS: Final = {
    "stem": 4,
    "one.branch.a": 4,
    "one.branch.b": 4,
    "two.branch.a": 6,
    "two.branch.b": 6,
    "two.shortcut": 6,
}

CASES: Final = (
    Case(
        name="resnet",
        because="Batch Normalization forgets each row of the convolution before it; a.norm is read "
        "by b.conv alone; the norms of the stem and of the first sum are added, and read by "
        "normalised convolutions; those of the last sum go together against the head.",
        build=resnet,
        inputs=images(size=8),
        symmetries=(
            *(f"{layer}.conv.weight" for layer in RESNET_FILTERS),
            "one.branch.a.norm.*",
            "two.branch.a.norm.*",
            "stem.norm.* one.branch.b.norm.*",
            "two.branch.b.norm.* two.shortcut.norm.* / head.weight",
        ),
        blocks=(
            *(Block((f"{layer}.conv.weight",), count=n) for layer, n in RESNET_FILTERS.items()),
            Block(affine("one.branch.a")),
            Block(affine("two.branch.a")),
            Block(affine("stem", "one.branch.b")),
        ),
        homogeneous=HEAD,
        lr="*.conv.weight one.branch.a.norm.* two.branch.a.norm.* stem.norm.* one.branch.b.norm.*",
        balances="two.branch.b.norm.* two.shortcut.norm.* head.weight",
    ),
    Case(
        name="resnext",
        because="Batch Normalization forgets rows; the grouped convolution reads half of the "
        "channels for each half of its own, so the norm before it is forgotten in halves; the "
        "picture itself is added to c, whose norm therefore cannot scale.",
        build=resnext,
        inputs=images(4),
        symmetries=(
            *(f"block.branch.{layer}.conv.weight" for layer in "abc"),
            "block.branch.a.norm.*",
            "block.branch.b.norm.*",
        ),
        blocks=(
            Block(("block.branch.a.conv.weight",), count=6),
            Block(("block.branch.b.conv.weight",), count=6),
            Block(("block.branch.c.conv.weight",), count=4),
            Block(affine("block.branch.a"), count=2),
            Block(affine("block.branch.b")),
        ),
        homogeneous=HEAD,
        lr="block.branch.*.conv.weight block.branch.a.norm.* block.branch.b.norm.*",
    ),
    inverted_residual(
        "mobilenet",
        "Batch Normalization forgets rows; ReLU6 has a scale, so the norms before it cannot "
        "scale; those of the stem and of project are added, and go against the head.",
        nn.ReLU6,
        False,
    ),
    inverted_residual(
        "efficientnet",
        "Batch Normalization forgets rows; SiLU and the sigmoid of the gate have a scale; the "
        "norms of the stem and of project are added, and go against the head.",
        nn.SiLU,
        True,
    ),
    Case(
        name="convnext",
        because="Layer Normalization forgets stem and dw, each with its bias; the stream is the "
        "stem's norm and what the layer scale adds, and the bias of dw follows it; block.norm goes "
        "against a, b against the layer scale, the last norm against the head.",
        build=lambda: Called(
            stem=nn.Conv2d(3, 4, 2, stride=2),
            norm=ChannelsLast(4),
            block=ConvNextBlock(),
            pool=Pool(),
            last=nn.LayerNorm(4),
            head=nn.Linear(4, 2),
        ),
        inputs=images(),
        symmetries=(
            "stem.*",
            "block.dw.*",
            "norm.* block.dw.bias block.scale",
            "block.norm.* / block.a.weight",
            "block.b.* / block.scale",
            "last.* / head.weight",
        ),
        blocks=(
            Block(("stem.weight", "stem.bias")),
            Block(("block.dw.weight", "block.dw.bias")),
        ),
        homogeneous=HEAD,
        lr="stem.* block.dw.* norm.*",
        balances="block.norm.* block.a.weight last.* head.weight",
    ),
)
