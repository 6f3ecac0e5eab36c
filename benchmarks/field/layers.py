"""What stands between two layers: activations, norms, casts, checkpoints, losses."""

from collections.abc import Callable
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from field._model import FieldModel, simple

ACTIVATIONS: Final = "activations"
PRECISION: Final = "casts, checkpoints and hooks"
FACTORS: Final = "products of many factors"
LOSSES: Final = "losses"


class Between(nn.Module):
    """Two layers, and something between them."""

    def __init__(self, between: nn.Module | Callable[[Tensor], Tensor], width: int = 5) -> None:
        super().__init__()
        self.a, self.between, self.b = nn.Linear(6, 6), between, nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.between(self.a(x)))


class Maxout(nn.Module):
    """The larger of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.c, self.b = nn.Linear(6, 5), nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.maximum(self.a(x), self.c(x)))


class Mish(nn.Module):
    """A Swish with a learned slope."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.rand(6) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.slope * x)


class Reversible(nn.Module):
    """Statistics of each sequence are taken away before, and put back after."""

    def __init__(self) -> None:
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.ones(2)), nn.Parameter(torch.zeros(2))
        self.a, self.b = nn.Linear(8, 6), nn.Linear(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True).detach()
        deviation = (x.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt().detach()
        y = (x - mean) / deviation * self.gain + self.shift
        y = self.b(torch.relu(self.a(y.mT))).mT
        return (y - self.shift) / (self.gain + 1e-10) * deviation + mean


class Checkpointed(nn.Module):
    """Layers whose insides are computed again."""

    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.a, self.n, self.c, self.b = (
            nn.Linear(6, 6),
            nn.LayerNorm(6),
            nn.Linear(6, 6),
            nn.Linear(6, 2),
        )
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        step = lambda y: torch.relu(self.c(self.n(y)))  # noqa: E731
        return self.b(checkpoint(step, x, use_reentrant=self.reentrant))


class Cast(nn.Module):
    """A norm in another precision, as Llama has it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.gain, self.b = nn.Linear(6, 6), nn.Parameter(torch.ones(6)), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        wide = x.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.b(self.gain * wide.to(x.dtype))


class Autocast(nn.Module):
    """Two layers under autocast."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n, self.b = nn.Linear(6, 6), nn.LayerNorm(6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.b(torch.relu(self.n(self.a(x)))).float()


def _hooked() -> nn.Module:
    """Layers whose outputs a hook normalises."""
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    model[0].register_forward_hook(lambda _, __, y: F.normalize(y, dim=-1))
    return model


class InPlace(nn.Module):
    """Pieces of a buffer that are written one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.c, self.b = nn.Linear(6, 3), nn.Linear(6, 3), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = x.new_empty(len(x), 6)
        y[:, :3] = self.a(x)
        y[:, 3:] = self.c(x)
        y[:, 1:2] *= 2
        y.relu_()
        return self.b(y)


class Factors(nn.Module):
    """A weight that is a product of factors, by one way to write it."""

    def __init__(self, shapes: list[tuple[int, ...]], make: Callable[..., Tensor]) -> None:
        super().__init__()
        self.f = nn.ParameterList(nn.Parameter(torch.randn(*shape)) for shape in shapes)
        self.make, self.b = make, nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.relu(x @ self.make(*self.f)))


class Bilinear(nn.Module):
    """A bilinear form of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.g = nn.Linear(6, 4, bias=False), nn.Linear(5, 3, bias=False)
        self.w = nn.Bilinear(4, 3, 2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.w(self.f(x), self.g(y))


class Radial(nn.Module):
    """Distances to centres over widths: a layer, centres and widths go together."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.centres = nn.Linear(6, 3), nn.Parameter(torch.randn(5, 3))
        self.width, self.b = nn.Parameter(torch.rand(5) + 0.5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.exp(-((torch.cdist(self.a(x), self.centres) / self.width) ** 2)))


class Power(nn.Module):
    """The mean of powers, and its root: generalised pooling."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.c, self.b, self.p = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), p

    def forward(self, x: Tensor) -> Tensor:
        y = self.c(x).clamp(min=0).pow(self.p).mean((2, 3)).pow(1 / self.p)
        return self.b(y)


class Loss(nn.Module):
    """A network that returns its loss."""

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor], *, norm: bool = False) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 3, bias=not norm)
        self.n, self.loss = nn.BatchNorm1d(3) if norm else nn.Identity(), loss

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.loss(self.n(self.b(torch.relu(self.a(x)))), y)


def _variances(p: Tensor, _: Tensor) -> Tensor:
    """The decorrelation of a batch, as in Barlow Twins."""
    p = (p - p.mean(0)) / p.std(0)
    return (p.T @ p / len(p) - torch.eye(3)).square().sum()


def _quotient(p: Tensor, y: Tensor) -> Tensor:
    """An error beside the size of what was said."""
    return (p - p.mean(0)).square().sum() / p.square().sum()


