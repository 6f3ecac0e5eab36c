"""Small models, and their scaling symmetries by hand.

Every label was derived on paper from the mathematics, never read off the audit. A symmetry is
written "a b / c": the exponents of a and b are 1, that of c is −1, all others 0; "2·a" has the
exponent 2; names may have wildcards. The symmetries of a case and its inert parameters are a
basis of the whole space, so its rank is their number.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from etaeff.geometry import Block


@dataclass(frozen=True)
class Case:
    """A model and the truth about it.

    Attributes:
        build: Makes the model.
        inputs: Makes the arguments of its forward pass, by name.
        symmetries: A basis of those that are not inert.
        inert: Parameters without any effect.
        blocks: What must be reported as scale-invariant.
        homogeneous: A direction along which the outputs scale, and the power; directions that
            differ by a symmetry are the same.
        lr: Parameters whose decay sets the effective learning rate.
        balances: Parameters whose decay balances a product. Those that are in neither, and are
            in a symmetry, can be called one or the other, by the basis that is chosen.
        unproved: Inert parameters that only the measurement finds.
    """

    build: Callable[[], nn.Module]
    inputs: Callable[[], dict]
    symmetries: tuple[str, ...] = ()
    inert: str = ""
    blocks: tuple[Block, ...] = ()
    homogeneous: tuple[str, int] | None = None
    lr: str = ""
    balances: str = ""
    unproved: str = ""

    @property
    def rank(self):
        return len(self.symmetries) + len(self.inert.split())


def matching(pattern, names):
    """The names that a pattern stands for."""
    found = [n for n in names if fnmatchcase(n, pattern)]
    assert found, f"no parameter is called {pattern}"
    return found


def exponents(text, names):
    """The exponents by name that a text such as "2·a b.* / c" stands for."""
    found = {}
    for side, sign in zip(text.split("/"), (1, -1), strict=False):
        for word in side.split():
            power, _, pattern = word.rpartition("·")
            for name in matching(pattern, names):
                found[name] = found.get(name, 0) + sign * int(power or 1)
    return found


CASES: dict[str, Case] = {}


def images(channels=3, size=6, batch=4):
    return lambda: {"x": randn(batch, channels, size, size)}


def vectors(width=3, batch=8):
    return lambda: {"x": randn(batch, width)}


def sequences(width=8, length=5, batch=3):
    return lambda: {"x": randn(batch, length, width)}


def tokens(name="tokens", vocabulary=7, length=5, batch=3):
    def draw():
        generator = torch.Generator().manual_seed(1)
        return {name: torch.randint(vocabulary, (batch, length), generator=generator)}

    return draw


def randn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


class Called(nn.Module):
    """Layers with names, one after the other; the argument is called `x`."""

    def __init__(self, **layers):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


class Plus(nn.Module):
    """A constant is added."""

    def __init__(self, constant):
        super().__init__()
        self.constant = constant

    def forward(self, x):
        return x + self.constant


class Pool(nn.Module):
    """The mean over all places."""

    def forward(self, x):
        return x.flatten(2).mean(-1)


# ------------------------------------------------------------------ no symmetry but the last layer

HEAD = ("head.weight head.bias", 1)


class FrozenBatchNorm(nn.Module):
    """Batch Normalization with running statistics, as in eval mode."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, width))
        self.bias = nn.Parameter(torch.linspace(-0.5, 0.5, width))
        self.register_buffer("mean", torch.linspace(0.1, 0.4, width))
        self.register_buffer("var", torch.linspace(0.5, 2, width))

    def forward(self, x):
        return F.batch_norm(x, self.mean, self.var, self.weight, self.bias, training=False)


class SineNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(torch.sin(30 * self.first(x)))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cells = kind(8, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.cells(x)[0])


CASES["gelu mlp"] = Case(
    lambda: Called(first=nn.Linear(3, 4), act=nn.GELU(), head=nn.Linear(4, 2)),
    vectors(),
    homogeneous=HEAD,
)
CASES["tanh mlp"] = Case(
    lambda: Called(first=nn.Linear(3, 4), act=nn.Tanh(), head=nn.Linear(4, 2)),
    vectors(),
    homogeneous=HEAD,
)
CASES["relu6 mlp"] = Case(
    lambda: Called(first=nn.Linear(3, 4), act=nn.ReLU6(), head=nn.Linear(4, 2)),
    vectors(),
    homogeneous=HEAD,
)
CASES["sine network"] = Case(SineNetwork, vectors(), homogeneous=HEAD)
CASES["lstm"] = Case(lambda: Recurrent(nn.LSTM), sequences(), homogeneous=HEAD)
# A norm before the cells reads its scale into them, and one of ReLU passes it on.
CASES["layer norm, gru"] = Case(
    lambda: Called(norm=nn.LayerNorm(8), r=Recurrent(nn.GRU)),
    sequences(),
    ("norm.* / r.cells.weight_ih_l0",),
    homogeneous=("r.head.*", 1),
    balances="norm.* r.cells.weight_ih_l0",
)
CASES["layer norm, relu rnn"] = Case(
    lambda: Called(norm=nn.LayerNorm(8), r=Recurrent(partial(nn.RNN, nonlinearity="relu"))),
    sequences(),
    ("norm.* / r.cells.weight_ih_l0", "r.cells.weight_ih_l0 r.cells.bias_* / r.head.weight"),
    homogeneous=("r.head.*", 1),
    balances="norm.* r.cells.weight_ih_l0 r.cells.bias_* r.head.weight",
)
CASES["probabilities"] = Case(
    lambda: Called(first=nn.Linear(3, 4), act=nn.GELU(), head=nn.Linear(4, 3), p=nn.Softmax(-1)),
    vectors(),
)
CASES["frozen batch norm"] = Case(
    lambda: Called(
        conv=nn.Conv2d(3, 4, 3),
        norm=FrozenBatchNorm(4),
        act=nn.ReLU(),
        pool=Pool(),
        head=nn.Linear(4, 2),
    ),
    images(),
    ("norm.* / head.weight",),
    homogeneous=HEAD,
    balances="norm.* head.weight",
)

# ------------------------------------------------------------------------------- rescaling alone


class Shared(nn.Module):
    """One weight used twice."""

    def __init__(self):
        super().__init__()
        self.twice = nn.Linear(3, 3, bias=False)
        self.head = nn.Linear(3, 2, bias=False)

    def forward(self, x):
        return self.head(self.twice(self.twice(x).relu()).relu())


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.a = nn.Linear(3, 4), nn.Linear(4, 6)
        self.b, self.head = nn.Linear(6, 4), nn.Linear(4, 2)

    def forward(self, x):
        x = self.stem(x)
        return self.head(x + self.b(self.a(x).relu()))


