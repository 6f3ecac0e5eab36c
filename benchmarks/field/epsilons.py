"""Every way in which an ε comes in: by default, from a buffer, through a maximum."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from field._model import FieldModel, simple

DEFAULTS: Final = "default ε in a log"
GIVEN: Final = "ε as a tensor or through a maximum"


@dataclass
class Answer:
    """What torch.export cannot return."""

    y: Tensor


class Logged(nn.Module):
    """Something that torch.export cannot trace, around a norm that is called without its ε."""

    def __init__(self, norm: Callable[[Tensor], Tensor], why: str = "branch") -> None:
        super().__init__()
        self.a, self.b, self.norm, self.why = nn.Linear(6, 8), nn.Linear(8, 2), norm, why

    def forward(self, x: Tensor) -> Tensor | Answer:
        if self.why == "branch" and x.sum() > 1e9:
            x = x * 2
        y = self.b(self.norm(self.a(x)))
        return Answer(y) if self.why == "dataclass" else y


class LoggedBatchNorm(nn.Module):
    """The same with Batch Normalization by function."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.g, self.b = nn.Linear(6, 5), nn.Parameter(torch.ones(5)), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 1e9:
            return self.b(self.a(x))
        return self.b(torch.relu(F.batch_norm(self.a(x), None, None, self.g, training=True)))


class OwnNorm(nn.Module):
    """A norm that is written out, between two layers."""

    def __init__(self, divide: Callable[[Tensor, Tensor], Tensor], eps: float = 1e-6) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 2)
        self.register_buffer("eps", torch.tensor(eps))
        self.divide = divide

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.divide(self.a(x), self.eps))


class Cosine(nn.Module):
    """A loss that divides by norms with an ε of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Linear(6, 4)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return F.cosine_embedding_loss(self.f(a), self.f(b), torch.ones(len(a)), reduction="none")


class Distance(nn.Module):
    """Distances of normalised vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.g = nn.Linear(6, 4), nn.Linear(6, 4)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return F.pairwise_distance(F.normalize(self.f(a)), F.normalize(self.g(b)), eps=1e-6)


class SquareRoot(nn.Module):
    """A gate that divides by what it adds to itself, as logarithms and roots are protected."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        p = torch.relu(self.a(x))
        return self.b(p / (p.sum(-1, keepdim=True) + 1e-8))


class Logarithm(nn.Module):
    """A logarithm with an ε inside: its scale becomes a shift, which the softmax forgets."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b((self.a(x).square() + 1e-9).log())


def _square(y: Tensor) -> Tensor:
    """The mean of the squares."""
    return y.square().mean(-1, keepdim=True)


def _norm(y: Tensor) -> Tensor:
    """The norm of each row."""
    return y.norm(dim=-1, keepdim=True)


def _images(y: Tensor) -> Tensor:
    """Group Normalization of rows."""
    return F.group_norm(y, 2)


MODELS: Final[tuple[FieldModel, ...]] = (
    simple(DEFAULTS, "layer norm, branch", lambda: Logged(nn.LayerNorm(8)), (5, 6)),
    simple(DEFAULTS, "layer norm, dataclass", lambda: Logged(nn.LayerNorm(8), "dataclass"), (5, 6)),
    simple(DEFAULTS, "group norm, branch", lambda: Logged(nn.GroupNorm(2, 8)), (5, 6)),
    simple(DEFAULTS, "group norm by function", lambda: Logged(_images), (5, 6)),
    simple(DEFAULTS, "rms norm, branch", lambda: Logged(nn.RMSNorm(8)), (5, 6)),
    simple(DEFAULTS, "normalize, branch", lambda: Logged(F.normalize), (5, 6)),
    simple(DEFAULTS, "batch norm by function, branch", LoggedBatchNorm, (8, 6)),
    simple(GIVEN, "ε in a buffer", lambda: OwnNorm(lambda y, e: y * (_square(y) + e).rsqrt()),
           (5, 6)),
    simple(GIVEN, "ε buffer, maximum",
           lambda: OwnNorm(lambda y, e: y / torch.maximum(_norm(y), e)), (5, 6)),
    simple(GIVEN, "ε, clamp", lambda: OwnNorm(lambda y, _: y / _norm(y).clamp(min=1e-5)), (5, 6)),
    simple(GIVEN, "ε buffer, clamp", lambda: OwnNorm(
        lambda y, e: y / _norm(y).clamp(min=e)), (5, 6)),
    simple(GIVEN, "ε added to a norm",
           lambda: OwnNorm(lambda y, e: y / (_norm(y) + e)), (5, 6)),
    simple(GIVEN, "ε under a root", lambda: OwnNorm(
        lambda y, e: (y - y.mean()) / (y.var(-1, keepdim=True) + e).sqrt()), (5, 6)),
    simple(GIVEN, "ε of a maximum of amplitudes", lambda: OwnNorm(
        lambda y, e: y / (y.abs().amax(-1, keepdim=True) + e)), (5, 6)),
    simple(GIVEN, "cosine loss", Cosine, (8, 6), (8, 6)),
    simple(GIVEN, "distance of directions", Distance, (8, 6), (8, 6)),
    simple(GIVEN, "shares of a sum", SquareRoot, (8, 6)),
    simple(GIVEN, "logarithm", Logarithm, (8, 6)),
)  # fmt: skip
