"""Attention of many kinds."""

from collections.abc import Callable
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from field._model import FieldModel, simple

KIND: Final = "attention of many kinds"


class Attention(nn.Module):
    """Queries, keys and values in heads, and what is done with them."""

    def __init__(self, mix: Callable[..., Tensor], *, bias: bool = False, **extra: Any) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(6, 6, bias=bias) for _ in range(3))
        self.o, self.mix = nn.Linear(6, 2), mix
        for name, value in extra.items():
            setattr(self, name, value)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (m(x).unflatten(-1, (2, 3)).transpose(1, 2) for m in (self.q, self.k, self.v))
        return self.o(self.mix(self, q, k, v).transpose(1, 2).flatten(2))


def cosine(own: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scores are cosines times a scale of each head that is clamped, as in Swin v2."""
    scale = own.scale.clamp(max=4.0).exp()
    return (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT * scale).softmax(-1) @ v


def linear(own: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Positive features, whose products are normalised by their sum."""
    q, k = F.elu(q) + 1, F.elu(k) + 1
    return q @ (k.mT @ v) / (q @ k.sum(-2, keepdim=True).mT)


def of_relu(own: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same with ReLU, which keeps a scale."""
    q, k = torch.relu(q), torch.relu(k)
    return q @ (k.mT @ v) / (q @ k.sum(-2, keepdim=True).mT + 1e-6)


def by_relu(own: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """ReLU in place of the softmax, divided by the length."""
    return torch.relu(q @ k.mT) @ v / k.shape[-2]


def by_sigmoid(own: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A sigmoid in place of the softmax."""
    return torch.sigmoid(q @ k.mT) @ v


def with_sink(own: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A score of each head that nothing answers to."""
    scores = q @ k.mT
    sink = own.sink.view(1, 2, 1, 1).expand(len(q), -1, q.shape[-2], -1)
    return torch.cat([scores, sink], -1).softmax(-1)[..., :-1] @ v


def talking(own: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Heads that mix before and after the softmax."""
    scores = torch.einsum("bhij,hg->bgij", q @ k.mT, own.before)
    return torch.einsum("bhij,hg->bgij", scores.softmax(-1), own.after) @ v


def different(own: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The difference of two softmaxes, then a norm of each head."""
    (a, b), (c, d) = q.split([1, 1], 1), k.split([1, 1], 1)
    scores = (a @ c.mT).softmax(-1) - own.mix_of * (b @ d.mT).softmax(-1)
    return F.rms_norm(scores @ v, (3,))


def relative(own: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A learned bias of distances."""
    places = torch.arange(q.shape[-2])
    bias = own.table[places[:, None] - places + 4].permute(2, 0, 1)
    return (q @ k.mT + bias).softmax(-1) @ v


def capped(own: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scores that a tanh caps, as in Gemma 2."""
    return (5 * torch.tanh(q @ k.mT / 5)).softmax(-1) @ v


def best(own: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Only the two best keys of each query take part."""
    scores = q @ k.mT
    least = scores.topk(2, -1).values[..., -1:]
    return scores.masked_fill(scores < least, -torch.inf).softmax(-1) @ v


def retained(own: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Retention: products that decay with distance, and a norm of each head."""
    places = torch.arange(q.shape[-2], dtype=q.dtype)
    decay = (0.9 ** (places[:, None] - places).clamp(min=0)).tril()
    y = (q @ k.mT * decay) @ v
    return F.layer_norm(y, (3,))


def gated(own: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A gate of each head on what was read."""
    read = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return read * torch.sigmoid(own.gate).view(1, 2, 1, 1)


def windowed(own: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Keys near by, by a boolean mask."""
    places = torch.arange(q.shape[-2])
    near = (places[:, None] - places).abs() < 2
    return F.scaled_dot_product_attention(q, k, v, attn_mask=near)


def tempered(own: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A temperature that is learned."""
    return (q @ k.mT / own.temperature).softmax(-1) @ v


class Grouped(nn.Module):
    """More queries than keys, and turned pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(6, 8), nn.Linear(6, 4), nn.Linear(6, 4)
        self.qn, self.o = nn.RMSNorm(4), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (m(x).unflatten(-1, (-1, 4)).transpose(1, 2) for m in (self.q, self.k, self.v))
        angle = torch.arange(x.shape[1])[:, None] * torch.tensor([1.0, 0.1])
        q, k = (turned(y, angle) for y in (self.qn(q), k))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.o(y.transpose(1, 2).flatten(2))


def turned(x: Tensor, angle: Tensor) -> Tensor:
    """Pairs of entries turned by an angle."""
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Cross(nn.Module):
    """A few learned queries read a sequence, as in Perceiver or Q-Former."""

    def __init__(self) -> None:
        super().__init__()
        self.latents, self.n = nn.Parameter(torch.randn(3, 6)), nn.LayerNorm(6)
        self.q, self.kv, self.o = nn.Linear(6, 6), nn.Linear(6, 12), nn.Linear(6, 6)
        self.h = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        k, v = self.kv(x).chunk(2, -1)
        q = self.q(self.n(self.latents)).expand(len(x), -1, -1)
        y = self.latents + self.o(F.scaled_dot_product_attention(q, k, v))
        return self.h(F.layer_norm(y, (6,)))


def _kind(name: str, mix: Callable[..., Tensor], **extra: Callable[[], Tensor]) -> FieldModel:
    """Attention with parameters of its own."""

    def build() -> nn.Module:
        return Attention(mix, **{key: nn.Parameter(make()) for key, make in extra.items()})

    return simple(KIND, name, build, (3, 5, 6))


MODELS: Final[tuple[FieldModel, ...]] = (
    _kind("cosine attention, scale", cosine, scale=lambda: torch.zeros(2, 1, 1)),
    _kind("linear attention", linear),
    _kind("linear attention of relu", of_relu),
    _kind("relu in place of softmax", by_relu),
    _kind("sigmoid in place of softmax", by_sigmoid),
    _kind("attention with sinks", with_sink, sink=lambda: torch.randn(2)),
    _kind("talking heads", talking, before=lambda: torch.randn(2, 2),
          after=lambda: torch.randn(2, 2)),
    _kind("differential attention", different, mix_of=lambda: torch.rand(1)),
    _kind("relative bias", relative, table=lambda: torch.randn(9, 2)),
    _kind("capped scores", capped),
    _kind("best two keys", best),
    _kind("retention", retained),
    _kind("gated heads", gated, gate=lambda: torch.randn(2)),
    _kind("window mask", windowed),
    _kind("learned temperature", tempered, temperature=lambda: torch.tensor(1.5)),
    simple(KIND, "grouped queries, turned", Grouped, (3, 5, 6)),
    simple(KIND, "latents that read", Cross, (3, 5, 6)),
    simple(KIND, "attention with biases", lambda: Attention(windowed, bias=True), (3, 5, 6)),
)  # fmt: skip