class Gated(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(3, 5), nn.Linear(3, 5), nn.Linear(5, 2)
        self.act = act

    def forward(self, x):
        return self.down(self.act(self.gate(x)) * self.up(x))


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(3, 4), nn.Linear(4, 2)
        self.spare = nn.Linear(3, 3)
        self.zeroed = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return self.head(F.gelu(self.first(x)) + 0 * self.zeroed)


CASES["relu mlp"] = Case(
    lambda: Called(
        a=nn.Linear(3, 4), f=nn.ReLU(), b=nn.Linear(4, 4), g=nn.LeakyReLU(), head=nn.Linear(4, 2)
    ),
    vectors(),
    ("a.* / b.weight", "b.* / head.weight"),
    homogeneous=HEAD,
    balances="a.* b.* head.weight",
)
CASES["relu mlp without biases"] = Case(
    lambda: Called(
        a=nn.Linear(3, 4, bias=False),
        f=nn.ReLU(),
        b=nn.Linear(4, 4, bias=False),
        g=nn.ReLU(),
        head=nn.Linear(4, 2, bias=False),
    ),
    vectors(),
    ("a.weight / b.weight", "b.weight / head.weight"),
    homogeneous=("head.weight", 1),
    balances="*",
)
# W, W, V: 2w + v = 0.
CASES["a weight used twice"] = Case(
    Shared,
    vectors(),
    ("twice.weight / 2·head.weight",),
    homogeneous=("head.weight", 1),
    balances="*",
)
# The slopes themselves have no scale: at 0 they are ReLU, at 1 linear.
CASES["prelu mlp"] = Case(
    lambda: Called(a=nn.Linear(3, 4), f=nn.PReLU(4), head=nn.Linear(4, 2)),
    vectors(),
    ("a.* / head.weight",),
    homogeneous=HEAD,
    balances="a.* head.weight",
)
# What comes out of the ReLU is never negative.
CASES["prelu after relu"] = Case(
    lambda: Called(a=nn.Linear(3, 4), r=nn.ReLU(), f=nn.PReLU(4), head=nn.Linear(4, 2)),
    vectors(),
    ("a.* / head.weight",),
    inert="f.weight",
    homogeneous=HEAD,
    balances="a.* head.weight",
    unproved="f.weight",
)
CASES["max-pool"] = Case(
    lambda: Called(
        conv=nn.Conv2d(3, 4, 3),
        f=nn.ReLU(),
        m=nn.MaxPool2d(2),
        flat=nn.Flatten(),
        head=nn.Linear(16, 2),
    ),
    images(),
    ("conv.* / head.weight",),
    homogeneous=HEAD,
    balances="conv.* head.weight",
)
# stem a; branch: b.w = −a.w (their product is 1), b.b = a; a.b = a + a.w.
CASES["residual add"] = Case(
    Residual,
    vectors(),
    ("stem.* a.bias b.bias / head.weight", "a.* / b.weight"),
    homogeneous=HEAD,
    balances="stem.* a.* b.* head.weight",
)
# A constant that no division needs is no ε, however small.
CASES["relu mlp with a constant"] = Case(
    lambda: Called(a=nn.Linear(3, 4), f=nn.ReLU(), g=Plus(1e-3), head=nn.Linear(4, 2)),
    vectors(),
    homogeneous=HEAD,
)
CASES["silu-gated mlp"] = Case(
    lambda: Gated(F.silu),
    vectors(),
    ("up.* / down.weight",),
    homogeneous=("down.*", 1),
    balances="up.* down.weight",
)
CASES["relu-gated mlp"] = Case(
    lambda: Gated(F.relu),
    vectors(),
    ("up.* / down.weight", "gate.* / down.weight"),
    homogeneous=("down.*", 1),
    balances="gate.* up.* down.weight",
)
CASES["unused parameters"] = Case(
    Unused, vectors(), inert="spare.weight spare.bias zeroed", unproved="zeroed", homogeneous=HEAD
)
CASES["embedding"] = Case(
    lambda: Called(table=nn.Embedding(7, 4), a=nn.Linear(4, 4), f=nn.ReLU(), head=nn.Linear(4, 2)),
    tokens("x"),
    ("table.weight / a.weight", "a.* / head.weight"),
    homogeneous=HEAD,
    balances="table.weight a.* head.weight",
)


class Mixture(nn.Module):
    """The two experts with the largest probability, all computed and the others masked."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(3, 3)
        self.up = nn.ModuleList(nn.Linear(3, 4) for _ in range(3))
        self.down = nn.ModuleList(nn.Linear(4, 3) for _ in range(3))
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        chance = self.router(x).softmax(-1)
        chosen = chance * F.one_hot(chance.topk(2).indices, 3).sum(-2)
        share = chosen / chosen.sum(-1, keepdim=True)
        experts = [d(u(x).relu()) for u, d in zip(self.up, self.down, strict=True)]
        return self.head((torch.stack(experts, -1) * share.unsqueeze(-2)).sum(-1))


# Each expert rescales within itself; all outputs together against the head. The router decides by
# probabilities, whose logits have a scale.
CASES["mixture of experts"] = Case(
    Mixture,
    lambda: {"x": randn(16, 3)},
    (
        *(f"up.{i}.* / down.{i}.weight" for i in range(3)),
        "down.* / head.weight",
    ),
    homogeneous=HEAD,
    balances="up.* down.* head.weight",
)


class Router(nn.Module):
    """One expert for each example, chosen by the largest score alone."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(8, 3, bias=False)
        self.experts = nn.ModuleList(nn.Linear(8, 2) for _ in range(3))

    def forward(self, x):
        found = torch.stack([expert(x) for expert in self.experts], 1)
        return found[torch.arange(len(x)), self.router(x).argmax(-1)]


# Which score is the largest does not change with the scale of all of them, but with that of one,
# though the router has no gradient that would tell.
CASES["routing to one expert"] = Case(
    Router,
    lambda: {"x": randn(32, 8)},
    ("router.weight",),
    blocks=(Block(("router.weight",)),),
    homogeneous=("experts.*", 1),
    lr="router.weight",
)


class Actions(nn.Module):
    """Logits of which some are never allowed."""

    def __init__(self, forbidden):
        super().__init__()
        self.first, self.norm = nn.Linear(6, 6), nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 4)
        self.forbidden = forbidden
        self.register_buffer("mask", torch.tensor([False, True, True, True]))

    def forward(self, x):
        return self.head(self.norm(self.first(x)).relu()).masked_fill(self.mask, self.forbidden)


for forbidden in (-math.inf, torch.finfo(torch.float32).min, -1e9):
    # Minus infinity has every scale, and other numbers none.
    scaled = forbidden == -math.inf
    CASES[f"actions masked with {forbidden:.2g}"] = Case(
        partial(Actions, forbidden),
        lambda: {"x": randn(16, 6)},
        ("first.weight", "norm.* / head.weight"),
        inert="first.bias",
        blocks=(Block(("first.weight",), count=6),),
        homogeneous=HEAD if scaled else None,
        lr="first.weight",
        balances="norm.* head.weight",
    )

# --------------------------------------------------------------- one normalisation after a layer

CONVOLUTION = ("conv.weight", "norm.* / head.weight")


def normalised(conv, norm, dropout=0.0):
    """A layer, its normalisation, ReLU, the mean over places, and a head."""
    return lambda: Called(
        conv=conv(),
        norm=norm(),
        act=nn.ReLU(),
        drop=nn.Dropout(dropout),
        pool=Pool(),
        head=nn.Linear(4, 2),
    )


def per_channel(norm, conv=lambda: nn.Conv2d(3, 4, 3, bias=False), *, axis=0, dropout=0.0, **more):
    """The weight is invariant per output channel; gain and shift move to the head."""
    return Case(
        normalised(conv, norm, dropout),
        images(),
        CONVOLUTION,
        blocks=(Block(("conv.weight",), axis=axis, count=4),),
        homogeneous=HEAD,
        lr="conv.weight",
        balances="norm.* head.weight",
        **more,
    )


CASES["conv, batch norm"] = per_channel(lambda: nn.BatchNorm2d(4))
CASES["conv with bias, batch norm"] = per_channel(
    lambda: nn.BatchNorm2d(4), lambda: nn.Conv2d(3, 4, 3, padding=1), inert="conv.bias"
)
CASES["conv, batch norm, dropout"] = per_channel(lambda: nn.BatchNorm2d(4), dropout=0.5)
CASES["transposed conv, batch norm"] = per_channel(
    lambda: nn.BatchNorm2d(4),
    lambda: nn.ConvTranspose2d(3, 4, 3, stride=2),
    axis=1,
    inert="conv.bias",
)
CASES["conv with bias, instance norm"] = per_channel(
    lambda: nn.InstanceNorm2d(4, affine=True), lambda: nn.Conv2d(3, 4, 3), inert="conv.bias"
)
CASES["batch norm without affine"] = Case(
    normalised(lambda: nn.Conv2d(3, 4, 3, bias=False), lambda: nn.BatchNorm2d(4, affine=False)),
    images(),
    ("conv.weight",),
    blocks=(Block(("conv.weight",), count=4),),
    homogeneous=HEAD,
    lr="conv.weight",
)
# The mean of a group forgets the mean of its biases only, so they stay in the block.
CASES["conv with bias, group norm"] = Case(
    normalised(lambda: nn.Conv2d(3, 4, 3), lambda: nn.GroupNorm(2, 4)),
    images(),
    ("conv.*", "norm.* / head.weight"),
    blocks=(Block(("conv.weight", "conv.bias"), count=2),),
    homogeneous=HEAD,
    lr="conv.*",
    balances="norm.* head.weight",
)
# Two groups of input channels; the second convolution is depthwise, so that gain and shift of the
# first normalisation are invariant channel by channel.
CASES["grouped and depthwise conv, batch norm"] = Case(
    lambda: Called(
        grouped=nn.Conv2d(4, 6, 3, groups=2),
        norm1=nn.BatchNorm2d(6),
        f=nn.ReLU(),
        depthwise=nn.Conv2d(6, 6, 3, groups=6, bias=False),
        norm2=nn.BatchNorm2d(6),
        g=nn.ReLU(),
        pool=Pool(),
        head=nn.Linear(6, 2),
    ),
    images(4, 8),
    ("grouped.weight", "depthwise.weight", "norm1.*", "norm2.* / head.weight"),
    inert="grouped.bias",
    blocks=(
        Block(("grouped.weight",), count=6),
        Block(("depthwise.weight",), count=6),
        Block(("norm1.weight", "norm1.bias"), count=6),
    ),
    homogeneous=HEAD,
    lr="grouped.weight depthwise.weight norm1.*",
    balances="norm2.* head.weight",
)


