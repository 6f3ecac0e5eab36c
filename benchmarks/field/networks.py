"""Networks of other kinds that people write."""

from functools import partial
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from field._model import Built, FieldModel, simple

WEIGHTS: Final = "normalised weights"
NETWORKS: Final = "networks of other kinds"


class Generator(nn.Module):
    """A constant, modulated and normalised by pixel, as StyleGAN begins."""

    def __init__(self) -> None:
        super().__init__()
        self.const, self.style = nn.Parameter(torch.randn(1, 4, 4, 4)), nn.Linear(5, 4)
        self.c1, self.c2 = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 3, 1)

    def forward(self, z: Tensor) -> Tensor:
        x = torch.relu(self.c1(self.const * self.style(z)[..., None, None]))
        return self.c2(x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt())


class Demodulated(nn.Module):
    """Weights that are modulated and then normalised, for each picture its own."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.style = nn.Parameter(torch.randn(4, 3, 3, 3)), nn.Linear(5, 3)
        self.out = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        w = self.w * self.style(z)[:, None, :, None, None]
        w = w * (w.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        y = F.conv2d(x.flatten(0, 1)[None], w.flatten(0, 1), groups=len(x))
        return self.out(F.leaky_relu(y.unflatten(1, (len(x), -1))[0]))


class Standardised(nn.Module):
    """Convolutions whose weights are standardised."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.gain, self.h = nn.Parameter(torch.ones(4, 1, 1, 1)), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        for conv, gain in ((self.a, None), (self.b, self.gain)):
            mean = conv.weight.mean((1, 2, 3), keepdim=True)
            variance = conv.weight.var((1, 2, 3), keepdim=True)
            w = (conv.weight - mean) * (variance * conv.weight[0].numel() + 1e-4).rsqrt()
            x = F.elu(F.conv2d(x, w if gain is None else gain * w, conv.bias))
        return self.h(x.mean((2, 3)))


class Margin(nn.Module):
    """Angles between normalised features and normalised classes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n, self.classes = (
            nn.Linear(6, 5),
            nn.BatchNorm1d(5),
            nn.Linear(5, 3, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.normalize(self.n(self.a(x)))
        cosines = y @ F.normalize(self.classes.weight).T
        return 16.0 * torch.cos(torch.acos(cosines.clamp(-1 + 1e-7, 1 - 1e-7)) + 0.2)


class Inverted(nn.Module):
    """Inverted residuals as MobileNet has them: wide, by channel, narrow; a straight sum."""

    def __init__(self, act: type[nn.Module]) -> None:
        super().__init__()
        self.stem, self.n = nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8), act(),
                nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), act(),
                nn.Conv2d(8, 4, 1, bias=False), nn.BatchNorm2d(4),
            )
            for _ in range(2)
        )  # fmt: skip
        self.act, self.h = act(), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.n(self.stem(x)))
        for layer in self.layers:
            x = x + layer(x)
        return self.h(x.mean((2, 3)))


class Squeezed(nn.Module):
    """Channels weighed by what is in the whole picture."""

    def __init__(self) -> None:
        super().__init__()
        self.c, self.n = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.down, self.up = nn.Linear(6, 3), nn.Linear(3, 6)
        self.h = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.n(self.c(x)))
        w = torch.sigmoid(self.up(torch.relu(self.down(x.mean((2, 3))))))
        return self.h((x * w[..., None, None]).mean((2, 3)))


class UNet(nn.Module):
    """Down, up, and what was before beside it; time comes in as scale and shift."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.down = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 6, 3, 2, 1)
        self.time, self.n1, self.n2 = nn.Linear(4, 12), nn.GroupNorm(2, 4), nn.GroupNorm(2, 6)
        self.up, self.n3 = nn.ConvTranspose2d(6, 4, 2, 2), nn.GroupNorm(2, 8)
        self.last = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        x = self.first(x)
        y = self.n2(self.down(F.silu(self.n1(x))))
        scale, shift = self.time(t)[..., None, None].chunk(2, 1)
        y = self.up(F.silu(y * (1 + scale) + shift))
        return self.last(F.silu(self.n3(torch.cat([x, y], 1))))


