"""Other transformers: torch's own encoder and decoder, and nGPT on the sphere."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from etaeff.geometry import Block
from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._parts import randn, tokens


class TorchTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.t = nn.Transformer(8, 2, 1, 1, 12, dropout=0.1, batch_first=True)

    def forward(self, src: Tensor, tgt: Tensor) -> Tensor:
        return self.t(src, tgt)


class NGpt(nn.Module):
    """Every matrix and every state on the unit sphere, weights normalised in the forward pass."""

    tok: Tensor
    q: Tensor
    k: Tensor
    v: Tensor
    o: Tensor
    up: Tensor
    gate: Tensor
    down: Tensor
    head: Tensor

    def __init__(self, width: int = 8, heads: int = 2, vocabulary: int = 7) -> None:
        super().__init__()
        shapes = {"tok": (vocabulary, width), "head": (vocabulary, width)}
        shapes |= dict.fromkeys(("q", "k", "v", "o"), (width, width))
        shapes |= {"up": (12, width), "gate": (12, width), "down": (width, 12)}
        for i, (name, shape) in enumerate(shapes.items()):
            self.register_parameter(name, nn.Parameter(randn(i + 2, *shape)[-1]))
        self.s_qk = nn.Parameter(torch.linspace(0.5, 1.5, width // heads))
        self.s_up = nn.Parameter(torch.linspace(0.5, 1.5, 12))
        self.s_gate = nn.Parameter(torch.linspace(0.5, 1.5, 12))
        self.s_z = nn.Parameter(torch.linspace(0.5, 1.5, vocabulary))
        self.rate = nn.Parameter(torch.linspace(0.1, 0.3, width))
        self.heads = heads

    def forward(self, tokens: Tensor) -> Tensor:
        x = F.normalize(F.embedding(tokens, self.tok), dim=-1)
        q, k, v = (
            F.linear(x, F.normalize(w, dim=1)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for w in (self.q, self.k, self.v)
        )
        q, k = (F.normalize(part, dim=-1) * self.s_qk for part in (q, k))
        read = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = self.moved(x, F.linear(read, F.normalize(self.o, dim=0)))
        up = F.linear(x, F.normalize(self.up, dim=1)) * self.s_up
        gate = F.linear(x, F.normalize(self.gate, dim=1)) * self.s_gate
        x = self.moved(x, F.linear(up * F.silu(gate), F.normalize(self.down, dim=0)))
        return F.linear(x, F.normalize(self.head, dim=1)) * self.s_z

    def moved(self, x: Tensor, goal: Tensor) -> Tensor:
        """A step from x towards a goal, both of length 1."""
        return F.normalize(x + self.rate * (F.normalize(goal, dim=-1) - x), dim=-1)


ENCODER, DECODER = "t.encoder.layers.0", "t.decoder.layers.0"

CASES: Final = (
    Case(
        name="nn.Transformer",
        because="q, k and v are one tensor, whose scale the scores fix; norm1 of the encoder, "
        "norm2 of the decoder, each with the biases that ReLU hands its scale to, feed a norm, as "
        "the last norm of each layer does; encoder.norm is read as keys, norm1 of the decoder as "
        "queries, and in_proj must undo both; linear1 goes against linear2.",
        build=TorchTransformer,
        inputs=lambda: {"src": randn(3, 5, 8), "tgt": randn(3, 4, 8).flip(0)},
        symmetries=(
            f"{ENCODER}.norm1.* {ENCODER}.linear1.bias {ENCODER}.linear2.bias",
            f"{ENCODER}.linear1.* / {ENCODER}.linear2.weight",
            f"{ENCODER}.norm2.*",
            f"t.encoder.norm.* {DECODER}.norm1.* {DECODER}.multihead_attn.out_proj.*"
            f" / {DECODER}.multihead_attn.in_proj_weight",
            f"{DECODER}.norm2.* {DECODER}.linear1.bias {DECODER}.linear2.bias",
            f"{DECODER}.linear1.* / {DECODER}.linear2.weight",
            f"{DECODER}.norm3.*",
        ),
        blocks=tuple(
            Block(tuple(f"{layer}.{name}" for name in names))
            for layer, names in (
                (ENCODER, ("norm2.weight", "norm2.bias")),
                (DECODER, ("norm3.weight", "norm3.bias")),
                (ENCODER, ("linear1.bias", "linear2.bias", "norm1.weight", "norm1.bias")),
                (DECODER, ("linear1.bias", "linear2.bias", "norm2.weight", "norm2.bias")),
            )
        ),
        homogeneous=("t.decoder.norm.*", 1),
        lr=f"{ENCODER}.norm2.* {DECODER}.norm3.* {ENCODER}.norm1.* {DECODER}.norm2.*",
        balances=f"*.linear1.weight *.linear2.weight t.encoder.norm.* {DECODER}.norm1.* "
        f"{DECODER}.multihead_attn.out_proj.* {DECODER}.multihead_attn.in_proj_weight",
    ),
    Case(
        name="ngpt",
        because="Every matrix is normalised per vector of the model's width, which are its rows, "
        "or the columns of o and down; s_up is a factor of what is normalised next; the scores "
        "and SiLU fix s_qk and s_gate.",
        build=NGpt,
        inputs=tokens(),
        symmetries=("tok", "q", "k", "v", "o", "up", "gate", "down", "head", "s_up"),
        blocks=(
            *(Block((name,), count=7) for name in ("tok", "head")),
            *(Block((name,), count=8) for name in ("q", "k", "v")),
            *(Block((name,), count=12) for name in ("up", "gate")),
            Block(("o",), axis=1, count=8),
            Block(("down",), axis=1, count=12),
            Block(("s_up",)),
        ),
        homogeneous=("s_z", 1),
        lr="tok q k v o up gate down head s_up",
    ),
)