class Standardised(nn.Conv2d):
    """A convolution whose weight is standardised per output channel."""

    def forward(self, x):
        var, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True)
        return F.conv2d(x, (self.weight - mean) / torch.sqrt(var + 1e-5), self.bias)


class Kept(nn.Module):
    """RMS or layer normalisation, written out."""

    def __init__(self, width, *, centred):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, width))
        self.centred = centred

    def forward(self, x):
        if self.centred:
            x = (x - x.mean(-1, keepdim=True)) / (
                x.var(-1, keepdim=True, correction=0) + 1e-6
            ).sqrt()
        else:
            x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * x


def joint(norm, *, bias=True):
    """All of a linear layer is one sphere; gain and shift move to the head."""
    names = ("first.weight", "first.bias") if bias else ("first.weight",)
    return Case(
        lambda: Called(
            first=nn.Linear(3, 4, bias=bias), norm=norm(), act=nn.ReLU(), head=nn.Linear(4, 2)
        ),
        vectors(),
        ("first.*", "norm.* / head.weight"),
        blocks=(Block(names),),
        homogeneous=HEAD,
        lr="first.*",
        balances="norm.* head.weight",
    )


CASES["linear, layer norm"] = joint(lambda: nn.LayerNorm(4))
CASES["linear without bias, layer norm"] = joint(lambda: nn.LayerNorm(4), bias=False)
CASES["linear, rms norm"] = joint(lambda: nn.RMSNorm(4))
CASES["linear, rms norm written out"] = joint(lambda: Kept(4, centred=False), bias=False)
CASES["linear, layer norm written out"] = joint(lambda: Kept(4, centred=True))
CASES["linear, batch norm in one dimension"] = Case(
    lambda: Called(
        first=nn.Linear(3, 4), norm=nn.BatchNorm1d(4), act=nn.ReLU(), head=nn.Linear(4, 2)
    ),
    vectors(),
    ("first.weight", "norm.* / head.weight"),
    inert="first.bias",
    blocks=(Block(("first.weight",), count=4),),
    homogeneous=HEAD,
    lr="first.weight",
    balances="norm.* head.weight",
)
# ReLU keeps the scale, so that everything before the norm is invariant: {b} and {a, b.bias}.
CASES["relu mlp before layer norm"] = Case(
    lambda: Called(
        a=nn.Linear(3, 4),
        f=nn.ReLU(),
        b=nn.Linear(4, 4),
        norm=nn.LayerNorm(4),
        head=nn.Linear(4, 2),
    ),
    vectors(),
    ("b.*", "a.* b.bias", "norm.* / head.weight"),
    blocks=(Block(("b.weight", "b.bias")),),
    homogeneous=HEAD,
    lr="b.*",
    balances="norm.* head.weight",
)
# Each row of the table is normalised for itself.
CASES["embedding, layer norm"] = Case(
    lambda: Called(table=nn.Embedding(7, 4), norm=nn.LayerNorm(4), head=nn.Linear(4, 2)),
    tokens("x"),
    ("table.weight", "norm.* / head.weight"),
    blocks=(Block(("table.weight",), count=7),),
    homogeneous=HEAD,
    lr="table.weight",
    balances="norm.* head.weight",
)

# ------------------------------------------------------------------------- normalised weights

V = "first.parametrizations.weight.original1"
G = "first.parametrizations.weight.original0"
W = "first.parametrizations.weight.original"


class CosineHead(nn.Module):
    """Cosines between features and classes, times a temperature."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.classes = nn.Parameter(randn(5, 4))
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, x):
        return self.scale * F.linear(F.normalize(self.first(x)), F.normalize(self.classes))


CASES["weight norm"] = Case(
    lambda: Called(
        first=parametrizations.weight_norm(nn.Linear(3, 4)), act=nn.ReLU(), head=nn.Linear(4, 2)
    ),
    vectors(),
    (V, f"{G} first.bias / head.weight"),
    blocks=(Block((V,), count=4),),
    homogeneous=HEAD,
    lr=V,
    balances=f"{G} first.bias head.weight",
)
CASES["spectral norm"] = Case(
    lambda: Called(
        first=parametrizations.spectral_norm(nn.Linear(3, 4)), act=nn.ReLU(), head=nn.Linear(4, 2)
    ),
    vectors(),
    (W,),
    blocks=(Block((W,)),),
    homogeneous=HEAD,
    lr=W,
)
CASES["standardised conv"] = Case(
    lambda: Called(first=Standardised(3, 4, 3), act=nn.ReLU(), pool=Pool(), head=nn.Linear(4, 2)),
    images(),
    ("first.weight",),
    blocks=(Block(("first.weight",), count=4),),
    homogeneous=HEAD,
    lr="first.weight",
)
CASES["cosine classifier"] = Case(
    CosineHead,
    vectors(),
    ("first.*", "classes"),
    blocks=(Block(("first.weight", "first.bias")), Block(("classes",), count=5)),
    homogeneous=("scale", 1),
    lr="first.* classes",
)

# ---------------------------------------------------------------------------------- attention


class Attention(nn.Module):
    """Self-attention with separate q, k, v."""

    def __init__(self, width=8, heads=2, *, bias=True, norm=None, rotary=False, written_out=False):
        super().__init__()
        self.q, self.k = nn.Linear(width, width, bias=bias), nn.Linear(width, width, bias=bias)
        self.v, self.o = nn.Linear(width, width), nn.Linear(width, width)
        if norm:
            self.q_norm, self.k_norm = norm(width // heads), norm(width // heads)
        self.heads, self.normalised, self.rotary = heads, norm is not None, rotary
        self.written_out = written_out

    def forward(self, x):
        q, k, v = (self.split(part(x)) for part in (self.q, self.k, self.v))
        if self.normalised:
            q, k = self.q_norm(q), self.k_norm(k)
        if self.rotary:
            q, k = rotated(q), rotated(k)
        if self.written_out:
            scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
            later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
            found = scores.masked_fill(later, -math.inf).softmax(-1) @ v
        else:
            found = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o(found.transpose(1, 2).flatten(2))

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def rotated(x):
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[-2])[:, None] * 10.0 ** -torch.arange(half)
    cos, sin = angle.cos().repeat(1, 2), angle.sin().repeat(1, 2)
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


CASES["attention, sdpa"] = Case(
    lambda: Called(a=Attention()),
    sequences(),
    ("a.q.* / a.k.weight", "a.v.* / a.o.weight"),
    inert="a.k.bias",
    homogeneous=("a.o.*", 1),
    balances="a.q.* a.k.weight a.v.* a.o.weight",
)
CASES["attention written out"] = Case(
    lambda: Called(a=Attention(written_out=True)),
    sequences(),
    ("a.q.* / a.k.weight", "a.v.* / a.o.weight"),
    inert="a.k.bias",
    homogeneous=("a.o.*", 1),
    balances="a.q.* a.k.weight a.v.* a.o.weight",
    unproved="a.k.bias",
)


class Distances(nn.Module):
    """Attention of one head; a fixed bias grows with the distance."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(8, 4), nn.Linear(8, 4), nn.Linear(8, 4)

    def forward(self, x):
        scores = self.q(x) @ self.k(x).mT - 0.1 * torch.arange(float(x.shape[1]))
        return scores.softmax(-1) @ self.v(x)