class Mixer(nn.Module):
    """A mixer of places and channels with layer scales."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.n1, self.n2 = nn.Linear(6, 6), nn.LayerNorm(6), nn.LayerNorm(6)
        self.places, self.channels = nn.Linear(5, 5), nn.Linear(6, 6)
        self.s1, self.s2 = nn.Parameter(torch.full((6,), 0.1)), nn.Parameter(torch.full((6,), 0.1))
        self.n, self.h = nn.LayerNorm(6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x)
        x = x + self.s1 * self.places(self.n1(x).mT).mT
        x = x + self.s2 * F.gelu(self.channels(self.n2(x)))
        return self.h(self.n(x).mean(1))


class Highway(nn.Module):
    """A gate between what comes and what is made of it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.t, self.f, self.h = (nn.Linear(6, n) for n in (6, 6, 6, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.a(x))
        gate = torch.sigmoid(self.t(x))
        return self.h(gate * torch.relu(self.f(x)) + (1 - gate) * x)


class Capsules(nn.Module):
    """Votes, routed by agreement in a few rounds."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.h = nn.Parameter(torch.randn(4, 3, 5, 2)), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        votes = torch.einsum("bid,ijod->bijo", x, self.w)
        scores = torch.zeros(votes.shape[:3])
        for _ in range(2):
            s = (scores.softmax(2)[..., None] * votes).sum(1)
            size = s.square().sum(-1, keepdim=True)
            v = size / (1 + size) * s / (size + 1e-9).sqrt()
            scores = scores + (votes * v[:, None]).sum(-1)
        return self.h(v)


class Recurrent(nn.Module):
    """torch's recurrent networks, with a projection before and after."""

    def __init__(self, cell: str, **settings: Any) -> None:
        super().__init__()
        self.a, self.n = nn.Linear(3, 4), nn.LayerNorm(4)
        self.r = getattr(nn, cell)(4, 5, batch_first=True, **settings)
        self.h = nn.Linear(5 * (2 if settings.get("bidirectional") else 1), 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.h(self.r(self.n(self.a(x)))[0])


class Hyper(nn.Module):
    """A network that makes the weights of another one."""

    def __init__(self) -> None:
        super().__init__()
        self.make, self.h = nn.Linear(3, 5 * 6), nn.Linear(5, 2)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        w = self.make(z).view(-1, 5, 6)
        return self.h(torch.relu(torch.einsum("bi,boi->bo", x, w)))


class Contrast(nn.Module):
    """The loss of two views whose target has a stopped gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 4))
        self.p = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 4))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        z, w = self.f(x), self.f(y)
        first = F.cosine_similarity(self.p(z), w.detach()).mean()
        return -(first + F.cosine_similarity(self.p(w), z.detach()).mean()) / 2


class Variational(nn.Module):
    """Means and deviations, a draw, and the divergence."""

    def __init__(self) -> None:
        super().__init__()
        self.e, self.m, self.s = nn.Linear(6, 5), nn.Linear(5, 2), nn.Linear(5, 2)
        self.d, self.o = nn.Linear(2, 5), nn.Linear(5, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = torch.relu(self.e(x))
        m, s = self.m(y), self.s(y)
        z = m + torch.randn_like(s) * (s / 2).exp()
        return self.o(torch.relu(self.d(z))), (m.square() + s.exp() - s - 1).sum(-1) / 2


class Coupling(nn.Module):
    """Affine couplings of a normalising flow, with the logarithm of the determinant."""

    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleList(
            nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 6)) for _ in range(2)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a, b = x.chunk(2, -1)
        total = torch.zeros(len(x))
        for net in self.nets:
            s, t = net(a).chunk(2, -1)
            a, b, total = b * torch.tanh(s).exp() + t, a, total + torch.tanh(s).sum(-1)
        return torch.cat([a, b], -1), total


class Slots(nn.Module):
    """Slots that compete for inputs, with a recurrent update."""

    def __init__(self) -> None:
        super().__init__()
        self.start, self.n, self.m = (
            nn.Parameter(torch.randn(3, 6)),
            nn.LayerNorm(6),
            nn.LayerNorm(6),
        )
        self.q, self.k, self.v = (nn.Linear(6, 6, bias=False) for _ in range(3))
        self.r, self.h = nn.GRUCell(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.n(x)
        slots = self.start.expand(len(x), -1, -1)
        for _ in range(2):
            share = (self.k(x) @ self.q(self.m(slots)).mT).softmax(-1) + 1e-8
            share = share / share.sum(1, keepdim=True)
            update = share.mT @ self.v(x)
            slots = self.r(update.flatten(0, 1), slots.flatten(0, 1)).view_as(slots)
        return self.h(slots)


def _normed(norm: Any, dim: int = 0) -> nn.Module:
    """Two layers whose first weight is a product of direction and size."""
    given = {"dim": dim} if norm is parametrizations.weight_norm else {}
    return nn.Sequential(norm(nn.Linear(6, 5), **given), nn.ReLU(), nn.Linear(5, 2))


def _transformer(**settings: Any) -> nn.Module:
    """A layer of torch's transformer."""
    return nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, **settings), 1,
        enable_nested_tensor=False,
    )  # fmt: skip


