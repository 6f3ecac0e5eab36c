"""Parameters that are there and do nothing."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._parts import HEAD, Called, vectors


class Unused(nn.Module):
    """A layer that is never called, and a vector that is multiplied by zero."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(3, 4), nn.Linear(4, 2)
        self.spare = nn.Linear(3, 3)
        self.zeroed = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.gelu(self.first(x)) + 0 * self.zeroed)


CASES: Final = (
    Case(
        name="unused parameters",
        because="The spare layer is never read; what is multiplied by zero adds nothing, which "
        "the graph does not show; GELU fixes the rest.",
        build=Unused,
        inputs=vectors(),
        inert="spare.weight spare.bias zeroed",
        unproved="zeroed",
        homogeneous=HEAD,
    ),
    Case(
        name="prelu after relu",
        because="What leaves the ReLU is never negative, so the slopes for negative numbers act "
        "on nothing; both keep the scale of the layer before them.",
        build=lambda: Called(a=nn.Linear(3, 4), r=nn.ReLU(), f=nn.PReLU(4), head=nn.Linear(4, 2)),
        inputs=vectors(),
        symmetries=("a.* / head.weight",),
        inert="f.weight",
        homogeneous=HEAD,
        balances="a.* head.weight",
        unproved="f.weight",
    ),
)