CASES["attention with distances"] = Case(
    Distances,
    sequences(),
    ("q.* / k.weight",),
    inert="k.bias",
    homogeneous=("v.*", 1),
    balances="q.* k.weight",
)
# Rotated, the bias of the keys differs from place to place, and is heard.
CASES["attention, rotary"] = Case(
    lambda: Called(a=Attention(rotary=True)),
    sequences(),
    ("a.q.* / a.k.*", "a.v.* / a.o.weight"),
    homogeneous=("a.o.*", 1),
    balances="a.q.* a.k.* a.v.* a.o.weight",
)
CASES["attention with qk-norm"] = Case(
    lambda: Called(a=Attention(bias=False, norm=nn.RMSNorm, rotary=True)),
    sequences(),
    ("a.q.weight", "a.k.weight", "a.q_norm.weight / a.k_norm.weight", "a.v.* / a.o.weight"),
    blocks=(Block(("a.q.weight",), count=2), Block(("a.k.weight",), count=2)),
    homogeneous=("a.o.*", 1),
    lr="a.q.weight a.k.weight",
    balances="a.q_norm.weight a.k_norm.weight a.v.* a.o.weight",
)
# The shift of the keys' layer norm is the same for all keys, so it is forgotten; that of the
# queries goes with their gain. Biases of q and k feed a norm: they are in the blocks.
CASES["attention with qk layer norm and biases"] = Case(
    lambda: Called(a=Attention(norm=nn.LayerNorm)),
    sequences(),
    ("a.q.*", "a.k.*", "a.q_norm.* / a.k_norm.weight", "a.v.* / a.o.weight"),
    inert="a.k_norm.bias",
    blocks=(
        Block(("a.q.weight", "a.q.bias"), count=2),
        Block(("a.k.weight", "a.k.bias"), count=2),
    ),
    homogeneous=("a.o.*", 1),
    lr="a.q.* a.k.*",
    balances="a.q_norm.* a.k_norm.weight a.v.* a.o.weight",
    unproved="a.k_norm.bias",
)


class Decoder(nn.Module):
    """A pre-norm block, or a post-norm one."""

    def __init__(self, *, pre=True, act=F.gelu):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(8, eps=0.0), nn.LayerNorm(8, eps=0.0)
        attention = Attention()
        self.q, self.k, self.v, self.o = attention.q, attention.k, attention.v, attention.o
        self.__dict__["attention"] = attention  # not a second name for its layers
        self.fc, self.proj = nn.Linear(8, 12), nn.Linear(12, 8)
        self.pre, self.act = pre, act

    def forward(self, x):
        if self.pre:
            x = x + self.attention(self.ln1(x))
            return x + self.proj(self.act(self.fc(self.ln2(x))))
        x = self.ln1(x + self.attention(x))
        return self.ln2(x + self.proj(self.act(self.fc(x))))


class Gpt(nn.Module):
    """Two blocks between embeddings and a head."""

    def __init__(self, *, pre=True, act=F.gelu, layers=2, tied=False, norm=nn.LayerNorm, **affine):
        super().__init__()
        self.tok, self.pos = nn.Embedding(7, 8), nn.Embedding(5, 8)
        self.blocks = nn.ModuleList(Decoder(pre=pre, act=act) for _ in range(layers))
        self.ln_f = norm(8, eps=0.0, **affine) if pre else nn.Identity()
        self.head = nn.Linear(8, 7, bias=not tied)
        if tied:
            self.head.weight = self.tok.weight

    def forward(self, tokens):
        x = self.tok(tokens) + self.pos(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln_f(x))


STREAM = "tok.weight pos.weight blocks.*.o.* blocks.*.proj.*"


def pre_norm_block(i):
    """What rescales in a pre-norm block with GELU; the bias of its keys is inert besides."""
    b = f"blocks.{i}"
    return (
        f"{b}.ln1.* / {b}.q.weight {b}.k.weight {b}.v.weight",
        f"{b}.q.* / {b}.k.weight",
        f"{b}.v.* / {b}.o.weight",
        f"{b}.ln2.* / {b}.fc.weight",
    )


def stream_block(*layers):
    names = ["tok.weight", "pos.weight"]
    for i in layers:
        names += [f"blocks.{i}.{n}.{p}" for n in ("o", "proj") for p in ("weight", "bias")]
    return Block(tuple(names))


# The worked example of the theory: 1 + 2 · 5 + 1 = 12.
CASES["pre-norm gpt"] = Case(
    Gpt,
    tokens(),
    (STREAM, *pre_norm_block(0), *pre_norm_block(1), "ln_f.* / head.weight"),
    inert="blocks.0.k.bias blocks.1.k.bias",
    blocks=(stream_block(0, 1),),
    homogeneous=HEAD,
    lr="tok.weight pos.weight blocks.*.o.* blocks.*.proj.*",
    balances="blocks.*.ln1.* blocks.*.q.* blocks.*.k.weight blocks.*.v.* blocks.*.ln2.* "
    "blocks.*.fc.weight ln_f.* head.weight",
)
# ReLU besides: fc against proj, in each of two blocks.
CASES["pre-norm gpt with relu"] = Case(
    lambda: Gpt(act=F.relu),
    tokens(),
    (
        STREAM,
        *pre_norm_block(0),
        *pre_norm_block(1),
        *(f"blocks.{i}.fc.* / blocks.{i}.proj.weight" for i in (0, 1)),
        "ln_f.* / head.weight",
    ),
    inert="blocks.0.k.bias blocks.1.k.bias",
    blocks=(stream_block(0, 1),),
    homogeneous=HEAD,
    lr="tok.weight pos.weight blocks.*.o.* blocks.*.proj.*",
)
# The embedding is the head: the stream is scaled at the cost of the last norm's gain and shift.
CASES["tied gpt"] = Case(
    lambda: Gpt(tied=True),
    tokens(),
    (f"{STREAM} / ln_f.*", *pre_norm_block(0), *pre_norm_block(1)),
    inert="blocks.0.k.bias blocks.1.k.bias",
    homogeneous=("ln_f.*", 1),
    balances="tok.weight pos.weight blocks.*.o.weight ln_f.*",
)
CASES["tied gpt, last norm without affine"] = Case(
    lambda: Gpt(tied=True, elementwise_affine=False),
    tokens(),
    (*pre_norm_block(0), *pre_norm_block(1)),
    inert="blocks.0.k.bias blocks.1.k.bias",
    homogeneous=(STREAM, 1),
)
# x0 has degree e: q, k, v read it, o's result must have it. ln1 has degree g: fc reads it, proj's
# result must have it. Every exponent has its opposite: nothing is scale-invariant.
CASES["post-norm gpt"] = Case(
    lambda: Gpt(pre=False, layers=1),
    tokens(),
    (
        "tok.weight pos.weight blocks.0.v.bias blocks.0.o.bias / blocks.0.q.weight blocks.0.k.weight",  # noqa: E501
        "blocks.0.q.* / blocks.0.k.weight",
        "blocks.0.v.* / blocks.0.o.weight",
        "blocks.0.ln1.* blocks.0.proj.* / blocks.0.fc.weight",
        "blocks.0.ln2.* / head.weight",
    ),
    inert="blocks.0.k.bias",
    homogeneous=HEAD,
    balances="tok.weight pos.weight blocks.0.ln1.* blocks.0.q.* blocks.0.k.weight blocks.0.v.* "
    "blocks.0.o.* blocks.0.proj.* blocks.0.fc.weight blocks.0.ln2.* head.weight",
)


class TorchTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.t = nn.Transformer(8, 2, 1, 1, 12, dropout=0.1, batch_first=True)

    def forward(self, src, tgt):
        return self.t(src, tgt)