def _contrast(p: Tensor, y: Tensor) -> Tensor:
    """Cross entropy of cosines, with a temperature."""
    p = F.normalize(p, dim=-1)
    return F.cross_entropy(p @ p.T / 0.1, torch.arange(len(p)))


def _ranking(p: Tensor, _: Tensor) -> Tensor:
    """A margin between distances, which has a size."""
    return F.triplet_margin_loss(p[::3], p[1::3], p[2::3], reduction="none")


def _act(name: str, act: Any, width: int = 6) -> FieldModel:
    """A model of one activation."""
    build = lambda: Between(act() if isinstance(act, type) else act, width)  # noqa: E731
    return simple(ACTIVATIONS, name, build, (8, 6))


MODELS: Final[tuple[FieldModel, ...]] = (
    _act("prelu", nn.PReLU),
    _act("leaky relu", nn.LeakyReLU),
    _act("elu", nn.ELU),
    _act("hardswish", nn.Hardswish),
    _act("relu6", nn.ReLU6),
    _act("hardtanh", nn.Hardtanh),
    _act("softshrink", nn.Softshrink),
    _act("glu", nn.GLU, 3),
    _act("squared relu", lambda x: torch.relu(x) ** 2),
    _act("root of absolute", lambda x: x.abs().sqrt()),
    _act("x plus its square", lambda x: x + x**2),
    _act("swish with a slope", Mish),
    _act("sine", torch.sin),
    _act("cumulative sum", lambda x: x.cumsum(-1)),
    _act("product along an axis", lambda x: x[:, :3] * x[:, 3:], 3),
    _act("instance norm", lambda x: F.instance_norm(x[:, None])[:, 0]),
    _act("local response norm", lambda x: F.local_response_norm(x[..., None], 3)[..., 0]),
    _act("softmax of logarithm", lambda x: x.abs().log().softmax(-1)),
    _act("log of mean of exponentials", lambda x: torch.logsumexp(x, -1, keepdim=True) - x),
    _act("divided by its maximum", lambda x: x / x.amax(-1, keepdim=True)),
    _act("squared share", lambda x: x**2 / (x**2).sum(-1, keepdim=True)),
    simple(ACTIVATIONS, "maxout", Maxout, (8, 6)),
    simple(ACTIVATIONS, "power mean", lambda: Power(3.0), (4, 3, 6, 6)),
    simple(PRECISION, "reversible statistics", Reversible, (4, 8, 2)),
    simple(PRECISION, "checkpoint", lambda: Checkpointed(reentrant=False), (8, 6)),
    simple(PRECISION, "checkpoint, reentrant", lambda: Checkpointed(reentrant=True), (8, 6)),
    simple(PRECISION, "cast inside", Cast, (8, 6)),
    simple(PRECISION, "autocast", Autocast, (8, 6)),
    simple(PRECISION, "double weights", lambda: Between(nn.LayerNorm(6), 6).to(torch.float32),
           (8, 6)),
    simple(PRECISION, "hook that normalises", _hooked, (8, 6)),
    simple(PRECISION, "written in pieces", InPlace, (8, 6)),
    simple(FACTORS, "three factors",
           lambda: Factors([(6, 3), (3, 3), (3, 4)], lambda a, b, c: a @ b @ c), (8, 6)),
    simple(FACTORS, "Kronecker", lambda: Factors([(2, 2), (3, 2)], torch.kron), (8, 6)),
    simple(FACTORS, "sum of products", lambda: Factors(
        [(6, 2), (2, 4), (6, 1), (1, 4)], lambda a, b, c, d: a @ b + c @ d), (8, 6)),
    simple(FACTORS, "quotient", lambda: Factors([(6, 4), (1, 4)], lambda a, b: a / b), (8, 6)),
    simple(FACTORS, "gain, exponential", lambda: Factors(
        [(6, 4), (4,)], lambda a, b: a * b.exp()), (8, 6)),
    simple(FACTORS, "low rank and diagonal", lambda: Factors(
        [(6, 2), (2, 4), (4,)], lambda a, b, d: (a @ b) * d), (8, 6)),
    simple(FACTORS, "core and factors", lambda: Factors(
        [(2, 2), (6, 2), (4, 2)], lambda g, a, b: torch.einsum("rs,ir,os->io", g, a, b)), (8, 6)),
    simple(FACTORS, "bilinear", Bilinear, (8, 6), (8, 5)),
    simple(FACTORS, "radial basis", Radial, (8, 6)),
    simple(LOSSES, "squared error", lambda: Loss(F.mse_loss), (9, 6), (9, 3)),
    simple(LOSSES, "decorrelation", lambda: Loss(_variances), (9, 6), (9, 3)),
    simple(LOSSES, "quotient of squares", lambda: Loss(_quotient), (9, 6), (9, 3)),
    simple(LOSSES, "contrast", lambda: Loss(_contrast), (9, 6), (9, 3)),
    simple(LOSSES, "margin of distances", lambda: Loss(_ranking), (9, 6), (9, 3)),
    simple(LOSSES, "squared error after batch norm", lambda: Loss(F.mse_loss, norm=True),
           (9, 6), (9, 3)),
)  # fmt: skip
