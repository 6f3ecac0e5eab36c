"""Convolutional networks whose branches are concatenated."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from etaeff.geometry import Block
from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._parts import HEAD, Called, Pool, affine, conv_norm, images


class Joined(nn.Module):
    """Branches concatenated."""

    def __init__(self, **branches: nn.Module) -> None:
        super().__init__()
        self.names = tuple(branches)
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([getattr(self, name)(x) for name in self.names], 1)


class UNet(nn.Module):
    """One level: halved, filtered, doubled again, and joined with what was there before."""

    def __init__(self, *, transposed: bool) -> None:
        super().__init__()
        self.outer, self.inner = conv_norm(3, 4, 3), conv_norm(4, 4, 3)
        self.up = nn.ConvTranspose2d(4, 4, 2, 2) if transposed else nn.Upsample(scale_factor=2)
        self.joined = conv_norm(8, 4, 3)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.outer(x)
        y = self.up(self.inner(F.max_pool2d(x, 2)))
        return self.head(self.joined(torch.cat([x, y], 1)))


def inception() -> nn.Module:
    return Called(
        stem=conv_norm(3, 4, 3),
        mixed=Joined(
            one=conv_norm(4, 2),
            three=Called(a=conv_norm(4, 3), b=conv_norm(3, 3, 3)),
            pooled=Called(m=nn.MaxPool2d(3, 1, 1), c=conv_norm(4, 2)),
        ),
        last=conv_norm(7, 4),
        pool=Pool(),
        head=nn.Linear(4, 2),
    )


INCEPTION_FILTERS: Final = {
    "stem": 4,
    "mixed.one": 2,
    "mixed.three.a": 3,
    "mixed.three.b": 3,
    "mixed.pooled.c": 2,
    "last": 4,
}
UNET_FILTERS: Final = ("outer.conv.weight", "inner.conv.weight", "joined.conv.weight")

CASES: Final = (
    Case(
        name="inception",
        because="Batch Normalization forgets rows; the stem's norm is read by normalised "
        "convolutions, as three.a's is; the three branches are joined before one, so that their "
        "norms scale together; the last goes against the head.",
        build=inception,
        inputs=images(),
        symmetries=(
            *(f"{layer}.conv.weight" for layer in INCEPTION_FILTERS),
            "stem.norm.*",
            "mixed.three.a.norm.*",
            "mixed.one.norm.* mixed.three.b.norm.* mixed.pooled.c.norm.*",
            "last.norm.* / head.weight",
        ),
        blocks=(
            *(Block((f"{layer}.conv.weight",), count=n) for layer, n in INCEPTION_FILTERS.items()),
            Block(affine("stem")),
            Block(affine("mixed.three.a")),
            Block(affine("mixed.one", "mixed.three.b", "mixed.pooled.c")),
        ),
        homogeneous=HEAD,
        lr="*.conv.weight stem.norm.* mixed.*.norm.*",
        balances="last.norm.* head.weight",
    ),
    Case(
        name="u-net",
        because="Batch Normalization forgets rows; the norms of both levels are joined before a "
        "normalised convolution and scale together; that of the joined goes against the head.",
        build=lambda: UNet(transposed=False),
        inputs=images(),
        symmetries=(*UNET_FILTERS, "outer.norm.* inner.norm.*", "joined.norm.* / head.weight"),
        blocks=(
            *(Block((name,), count=4) for name in UNET_FILTERS),
            Block(affine("outer", "inner")),
        ),
        homogeneous=HEAD,
        lr="*.conv.weight outer.norm.* inner.norm.*",
        balances="joined.norm.* head.weight",
    ),
    Case(
        name="u-net with transposed conv",
        because="What is joined scales together: the outer norm and the transposed convolution "
        "with its bias, which a padded convolution does not forget; the inner norm goes against "
        "the transposed weight, that of the joined against the head.",
        build=lambda: UNet(transposed=True),
        inputs=images(),
        symmetries=(
            *UNET_FILTERS,
            "outer.norm.* up.*",
            "inner.norm.* / up.weight",
            "joined.norm.* / head.weight",
        ),
        blocks=(
            *(Block((name,), count=4) for name in UNET_FILTERS),
            Block((*affine("outer"), "up.weight", "up.bias")),
        ),
        homogeneous=HEAD,
        lr="*.conv.weight outer.norm.* up.*",
        balances="joined.norm.* head.weight",
    ),
)