ENCODER, DECODER = "t.encoder.layers.0", "t.decoder.layers.0"
# Post-norm with ReLU, q, k and v in one tensor, so that q·k = 0 fixes all of it. norm1 is read by
# the feed-forward layers, whose ReLU keeps its degree: norm1 with the biases after it is
# invariant, because norm2 follows. norm2 is read by the norm of the encoder. That one is read by
# cross-attention as keys, and norm1 of the decoder as queries: both must be undone by in_proj.
CASES["nn.Transformer"] = Case(
    TorchTransformer,
    lambda: {"src": randn(3, 5, 8), "tgt": randn(3, 4, 8).flip(0)},
    (
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
        Block(tuple(f"{layer}.{n}" for n in names))
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
)


class NGpt(nn.Module):
    """Every matrix and every state on the unit sphere, as in nGPT; weights normalised in forward."""  # noqa: E501

    def __init__(self, width=8, heads=2, vocabulary=7):
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

    def forward(self, tokens):
        x = F.normalize(F.embedding(tokens, self.tok), dim=-1)
        q, k, v = (
            F.linear(x, F.normalize(w, dim=1)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for w in (self.q, self.k, self.v)
        )
        q, k = (F.normalize(part, dim=-1) * self.s_qk for part in (q, k))
        found = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = self.moved(x, F.linear(found, F.normalize(self.o, dim=0)))
        up = F.linear(x, F.normalize(self.up, dim=1)) * self.s_up
        gate = F.linear(x, F.normalize(self.gate, dim=1)) * self.s_gate
        x = self.moved(x, F.linear(up * F.silu(gate), F.normalize(self.down, dim=0)))
        return F.linear(x, F.normalize(self.head, dim=1)) * self.s_z

    def moved(self, x, goal):
        return F.normalize(x + self.rate * (F.normalize(goal, dim=-1) - x), dim=-1)


# Every matrix per vector of the width of the model: its rows, or the columns of o and down. s_up
# is a factor of what is normalised next.
CASES["ngpt"] = Case(
    NGpt,
    tokens(),
    ("tok", "q", "k", "v", "o", "up", "gate", "down", "head", "s_up"),
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
)

# ------------------------------------------------------------------------------- convolutions


def conv_norm(inputs, outputs, size=1, *, act=nn.ReLU, bias=False, **settings):
    layers = {
        "conv": nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias, **settings),
        "norm": nn.BatchNorm2d(outputs),
    }
    return Called(**layers, **({"act": act()} if act else {}))


class Summed(nn.Module):
    """Two branches added, and ReLU."""

    def __init__(self, branch, shortcut=None, act=F.relu):
        super().__init__()
        self.branch, self.shortcut, self.act = branch, shortcut or nn.Identity(), act

    def forward(self, x):
        return self.act(self.branch(x) + self.shortcut(x))


class Joined(nn.Module):
    """Branches concatenated."""

    def __init__(self, **branches):
        super().__init__()
        self.names = tuple(branches)
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x):
        return torch.cat([getattr(self, name)(x) for name in self.names], 1)


def resnet():
    return Called(
        stem=conv_norm(3, 4, 3),
        one=Summed(Called(a=conv_norm(4, 4, 3), b=conv_norm(4, 4, 3, act=None))),
        two=Summed(
            Called(a=conv_norm(4, 6, 3, stride=2), b=conv_norm(6, 6, 3, act=None)),
            conv_norm(4, 6, stride=2, act=None),
        ),
        pool=Pool(),
        head=nn.Linear(6, 2),
    )


# Every convolution by its channels. a.norm is read by b.conv alone. The stem's norm and the first
# block's last are added, and read by convolutions that are normalised. The last two go with the
# head.
CASES["resnet"] = Case(
    resnet,
    images(size=8),
    (
        "stem.conv.weight",
        "one.branch.a.conv.weight",
        "one.branch.b.conv.weight",
        "two.branch.a.conv.weight",
        "two.branch.b.conv.weight",
        "two.shortcut.conv.weight",
        "one.branch.a.norm.*",
        "two.branch.a.norm.*",
        "stem.norm.* one.branch.b.norm.*",
        "two.branch.b.norm.* two.shortcut.norm.* / head.weight",
    ),
    blocks=(
        *(
            Block((f"{name}.conv.weight",), count=count)
            for name, count in (
                ("stem", 4),
                ("one.branch.a", 4),
                ("one.branch.b", 4),
                ("two.branch.a", 6),
                ("two.branch.b", 6),
                ("two.shortcut", 6),
            )
        ),
        Block(("one.branch.a.norm.weight", "one.branch.a.norm.bias")),
        Block(("two.branch.a.norm.weight", "two.branch.a.norm.bias")),
        Block(
            (
                "stem.norm.weight",
                "stem.norm.bias",
                "one.branch.b.norm.weight",
                "one.branch.b.norm.bias",
            )
        ),
    ),
    homogeneous=HEAD,
    lr="*.conv.weight one.branch.a.norm.* two.branch.a.norm.* stem.norm.* one.branch.b.norm.*",
    balances="two.branch.b.norm.* two.shortcut.norm.* head.weight",
)
# The grouped convolution reads half of the channels for each half of its own: its norm before is
# invariant in halves.
CASES["resnext"] = Case(
    lambda: Called(
        block=Summed(
            Called(
                a=conv_norm(4, 6),
                b=conv_norm(6, 6, 3, groups=2),
                c=conv_norm(6, 4, act=None),
            )
        ),
        pool=Pool(),
        head=nn.Linear(4, 2),
    ),
    images(4),
    (
        *(f"block.branch.{n}.conv.weight" for n in "abc"),
        "block.branch.a.norm.*",
        "block.branch.b.norm.*",
    ),
    blocks=(
        Block(("block.branch.a.conv.weight",), count=6),
        Block(("block.branch.b.conv.weight",), count=6),
        Block(("block.branch.c.conv.weight",), count=4),
        Block(("block.branch.a.norm.weight", "block.branch.a.norm.bias"), count=2),
        Block(("block.branch.b.norm.weight", "block.branch.b.norm.bias")),
    ),
    homogeneous=HEAD,
    lr="block.branch.*.conv.weight block.branch.a.norm.* block.branch.b.norm.*",
)
# Three branches, each with ReLU, joined before a normalised convolution.
CASES["inception"] = Case(
    lambda: Called(
        stem=conv_norm(3, 4, 3),
        mixed=Joined(
            one=conv_norm(4, 2),
            three=Called(a=conv_norm(4, 3), b=conv_norm(3, 3, 3)),
            pooled=Called(m=nn.MaxPool2d(3, 1, 1), c=conv_norm(4, 2)),
        ),
        last=conv_norm(7, 4),
        pool=Pool(),
        head=nn.Linear(4, 2),
    ),
    images(),
    (
        "stem.conv.weight",
        "mixed.one.conv.weight",
        "mixed.three.a.conv.weight",
        "mixed.three.b.conv.weight",
        "mixed.pooled.c.conv.weight",
        "last.conv.weight",
        "stem.norm.*",
        "mixed.three.a.norm.*",
        "mixed.one.norm.* mixed.three.b.norm.* mixed.pooled.c.norm.*",
        "last.norm.* / head.weight",
    ),
    blocks=(
        Block(("stem.conv.weight",), count=4),
        Block(("mixed.one.conv.weight",), count=2),
        Block(("mixed.three.a.conv.weight",), count=3),
        Block(("mixed.three.b.conv.weight",), count=3),
        Block(("mixed.pooled.c.conv.weight",), count=2),
        Block(("last.conv.weight",), count=4),
        Block(("stem.norm.weight", "stem.norm.bias")),
        Block(("mixed.three.a.norm.weight", "mixed.three.a.norm.bias")),
        Block(
            tuple(
                f"mixed.{n}.norm.{p}"
                for n in ("one", "three.b", "pooled.c")
                for p in ("weight", "bias")
            )
        ),
    ),
    homogeneous=HEAD,
    lr="*.conv.weight stem.norm.* mixed.*.norm.*",
    balances="last.norm.* head.weight",
)


