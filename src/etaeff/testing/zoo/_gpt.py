"""Small GPTs with separate q, k, v: pre-norm, post-norm, and with a tied head."""

from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from etaeff.geometry import Block
from etaeff.testing.zoo._attention import Attention
from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._parts import HEAD, tokens


class Decoder(nn.Module):
    """A pre-norm block, or a post-norm one."""

    attention: Attention

    def __init__(self, *, pre: bool = True, act: Callable[[Tensor], Tensor] = F.gelu) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(8, eps=0.0), nn.LayerNorm(8, eps=0.0)
        attention = Attention()
        self.q, self.k, self.v, self.o = attention.q, attention.k, attention.v, attention.o
        self.__dict__["attention"] = attention  # not a second name for its layers
        self.fc, self.proj = nn.Linear(8, 12), nn.Linear(12, 8)
        self.pre, self.act = pre, act

    def forward(self, x: Tensor) -> Tensor:
        if self.pre:
            x = x + self.attention(self.ln1(x))
            return x + self.proj(self.act(self.fc(self.ln2(x))))
        x = self.ln1(x + self.attention(x))
        return self.ln2(x + self.proj(self.act(self.fc(x))))


class Gpt(nn.Module):
    """Blocks between embeddings and a head."""

    def __init__(
        self,
        *,
        pre: bool = True,
        act: Callable[[Tensor], Tensor] = F.gelu,
        layers: int = 2,
        tied: bool = False,
        affine: bool = True,
    ) -> None:
        super().__init__()
        self.tok, self.pos = nn.Embedding(7, 8), nn.Embedding(5, 8)
        self.blocks = nn.ModuleList(Decoder(pre=pre, act=act) for _ in range(layers))
        last = nn.LayerNorm(8, eps=0.0, elementwise_affine=affine)
        self.ln_f = last if pre else nn.Identity()
        self.head = nn.Linear(8, 7, bias=not tied)
        if tied:
            self.head.weight = self.tok.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tok(tokens) + self.pos(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln_f(x))


STREAM: Final = "tok.weight pos.weight blocks.*.o.* blocks.*.proj.*"
STREAM_BLOCK: Final = Block(
    (
        "tok.weight",
        "pos.weight",
        *(
            f"blocks.{i}.{name}.{part}"
            for i in (0, 1)
            for name in ("o", "proj")
            for part in ("weight", "bias")
        ),
    )
)
KEY_BIASES: Final = "blocks.0.k.bias blocks.1.k.bias"


def pre_norm_block(i: int) -> tuple[str, ...]:
    """What rescales in a pre-norm block with GELU; the bias of its keys is inert besides."""
    b = f"blocks.{i}"
    return (
        f"{b}.ln1.* / {b}.q.weight {b}.k.weight {b}.v.weight",
        f"{b}.q.* / {b}.k.weight",
        f"{b}.v.* / {b}.o.weight",
        f"{b}.ln2.* / {b}.fc.weight",
    )


PRE_NORM_BLOCKS: Final = (*pre_norm_block(0), *pre_norm_block(1))

CASES: Final = (
    Case(
        name="pre-norm gpt",
        because="Every norm forgets the scale of the stream, to which embeddings, o and proj add; "
        "in a block ln1 goes against q, k and v, q against k, v against o, ln2 against fc, k.bias "
        "is forgotten by softmax; ln_f goes against the head: 1 + 2 · 5 + 1 = 12.",
        build=Gpt,
        inputs=tokens(),
        symmetries=(STREAM, *PRE_NORM_BLOCKS, "ln_f.* / head.weight"),
        inert=KEY_BIASES,
        blocks=(STREAM_BLOCK,),
        homogeneous=HEAD,
        lr=f"{STREAM} blocks.*.v.*",
        balances="blocks.*.ln1.* blocks.*.q.* blocks.*.k.weight blocks.*.ln2.* "
        "blocks.*.fc.weight ln_f.* head.weight",
    ),
    Case(
        name="pre-norm gpt with relu",
        because="As with GELU, and ReLU keeps a scale besides: fc goes against proj in each block.",
        build=lambda: Gpt(act=F.relu),
        inputs=tokens(),
        symmetries=(
            STREAM,
            *PRE_NORM_BLOCKS,
            *(f"blocks.{i}.fc.* / blocks.{i}.proj.weight" for i in (0, 1)),
            "ln_f.* / head.weight",
        ),
        inert=KEY_BIASES,
        blocks=(STREAM_BLOCK,),
        homogeneous=HEAD,
        lr=STREAM,
    ),
    Case(
        name="tied gpt",
        because="The embedding is the head, so that scaling the stream scales the logits too, "
        "which gain and shift of the last norm undo.",
        build=lambda: Gpt(tied=True),
        inputs=tokens(),
        symmetries=(f"{STREAM} / ln_f.*", *PRE_NORM_BLOCKS),
        inert=KEY_BIASES,
        homogeneous=("ln_f.*", 1),
        balances="tok.weight pos.weight blocks.*.o.weight ln_f.*",
    ),
    Case(
        name="tied gpt, last norm without affine",
        because="The embedding is the head, and no gain is there to undo its scale: the logits "
        "scale with the stream.",
        build=lambda: Gpt(tied=True, affine=False),
        inputs=tokens(),
        symmetries=PRE_NORM_BLOCKS,
        inert=KEY_BIASES,
        homogeneous=(STREAM, 1),
    ),
    Case(
        name="post-norm gpt",
        because="The scale of the embeddings is undone by q and k, and followed by the biases of v "
        "and o, until ln1 forgets it; that of ln1 is undone by fc and followed by proj, until ln2 "
        "forgets it; ln2 goes against the head: each has its opposite, and none is invariant.",
        build=lambda: Gpt(pre=False, layers=1),
        inputs=tokens(),
        symmetries=(
            "tok.weight pos.weight blocks.0.v.bias blocks.0.o.bias"
            " / blocks.0.q.weight blocks.0.k.weight",
            "blocks.0.q.* / blocks.0.k.weight",
            "blocks.0.v.* / blocks.0.o.weight",
            "blocks.0.ln1.* blocks.0.proj.* / blocks.0.fc.weight",
            "blocks.0.ln2.* / head.weight",
        ),
        inert="blocks.0.k.bias",
        homogeneous=HEAD,
        balances="tok.weight pos.weight blocks.0.ln1.* blocks.0.q.* blocks.0.k.weight "
        "blocks.0.v.* blocks.0.o.* blocks.0.proj.* blocks.0.fc.weight blocks.0.ln2.* head.weight",
    ),
)