def _translation() -> Built:
    """Torch's encoder and decoder, and both sides."""
    model = nn.Transformer(8, 2, 1, 1, 12, batch_first=True)
    return model, (torch.randn(2, 5, 8), torch.randn(2, 4, 8)), {}


MODELS: Final[tuple[FieldModel, ...]] = (
    simple(WEIGHTS, "weight norm", partial(_normed, parametrizations.weight_norm), (8, 6)),
    simple(WEIGHTS, "weight norm of all", partial(_normed, parametrizations.weight_norm, None),
           (8, 6)),
    simple(WEIGHTS, "spectral norm", partial(_normed, parametrizations.spectral_norm), (8, 6)),
    simple(WEIGHTS, "orthogonal", partial(_normed, parametrizations.orthogonal), (8, 6)),
    simple(WEIGHTS, "standardised convolutions", Standardised, (2, 3, 8, 8)),
    simple(WEIGHTS, "demodulated", Demodulated, (3, 3, 6, 6), (3, 5)),
    simple(WEIGHTS, "margin of angles", Margin, (8, 6)),
    simple(NETWORKS, "style generator", Generator, (6, 5)),
    simple(NETWORKS, "inverted residuals, relu6", lambda: Inverted(nn.ReLU6), (2, 3, 12, 12)),
    simple(NETWORKS, "inverted residuals, relu", lambda: Inverted(nn.ReLU), (2, 3, 12, 12)),
    simple(NETWORKS, "squeeze and excite", Squeezed, (4, 3, 6, 6)),
    simple(NETWORKS, "U-Net", UNet, (2, 3, 8, 8), (2, 4)),
    simple(NETWORKS, "mixer", Mixer, (3, 5, 6)),
    simple(NETWORKS, "highway", Highway, (8, 6)),
    simple(NETWORKS, "capsules", Capsules, (3, 4, 2)),
    simple(NETWORKS, "LSTM", lambda: Recurrent("LSTM"), (3, 5, 3)),
    simple(NETWORKS, "GRU, both ways", lambda: Recurrent("GRU", bidirectional=True), (3, 5, 3)),
    simple(NETWORKS, "ReLU recurrence", lambda: Recurrent("RNN", nonlinearity="relu"), (3, 5, 3)),
    simple(NETWORKS, "hypernetwork", Hyper, (6, 6), (6, 3)),
    simple(NETWORKS, "stopped target", Contrast, (8, 6), (8, 6)),
    simple(NETWORKS, "variational", Variational, (8, 6)),
    simple(NETWORKS, "couplings", Coupling, (5, 6)),
    simple(NETWORKS, "slots", Slots, (3, 5, 6)),
    simple(NETWORKS, "transformer layer", _transformer, (3, 5, 8)),
    simple(NETWORKS, "transformer layer, norm first", partial(_transformer, norm_first=True),
           (3, 5, 8)),
    FieldModel("torch's transformer", NETWORKS, _translation),
)  # fmt: skip