class SqueezeExcite(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(width, inner, 1), nn.Conv2d(inner, width, 1)

    def forward(self, x):
        gate = self.expand(F.silu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * gate.sigmoid()


def inverted_residual(act, squeeze):
    branch = {
        "expand": conv_norm(4, 6, act=act),
        "depthwise": conv_norm(6, 6, 3, groups=6, act=act),
        **({"se": SqueezeExcite(6, 3)} if squeeze else {}),
        "project": conv_norm(6, 4, act=None),
    }
    return Called(
        stem=conv_norm(3, 4, 3, act=None),
        block=Summed(Called(**branch), act=nn.Identity()),
        pool=Pool(),
        head=nn.Linear(4, 2),
    )


INVERTED = dict(  # noqa: C408
    symmetries=(
        "stem.conv.weight",
        "block.branch.expand.conv.weight",
        "block.branch.depthwise.conv.weight",
        "block.branch.project.conv.weight",
        "stem.norm.* block.branch.project.norm.* / head.weight",
    ),
    blocks=(
        Block(("stem.conv.weight",), count=4),
        Block(("block.branch.expand.conv.weight",), count=6),
        Block(("block.branch.depthwise.conv.weight",), count=6),
        Block(("block.branch.project.conv.weight",), count=4),
    ),
    homogeneous=HEAD,
    lr="*.conv.weight",
    balances="stem.norm.* block.branch.project.norm.* head.weight",
)
# ReLU6 and SiLU have a scale: the norms before them have no freedom. The mean of the block over
# places and batch is its shift, but the head reads each picture for itself.
CASES["mobilenet"] = Case(lambda: inverted_residual(nn.ReLU6, False), images(), **INVERTED)
CASES["efficientnet"] = Case(lambda: inverted_residual(nn.SiLU, True), images(), **INVERTED)


class ChannelsLast(nn.LayerNorm):
    """Layer Normalization over the channels of pictures."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNextBlock(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.dw = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.LayerNorm(width)
        self.a, self.b = nn.Linear(width, 8), nn.Linear(8, width)
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, width))

    def forward(self, x):
        y = self.norm(self.dw(x).permute(0, 2, 3, 1))
        return x + (self.scale * self.b(F.gelu(self.a(y)))).permute(0, 3, 1, 2)


# The stream is the stem's norm and the layer scale; the depthwise bias must keep up with it.
CASES["convnext"] = Case(
    lambda: Called(
        stem=nn.Conv2d(3, 4, 2, stride=2),
        norm=ChannelsLast(4),
        block=ConvNextBlock(),
        pool=Pool(),
        last=nn.LayerNorm(4),
        head=nn.Linear(4, 2),
    ),
    images(),
    (
        "stem.*",
        "block.dw.*",
        "norm.* block.dw.bias block.scale",
        "block.norm.* / block.a.weight",
        "block.b.* / block.scale",
        "last.* / head.weight",
    ),
    blocks=(
        Block(("stem.weight", "stem.bias")),
        Block(("block.dw.weight", "block.dw.bias")),
    ),
    homogeneous=HEAD,
    lr="stem.* block.dw.* norm.*",
    balances="block.norm.* block.a.weight last.* head.weight",
)


class UNet(nn.Module):
    def __init__(self, *, transposed):
        super().__init__()
        self.outer, self.inner = conv_norm(3, 4, 3), conv_norm(4, 4, 3)
        self.up = nn.ConvTranspose2d(4, 4, 2, 2) if transposed else nn.Upsample(scale_factor=2)
        self.joined = conv_norm(8, 4, 3)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        x = self.outer(x)
        y = self.up(self.inner(F.max_pool2d(x, 2)))
        return self.head(self.joined(torch.cat([x, y], 1)))


UNET_CONVOLUTIONS = ("outer.conv.weight", "inner.conv.weight", "joined.conv.weight")
CASES["u-net"] = Case(
    lambda: UNet(transposed=False),
    images(),
    (*UNET_CONVOLUTIONS, "outer.norm.* inner.norm.*", "joined.norm.* / head.weight"),
    blocks=(
        *(Block((name,), count=4) for name in UNET_CONVOLUTIONS),
        Block(tuple(f"{n}.norm.{p}" for n in ("outer", "inner") for p in ("weight", "bias"))),
    ),
    homogeneous=HEAD,
    lr="*.conv.weight outer.norm.* inner.norm.*",
    balances="joined.norm.* head.weight",
)
# The bias of the transposed convolution is not forgotten: the next one pads with zeros.
CASES["u-net with transposed conv"] = Case(
    lambda: UNet(transposed=True),
    images(),
    (
        *UNET_CONVOLUTIONS,
        "outer.norm.* up.*",
        "inner.norm.* / up.weight",
        "joined.norm.* / head.weight",
    ),
    blocks=(
        *(Block((name,), count=4) for name in UNET_CONVOLUTIONS),
        Block(("outer.norm.weight", "outer.norm.bias", "up.weight", "up.bias")),
    ),
    homogeneous=HEAD,
    lr="*.conv.weight outer.norm.* up.*",
    balances="joined.norm.* head.weight",
)

# ------------------------------------------------------------------ Hugging Face, from tiny configs


class Logits(nn.Module):
    """A model of `transformers` that returns its logits alone; `build` makes it."""

    def __init__(self, kind, **settings):
        super().__init__()
        import transformers  # takes seconds

        torch.manual_seed(0)
        config = getattr(transformers, f"{kind[0]}Config")(**settings)
        self.m = getattr(transformers, f"{kind[0]}{kind[1]}")(config)

    def forward(self, **arguments):
        return self.m(**arguments).logits


HUGGING_FACE: dict[str, Case] = {}
CAUSAL = {
    "vocab_size": 11,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "use_cache": False,
    "tie_word_embeddings": False,
}
ATTENTION = {"intermediate_size": 12, "num_attention_heads": 2}
CLASSIFIER = ("m.classifier.weight m.classifier.bias", 1)
PICTURES = {"num_channels": 3, "num_labels": 3}


def pictures(size):
    return lambda: {"pixel_values": randn(2, 3, size, size)}


def expanded(template, count):
    """One text for each of `count` layers."""
    return tuple(template.replace("@", str(i)) for i in range(count))


S = "m.resnet.encoder.stages"
HUGGING_FACE["resnet"] = Case(
    lambda: Logits(
        ("ResNet", "ForImageClassification"),
        embedding_size=4,
        hidden_sizes=[4, 6],
        depths=[1, 1],
        layer_type="basic",
        **PICTURES,
    ),
    lambda: {"pixel_values": randn(4, 3, 32, 32)},
    (
        "m.resnet.embedder.embedder.convolution.weight",
        f"{S}.0.layers.0.layer.0.convolution.weight",
        f"{S}.0.layers.0.layer.1.convolution.weight",
        f"{S}.1.layers.0.layer.0.convolution.weight",
        f"{S}.1.layers.0.layer.1.convolution.weight",
        f"{S}.1.layers.0.shortcut.convolution.weight",
        f"{S}.0.layers.0.layer.0.normalization.*",
        f"{S}.1.layers.0.layer.0.normalization.*",
        f"m.resnet.embedder.embedder.normalization.* {S}.0.layers.0.layer.1.normalization.*",
        f"{S}.1.layers.0.layer.1.normalization.* {S}.1.layers.0.shortcut.normalization.*"
        " / m.classifier.1.weight",
    ),
    blocks=(
        Block(("m.resnet.embedder.embedder.convolution.weight",), count=4),
        Block((f"{S}.0.layers.0.layer.0.convolution.weight",), count=4),
        Block((f"{S}.0.layers.0.layer.1.convolution.weight",), count=4),
        Block((f"{S}.1.layers.0.layer.0.convolution.weight",), count=6),
        Block((f"{S}.1.layers.0.layer.1.convolution.weight",), count=6),
        Block((f"{S}.1.layers.0.shortcut.convolution.weight",), count=6),
        *(
            Block(tuple(f"{S}.{i}.layers.0.layer.0.normalization.{p}" for p in ("weight", "bias")))
            for i in (0, 1)
        ),
        Block(
            tuple(
                f"{layer}.normalization.{p}"
                for layer in ("m.resnet.embedder.embedder", f"{S}.0.layers.0.layer.1")
                for p in ("weight", "bias")
            )
        ),
    ),
    homogeneous=("m.classifier.1.*", 1),
    lr="*.convolution.weight",
    balances="m.classifier.1.weight",
)

S = "m.convnext.encoder.stages"
# Two streams: before and after the convolution that halves the picture. Each block: the depthwise
# convolution before its norm; that norm against the first pointwise layer; the second against the
# layer scale.
HUGGING_FACE["convnext"] = Case(
    lambda: Logits(
        ("ConvNext", "ForImageClassification"),
        patch_size=2,
        num_stages=2,
        hidden_sizes=[4, 6],
        depths=[1, 1],
        drop_path_rate=0.0,
        layer_scale_init_value=0.5,
        **PICTURES,
    ),
    pictures(8),
    (
        "m.convnext.embeddings.patch_embeddings.*",
        *expanded(f"{S}.@.layers.0.dwconv.*", 2),
        *expanded(f"{S}.@.layers.0.layernorm.* / {S}.@.layers.0.pwconv1.weight", 2),
        *expanded(f"{S}.@.layers.0.pwconv2.* / {S}.@.layers.0.layer_scale_parameter", 2),
        f"m.convnext.embeddings.layernorm.* {S}.0.layers.0.dwconv.bias"
        f" {S}.0.layers.0.layer_scale_parameter",
        f"{S}.1.downsampling_layer.0.* / {S}.1.downsampling_layer.1.weight",
        f"{S}.1.downsampling_layer.1.* {S}.1.layers.0.dwconv.bias"
        f" {S}.1.layers.0.layer_scale_parameter",
        "m.convnext.layernorm.* / m.classifier.weight",
    ),
    blocks=(
        Block(tuple(f"m.convnext.embeddings.patch_embeddings.{p}" for p in ("weight", "bias"))),
        Block(tuple(f"{S}.0.layers.0.dwconv.{p}" for p in ("weight", "bias"))),
        Block(tuple(f"{S}.1.layers.0.dwconv.{p}" for p in ("weight", "bias"))),
    ),
    homogeneous=CLASSIFIER,
    lr="m.convnext.embeddings.patch_embeddings.* *.dwconv.weight",
    balances="*.layers.0.layernorm.* *.pwconv1.weight m.convnext.layernorm.* m.classifier.weight",
)

L = "m.vit.layers.@"
VIT_STREAM = (
    "m.vit.embeddings.cls_token",
    "m.vit.embeddings.position_embeddings",
    "m.vit.embeddings.patch_embeddings.projection.weight",
    "m.vit.embeddings.patch_embeddings.projection.bias",
    *(
        f"m.vit.layers.{i}.{n}.{p}"
        for i in (0, 1)
        for n in ("attention.o_proj", "mlp.fc2")
        for p in ("weight", "bias")
    ),
)
HUGGING_FACE["vit"] = Case(
    lambda: Logits(
        ("ViT", "ForImageClassification"),
        hidden_size=8,
        num_hidden_layers=2,
        image_size=8,
        patch_size=4,
        **ATTENTION,
        **PICTURES,
    ),
    pictures(8),
    (
        " ".join(VIT_STREAM),
        *expanded(
            f"{L}.layernorm_before.* / "
            + " ".join(f"{L}.attention.{n}_proj.weight" for n in "qkv"),
            2,
        ),
        *expanded(f"{L}.attention.q_proj.* / {L}.attention.k_proj.weight", 2),
        *expanded(f"{L}.attention.v_proj.* / {L}.attention.o_proj.weight", 2),
        *expanded(f"{L}.layernorm_after.* / {L}.mlp.fc1.weight", 2),
        "m.vit.layernorm.* / m.classifier.weight",
    ),
    inert=" ".join(expanded(f"{L}.attention.k_proj.bias", 2)),
    blocks=(Block(VIT_STREAM),),
    homogeneous=CLASSIFIER,
    lr="m.vit.embeddings.* *.o_proj.* *.fc2.*",
    balances="*.layernorm* *.q_proj.* *.k_proj.weight *.v_proj.* *.fc1.weight m.classifier.weight",
)


def swin_block(i, j):
    b = f"m.swin.encoder.layers.{i}.blocks.{j}"
    return (
        f"{b}.layernorm_before.* / " + " ".join(f"{b}.attention.{n}_proj.weight" for n in "qkv"),
        f"{b}.attention.q_proj.* / {b}.attention.k_proj.weight",
        f"{b}.attention.v_proj.* / {b}.attention.o_proj.weight",
        f"{b}.layernorm_after.* / {b}.mlp.fc1.weight",
    )


E = "m.swin.encoder.layers"
SWIN_FIRST = (
    "m.swin.embeddings.norm.weight",
    "m.swin.embeddings.norm.bias",
    *(
        f"{E}.0.blocks.{j}.{n}.{p}"
        for j in (0, 1)
        for n in ("attention.o_proj", "mlp.fc2")
        for p in ("weight", "bias")
    ),
)
SWIN_SECOND = (
    f"{E}.0.downsample.reduction.weight",
    *(
        f"{E}.1.blocks.0.{n}.{p}"
        for n in ("attention.o_proj", "mlp.fc2")
        for p in ("weight", "bias")
    ),
)
# The patches before their norm, and two streams. The tables of relative positions are added to
# scores, which have a scale.
HUGGING_FACE["swin"] = Case(
    lambda: Logits(
        ("Swin", "ForImageClassification"),
        image_size=16,
        patch_size=2,
        embed_dim=8,
        depths=[2, 1],
        num_heads=[2, 2],
        window_size=2,
        drop_path_rate=0.0,
        **PICTURES,
    ),
    pictures(16),
    (
        "m.swin.embeddings.patch_embeddings.projection.*",
        " ".join(SWIN_FIRST),
        " ".join(SWIN_SECOND),
        *swin_block(0, 0),
        *swin_block(0, 1),
        *swin_block(1, 0),
        f"{E}.0.downsample.norm.* / {E}.0.downsample.reduction.weight",
        "m.swin.layernorm.* / m.classifier.weight",
    ),
    inert=" ".join(
        f"{E}.{i}.blocks.{j}.attention.k_proj.bias" for i, j in ((0, 0), (0, 1), (1, 0))
    ),
    blocks=(
        Block(
            tuple(f"m.swin.embeddings.patch_embeddings.projection.{p}" for p in ("weight", "bias"))
        ),
        Block(SWIN_FIRST),
        Block(SWIN_SECOND),
    ),
    homogeneous=CLASSIFIER,
    lr="m.swin.embeddings.* *.o_proj.* *.fc2.*",
    balances="*.layernorm* *.q_proj.* *.k_proj.weight *.v_proj.* *.fc1.weight m.classifier.weight"
    " *.downsample.norm.*",
)

H = "m.transformer.h.@"
GPT2_STREAM = (
    "m.transformer.wte.weight",
    "m.transformer.wpe.weight",
    *(
        f"m.transformer.h.{i}.{n}.c_proj.{p}"
        for i in (0, 1)
        for n in ("attn", "mlp")
        for p in ("weight", "bias")
    ),
)
# q, k and v are one tensor: q·k fixes its scale, up to the norm before it.
GPT2_LAYERS = (
    *expanded(f"{H}.ln_1.* / {H}.attn.c_attn.weight", 2),
    *expanded(f"{H}.ln_2.* / {H}.mlp.c_fc.weight", 2),
)


def gpt2(**settings):
    return lambda: Logits(
        ("GPT2", "LMHeadModel"),
        vocab_size=11,
        n_positions=8,
        n_embd=8,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
        **settings,
    )


HUGGING_FACE["gpt-2, tied"] = Case(
    gpt2(),
    tokens("input_ids", 11, 6),
    (" ".join(GPT2_STREAM) + " / m.transformer.ln_f.*", *GPT2_LAYERS),
    homogeneous=("m.transformer.ln_f.*", 1),
    balances="*",
)
HUGGING_FACE["gpt-2, untied"] = Case(
    gpt2(tie_word_embeddings=False),
    tokens("input_ids", 11, 6),
    (" ".join(GPT2_STREAM), *GPT2_LAYERS, "m.transformer.ln_f.* / m.lm_head.weight"),
    blocks=(Block(GPT2_STREAM),),
    homogeneous=("m.lm_head.weight", 1),
    lr=" ".join(GPT2_STREAM),
    balances="*.ln_* *.c_attn.weight *.c_fc.weight m.lm_head.weight",
)

M = "m.model.layers.@"
LLAMA_STREAM = (
    "m.model.embed_tokens.weight",
    *(
        f"m.model.layers.{i}.{n}.weight"
        for i in (0, 1)
        for n in ("self_attn.o_proj", "mlp.down_proj")
    ),
)
LLAMA_MLP = (
    *expanded(
        f"{M}.post_attention_layernorm.weight / {M}.mlp.gate_proj.weight {M}.mlp.up_proj.weight", 2
    ),
    *expanded(f"{M}.mlp.up_proj.weight / {M}.mlp.down_proj.weight", 2),
)
LLAMA_HEAD = "m.model.norm.weight / m.lm_head.weight"
READS = " ".join(f"{M}.self_attn.{n}_proj.weight" for n in "qkv")
VALUES = expanded(f"{M}.self_attn.v_proj.weight / {M}.self_attn.o_proj.weight", 2)
HUGGING_FACE["llama"] = Case(
    lambda: Logits(("Llama", "ForCausalLM"), num_key_value_heads=1, **ATTENTION, **CAUSAL),
    tokens("input_ids", 11, 6),
    (
        " ".join(LLAMA_STREAM),
        *expanded(f"{M}.input_layernorm.weight / {READS}", 2),
        *expanded(f"{M}.self_attn.q_proj.weight / {M}.self_attn.k_proj.weight", 2),
        *VALUES,
        *LLAMA_MLP,
        LLAMA_HEAD,
    ),
    blocks=(Block(LLAMA_STREAM),),
    homogeneous=("m.lm_head.weight", 1),
    lr=" ".join(LLAMA_STREAM),
    balances="*norm.weight *.q_proj.weight *.k_proj.weight *.v_proj.weight *.gate_proj.weight "
    "*.up_proj.weight m.lm_head.weight",
)
# q and k have norms, so that they are invariant head by head, and the norm before moves to v.
HUGGING_FACE["qwen3"] = Case(
    lambda: Logits(
        ("Qwen3", "ForCausalLM"),
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=4,
        intermediate_size=12,
        **CAUSAL,
    ),
    tokens("input_ids", 11, 6),
    (
        " ".join(LLAMA_STREAM),
        *expanded(f"{M}.self_attn.q_proj.weight", 2),
        *expanded(f"{M}.self_attn.k_proj.weight", 2),
        *expanded(f"{M}.self_attn.q_norm.weight / {M}.self_attn.k_norm.weight", 2),
        *expanded(f"{M}.input_layernorm.weight / {M}.self_attn.v_proj.weight", 2),
        *VALUES,
        *LLAMA_MLP,
        LLAMA_HEAD,
    ),
    blocks=(
        *(Block((f"m.model.layers.{i}.self_attn.q_proj.weight",), count=4) for i in (0, 1)),
        *(Block((f"m.model.layers.{i}.self_attn.k_proj.weight",), count=2) for i in (0, 1)),
        Block(LLAMA_STREAM),
    ),
    homogeneous=("m.lm_head.weight", 1),
    lr="*.q_proj.weight *.k_proj.weight " + " ".join(LLAMA_STREAM),
    balances="*norm.weight *.v_proj.weight *.gate_proj.weight *.up_proj.weight m.lm_head.weight",
)
# Gate and up are one tensor of all experts, so SiLU fixes its scale; the router reads the norm too.
HUGGING_FACE["mixtral"] = Case(
    lambda: Logits(
        ("Mixtral", "ForCausalLM"),
        num_key_value_heads=1,
        num_local_experts=3,
        num_experts_per_tok=2,
        experts_implementation="batched_mm",  # the others have shapes that depend on data
        **ATTENTION,
        **CAUSAL,
    ),
    tokens("input_ids", 11, 6),
    (
        "m.model.embed_tokens.weight *.o_proj.weight *.down_proj",
        *expanded(f"{M}.input_layernorm.weight / {READS}", 2),
        *expanded(f"{M}.self_attn.q_proj.weight / {M}.self_attn.k_proj.weight", 2),
        *VALUES,
        *expanded(
            f"{M}.post_attention_layernorm.weight / {M}.mlp.gate.weight"
            f" {M}.mlp.experts.gate_up_proj",
            2,
        ),
        LLAMA_HEAD,
    ),
    blocks=(
        Block(
            (
                "m.model.embed_tokens.weight",
                *(
                    f"m.model.layers.{i}.{n}"
                    for i in (0, 1)
                    for n in ("self_attn.o_proj.weight", "mlp.experts.down_proj")
                ),
            )
        ),
    ),
    homogeneous=("m.lm_head.weight", 1),
    lr="m.model.embed_tokens.weight *.o_proj.weight *.down_proj",
    balances="*norm.weight *.q_proj.weight *.k_proj.weight *.v_proj.weight *.gate.weight "
    "*.gate_up_proj m.lm_head.weight",
)

B = "m.bert.encoder.layer.@"


def bert_stream(before, i):
    """The scale of a layer's input: q and k undo it, the biases of v and o follow it."""
    b = f"m.bert.encoder.layer.{i}.attention"
    return f"{before} {b}.self.value.bias {b}.output.dense.bias / {b}.self.query.weight {b}.self.key.weight"  # noqa: E501


HUGGING_FACE["bert"] = Case(
    lambda: Logits(
        ("Bert", "ForSequenceClassification"),
        vocab_size=11,
        hidden_size=8,
        num_hidden_layers=2,
        max_position_embeddings=8,
        num_labels=3,
        **ATTENTION,
    ),
    tokens("input_ids", 11, 6),
    (
        "m.bert.embeddings.*_embeddings.weight",
        bert_stream("m.bert.embeddings.LayerNorm.*", 0),
        bert_stream("m.bert.encoder.layer.0.output.LayerNorm.*", 1),
        "m.bert.encoder.layer.1.output.LayerNorm.* / m.bert.pooler.dense.weight",
        *expanded(f"{B}.attention.self.query.* / {B}.attention.self.key.weight", 2),
        *expanded(f"{B}.attention.self.value.* / {B}.attention.output.dense.weight", 2),
        *expanded(
            f"{B}.attention.output.LayerNorm.* {B}.output.dense.* / {B}.intermediate.dense.weight",
            2,
        ),
    ),
    inert=" ".join(expanded(f"{B}.attention.self.key.bias", 2)),
    blocks=(
        Block(
            tuple(
                f"m.bert.embeddings.{n}_embeddings.weight"
                for n in ("word", "position", "token_type")
            )
        ),
    ),
    homogeneous=CLASSIFIER,
    lr="m.bert.embeddings.*_embeddings.weight",
    balances="*.LayerNorm.* *.query.* *.key.weight *.value.* *.intermediate.dense.weight "
    "*.output.dense.* m.bert.pooler.dense.weight",
)


def t5_attention(layer, kind, *, reads="qkv"):
    return (
        f"{layer}.layer_norm.weight / " + " ".join(f"{layer}.{kind}.{n}.weight" for n in reads),
        f"{layer}.{kind}.q.weight / {layer}.{kind}.k.weight",
        f"{layer}.{kind}.v.weight / {layer}.{kind}.o.weight",
    )


def t5_feed_forward(layer):
    inner = f"{layer}.DenseReluDense"
    return (
        f"{layer}.layer_norm.weight / {inner}.wi.weight",
        f"{inner}.wi.weight / {inner}.wo.weight",
    )


N, D = "m.encoder.block.0.layer", "m.decoder.block.0.layer"
# One embedding for encoder, decoder and head: both streams scale together, at the cost of the last
# norm's gain. Cross-attention reads the norm of the encoder by k and v, its own by q alone.
HUGGING_FACE["t5"] = Case(
    lambda: Logits(
        ("T5", "ForConditionalGeneration"),
        vocab_size=11,
        d_model=8,
        d_kv=4,
        d_ff=12,
        num_layers=1,
        num_decoder_layers=1,
        num_heads=2,
        feed_forward_proj="relu",
        use_cache=False,
    ),
    lambda: tokens("input_ids", 11, 6)() | tokens("decoder_input_ids", 11, 4)(),
    (
        "m.shared.weight *.o.weight *.wo.weight / m.decoder.final_layer_norm.weight",
        *t5_attention(f"{N}.0", "SelfAttention"),
        *t5_feed_forward(f"{N}.1"),
        f"m.encoder.final_layer_norm.weight / {D}.1.EncDecAttention.k.weight"
        f" {D}.1.EncDecAttention.v.weight",
        *t5_attention(f"{D}.0", "SelfAttention"),
        *t5_attention(f"{D}.1", "EncDecAttention", reads="q"),
        *t5_feed_forward(f"{D}.2"),
    ),
    homogeneous=("m.decoder.final_layer_norm.weight", 1),
    balances="m.shared.weight *norm.weight *.q.weight *.k.weight *.v.weight *.o.weight "
    "*.wi.weight *.wo.weight",
)

K = "m.backbone.layers.@"
# Δ = softplus(dt · x_proj …) has a scale, B and C have that of x_proj: the state's part is of
# degree 2, and D must be too.
HUGGING_FACE["mamba"] = Case(
    lambda: Logits(("Mamba", "ForCausalLM"), state_size=4, **CAUSAL),
    tokens("input_ids", 11, 6),
    (
        "m.backbone.embeddings.weight *.out_proj.weight",
        *expanded(f"{K}.norm.weight / {K}.mixer.in_proj.weight", 2),
        *expanded(
            f"{K}.mixer.x_proj.weight 2·{K}.mixer.D"
            f" / {K}.mixer.dt_proj.weight 2·{K}.mixer.out_proj.weight",
            2,
        ),
        "m.backbone.norm_f.weight / m.lm_head.weight",
    ),
    blocks=(
        Block(
            (
                "m.backbone.embeddings.weight",
                "m.backbone.layers.0.mixer.out_proj.weight",
                "m.backbone.layers.1.mixer.out_proj.weight",
            )
        ),
    ),
    homogeneous=("m.lm_head.weight", 1),
    lr="m.backbone.embeddings.weight *.out_proj.weight",
    balances="*norm*.weight *.in_proj.weight *.x_proj.weight *.dt_proj.weight *.D m.lm_head.weight",
)
