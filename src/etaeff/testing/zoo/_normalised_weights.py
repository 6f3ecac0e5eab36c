"""Weights that are normalised before they are used."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from etaeff.geometry import Block
from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._parts import HEAD, Called, Pool, images, randn, vectors

DIRECTION: Final = "first.parametrizations.weight.original1"
NORM: Final = "first.parametrizations.weight.original0"
WEIGHT: Final = "first.parametrizations.weight.original"


class Standardised(nn.Conv2d):
    """A convolution whose weight is standardised per output channel."""

    def forward(self, x: Tensor) -> Tensor:
        var, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True)
        return F.conv2d(x, (self.weight - mean) / torch.sqrt(var + 1e-5), self.bias)


class CosineHead(nn.Module):
    """Cosines between features and classes, times a temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.classes = nn.Parameter(randn(5, 4))
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * F.linear(F.normalize(self.first(x)), F.normalize(self.classes))


CASES: Final = (
    Case(
        name="weight norm",
        because="A row is g v/‖v‖: the length of v does nothing, and the norms g with the bias go "
        "through ReLU to the head.",
        build=lambda: Called(
            first=parametrizations.weight_norm(nn.Linear(3, 4)),
            act=nn.ReLU(),
            head=nn.Linear(4, 2),
        ),
        inputs=vectors(),
        symmetries=(DIRECTION, f"{NORM} first.bias / head.weight"),
        blocks=(Block((DIRECTION,), count=4),),
        homogeneous=HEAD,
        lr=DIRECTION,
        balances=f"{NORM} first.bias head.weight",
    ),
    Case(
        name="spectral norm",
        because="The largest singular value scales with the whole matrix, so that its quotient "
        "does not, and neither can the bias beside it.",
        build=lambda: Called(
            first=parametrizations.spectral_norm(nn.Linear(3, 4)),
            act=nn.ReLU(),
            head=nn.Linear(4, 2),
        ),
        inputs=vectors(),
        symmetries=(WEIGHT,),
        blocks=(Block((WEIGHT,)),),
        homogeneous=HEAD,
        lr=WEIGHT,
    ),
    Case(
        name="standardised conv",
        because="Each filter is divided by its own standard deviation, so that its scale does "
        "nothing, and the bias beside it cannot scale.",
        build=lambda: Called(
            first=Standardised(3, 4, 3), act=nn.ReLU(), pool=Pool(), head=nn.Linear(4, 2)
        ),
        inputs=images(),
        symmetries=("first.weight",),
        blocks=(Block(("first.weight",), count=4),),
        homogeneous=HEAD,
        lr="first.weight",
    ),
    Case(
        name="cosine classifier",
        because="A cosine forgets both lengths: that of the features, to which weight and bias "
        "contribute, and that of each class; the outputs are linear in the temperature.",
        build=CosineHead,
        inputs=vectors(),
        symmetries=("first.*", "classes"),
        blocks=(Block(("first.weight", "first.bias")), Block(("classes",), count=5)),
        homogeneous=("scale", 1),
        lr="first.* classes",
    ),
)
