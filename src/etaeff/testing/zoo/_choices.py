"""Networks that choose: experts, and outputs that are masked."""

import math
from collections.abc import Callable
from functools import partial
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from etaeff.geometry import Block
from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._parts import HEAD, vectors


class Mixture(nn.Module):
    """The two experts with the largest probability, all computed and the others masked."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(3, 3)
        self.up = nn.ModuleList(nn.Linear(3, 4) for _ in range(3))
        self.down = nn.ModuleList(nn.Linear(4, 3) for _ in range(3))
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        chance = self.router(x).softmax(-1)
        chosen = chance * F.one_hot(chance.topk(2).indices, 3).sum(-2)
        share = chosen / chosen.sum(-1, keepdim=True)
        experts = [d(u(x).relu()) for u, d in zip(self.up, self.down, strict=True)]
        return self.head((torch.stack(experts, -1) * share.unsqueeze(-2)).sum(-1))


class Router(nn.Module):
    """One expert for each example, chosen by the largest score alone."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(8, 3, bias=False)
        self.experts = nn.ModuleList(nn.Linear(8, 2) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        answers = torch.stack([expert(x) for expert in self.experts], 1)
        return answers[torch.arange(len(x)), self.router(x).argmax(-1)]


class Actions(nn.Module):
    """Logits of which some are never allowed."""

    mask: Tensor

    def __init__(self, forbidden: float) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(6, 6), nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 4)
        self.forbidden = forbidden
        self.register_buffer("mask", torch.tensor([False, True, True, True]))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.first(x)).relu()).masked_fill(self.mask, self.forbidden)


def masked(forbidden: float) -> Case:
    """Logits masked by a number, which has a scale unless it is infinite."""
    scales = forbidden == -math.inf
    says = (
        "minus infinity times any factor is minus infinity, so the logits scale with the head"
        if scales
        else "a finite mask does not scale with the other logits"
    )
    build: Callable[[], nn.Module] = partial(Actions, forbidden)
    return Case(
        name=f"actions masked with {forbidden:.2g}",
        because="Batch Normalization forgets the bias before it and the scale of each row, and "
        f"hands gain and shift to the head; {says}.",
        build=build,
        inputs=vectors(6, 16),
        symmetries=("first.weight", "norm.* / head.weight"),
        inert="first.bias",
        blocks=(Block(("first.weight",), count=6),),
        homogeneous=HEAD if scales else None,
        lr="first.weight",
        balances="norm.* head.weight",
    )


CASES: Final = (
    Case(
        name="mixture of experts",
        because="Each expert rescales within itself, and all their outputs together against the "
        "head; the router decides by probabilities, whose logits have a scale.",
        build=Mixture,
        inputs=vectors(3, 16),
        symmetries=(
            *(f"up.{i}.* / down.{i}.weight" for i in range(3)),
            "down.* / head.weight",
        ),
        homogeneous=HEAD,
        balances="up.* down.* head.weight",
    ),
    Case(
        name="routing to one expert",
        because="Which score is the largest changes with the scale of one of them, but not with "
        "that of all, though the router has no gradient that would tell.",
        build=Router,
        inputs=vectors(8, 32),
        symmetries=("router.weight",),
        blocks=(Block(("router.weight",)),),
        homogeneous=("experts.*", 1),
        lr="router.weight",
    ),
    *(masked(forbidden) for forbidden in (-math.inf, torch.finfo(torch.float32).min, -1e9)),
)
