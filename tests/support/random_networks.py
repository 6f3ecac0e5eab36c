"""Random small networks, out of the operators for which the audit has rules.

A network is a program of a few steps, each an operator of earlier values, so that chains, branches,
residual sums, gates, tied layers and dead code all come up.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

WIDTH = 6
SHAPES = {
    "vector": (8, WIDTH),
    "sequence": (4, 5, WIDTH),
    "tokens": (4, 5, WIDTH),
    "image": (4, WIDTH, 5, 5),
}


# --------------------------------------------------------------------------------- the operators


class Of(nn.Module):
    """A function of one value or two, perhaps with a parameter."""

    def __init__(self, function, parameter=None):
        super().__init__()
        self.function, self.weight = function, None
        if parameter is not None:
            self.weight = nn.Parameter(parameter)

    def forward(self, *values):
        return (
            self.function(*values) if self.weight is None else self.function(*values, self.weight)
        )


class Written(nn.Module):
    """A normalisation written out, without gain or shift."""

    def __init__(self, axis, *, centred):
        super().__init__()
        self.axis, self.centred, self.eps = axis, centred, 1e-6

    def forward(self, x):
        x = x - x.mean(self.axis, keepdim=True) if self.centred else x
        return x * torch.rsqrt(x.square().mean(self.axis, keepdim=True) + self.eps)


class Turned(nn.Module):
    """A layer of channels, for values whose channels come last."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x.transpose(1, -1)).transpose(1, -1)


class Merged(nn.Module):
    """Two values concatenated, and a layer that makes them one."""

    def __init__(self, world):
        super().__init__()
        self.axis, self.layer = axis(world), layer(world, 2 * WIDTH)

    def forward(self, x, y):
        return self.layer(torch.cat([x, y], self.axis))


class Excited(nn.Module):
    """Channels gated by what their means say."""

    def __init__(self, world):
        super().__init__()
        self.axis, self.layer = axis(world), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        gate = self.layer(pooled(x, self.axis)).sigmoid()
        shape = [len(x), *[1] * (x.ndim - 1)]
        shape[self.axis] = WIDTH
        return x * gate.reshape(shape)


class Attention(nn.Module):
    """Self-attention, fused or written out, perhaps with queries and keys normalised."""

    def __init__(self, *, written=False, bias=True, norm=None):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH, bias=bias) for _ in range(3))
        self.norms = nn.ModuleList(norm(WIDTH // 2, eps=1e-6) for _ in range(2)) if norm else None
        self.o, self.written = nn.Linear(WIDTH, WIDTH), written
        for part in (self.q, self.k):  # scores that differ, so that the mean is not taken
            part.weight.data *= 4

    def forward(self, x):
        q, k, v = (m(x).unflatten(-1, (2, -1)).transpose(1, 2) for m in (self.q, self.k, self.v))
        if self.norms:
            q, k = self.norms[0](q), self.norms[1](k)
        if self.written:
            found = (q @ k.transpose(-1, -2) / math.sqrt(WIDTH // 2)).softmax(-1) @ v
        else:
            found = F.scaled_dot_product_attention(q, k, v)
        return self.o(found.transpose(1, 2).flatten(2))


def axis(world):
    """Of the channels."""
    return 1 if world == "image" else -1


def pooled(x, channels):
    """One vector for each example."""
    return x.movedim(channels, 1).reshape(len(x), WIDTH, -1).mean(-1)


def layer(world, width=WIDTH, *, bias=True):
    if world == "image":
        return nn.Conv2d(width, WIDTH, 3, padding=1, bias=bias)
    return nn.Linear(width, WIDTH, bias=bias)


def turned(world, made):
    return Turned(made) if world in ("sequence", "tokens") else made


def batch_norm(world, *, affine=True):
    kind = nn.BatchNorm2d if world == "image" else nn.BatchNorm1d
    return turned(world, kind(WIDTH, affine=affine))


def whole(world):
    """What Layer Normalization runs over."""
    return SHAPES[world][1:] if world == "image" else (WIDTH,)


def per_channel(function, value):
    """A function of a value and one number per channel."""
    shapes = {"image": (WIDTH, 1, 1)}
    return lambda w: Of(function, torch.full(shapes.get(w, (WIDTH,)), float(value)))


FUNCTIONS = {
    "relu": torch.relu, "leaky relu": F.leaky_relu, "abs": torch.abs, "square": torch.square,
    "gelu": F.gelu, "silu": F.silu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "elu": F.elu,
    "relu6": F.relu6, "hardtanh": F.hardtanh, "plus one": lambda x: x + 1,
    "doubled": lambda x: 2 * x,
}  # fmt: skip
ONE = {
    **{name: lambda w, f=function: Of(f) for name, function in FUNCTIONS.items()},
    "softmax": lambda w: Of(lambda x: x.softmax(axis(w))),
    "normalize": lambda w: Of(lambda x: F.normalize(x, dim=axis(w))),
    "centred": lambda w: Of(lambda x: x - x.mean(axis(w), keepdim=True)),
    "over its mean": lambda w: Of(lambda x: x / x.abs().mean(axis(w), keepdim=True)),
    "scale": lambda w: Of(torch.mul, torch.tensor(0.8)),
    "temperature": lambda w: Of(torch.div, torch.tensor(1.5)),
    "layer scale": per_channel(torch.mul, 0.7),
    "shift": per_channel(torch.add, 0.5),
    "zeroed": per_channel(lambda x, p: x + 0 * p, 1),
    "unused": per_channel(lambda x, p: x, 1),
    "layer": layer,
    "layer without bias": lambda w: layer(w, bias=False),
    "weight norm": lambda w: parametrizations.weight_norm(layer(w)),
    "prelu": lambda w: turned(w, nn.PReLU(WIDTH)),
    "dropout": lambda w: nn.Dropout(0.3),
    "batch norm": batch_norm,
    "batch norm without affine": lambda w: batch_norm(w, affine=False),
    "layer norm": lambda w: nn.LayerNorm(whole(w)),
    "rms norm": lambda w: nn.RMSNorm(whole(w), eps=1e-6),
    "group norm": lambda w: turned(w, nn.GroupNorm(2, WIDTH)),
    "rms norm written out": lambda w: Written(axis(w), centred=False),
    "layer norm written out": lambda w: Written(axis(w), centred=True),
    "excited": Excited,
}
TWO = {
    "add": lambda w: Of(torch.add),
    "subtract": lambda w: Of(torch.sub),
    "multiply": lambda w: Of(torch.mul),
    "gate": lambda w: Of(lambda x, y: x.sigmoid() * y),
    "maximum": lambda w: Of(torch.maximum),
    "merge": Merged,
}
SEQUENCE = {
    "attention": lambda w: Attention(),
    "attention without bias": lambda w: Attention(bias=False),
    "attention written out": lambda w: Attention(written=True),
    "attention with qk-norm": lambda w: Attention(norm=nn.RMSNorm),
    "conv1d": lambda w: Turned(nn.Conv1d(WIDTH, WIDTH, 3, padding=1)),
    "grouped conv1d": lambda w: Turned(nn.Conv1d(WIDTH, WIDTH, 3, padding=1, groups=2)),
    "instance norm": lambda w: Turned(nn.InstanceNorm1d(WIDTH, affine=True)),
    "max-pool": lambda w: Turned(nn.MaxPool1d(3, 1, 1)),
}
IMAGE = {
    "1×1 conv": lambda w: nn.Conv2d(WIDTH, WIDTH, 1),
    "grouped conv": lambda w: nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=2),
    "depthwise conv": lambda w: nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH),
    "transposed conv": lambda w: nn.ConvTranspose2d(WIDTH, WIDTH, 3, padding=1),
    "instance norm": lambda w: nn.InstanceNorm2d(WIDTH, affine=True),
    "max-pool": lambda w: nn.MaxPool2d(3, 1, 1),
    "avg-pool": lambda w: nn.AvgPool2d(3, 1, 1),
}
MAKERS = {world: {**ONE, **{"image": IMAGE, "vector": {}}.get(world, SEQUENCE)} for world in SHAPES}
LOCAL = {"relu6", "hardtanh", "maximum"}  # they look like something simpler where nothing is cut


# ---------------------------------------------------------------------------------- the networks


@dataclass(frozen=True)
class Program:
    """A network: its values are numbered, and each step makes the next one of earlier ones."""

    world: str
    steps: tuple[tuple[str, tuple[int, ...]], ...]
    head: str

    def __repr__(self):
        shown = [f"{self.world}: v0 = {'embedding(ids)' if self.world == 'tokens' else 'x'}"]
        for i, (name, of) in enumerate(self.steps, 1):
            shown.append(f"v{i} = {name}({', '.join(f'v{j}' for j in of)})")
        return "; ".join([*shown, f"output {self.head}(v{len(self.steps)})"])

    @property
    def local(self):
        """Whether it may look like something simpler near the weights that were drawn."""
        return not LOCAL.isdisjoint(name for name, _ in self.steps)

    @property
    def dead(self):
        """Whether a step is computed and not used."""
        live = {len(self.steps)}
        for i in range(len(self.steps), 0, -1):
            live |= set(self.steps[i - 1][1]) if i in live else set()
        return not live >= set(range(1, len(self.steps) + 1))


def program(choose):
    """A program, by choices from lists."""
    world = choose(list(SHAPES))
    one = MAKERS[world]
    groups = {
        "any": [*one, "again"],
        "normalisation": [n for n in one if "norm" in n and "attention" not in n],
        "layer": [n for n in one if "layer" in n or "conv" in n or "attention" in n],
        "two": list(TWO),
    }
    steps = []
    for i in range(choose(range(2, 9))):
        kind = choose(["any", "any", "normalisation", "layer", *(["two"] * 2 if i else [])])
        of = [i - choose([0] * 19 + [1]) if i else 0]
        of += [choose([j for j in range(i + 1) if j != of[0]])] if kind == "two" else []
        steps.append((choose(groups[kind]), tuple(of)))
    heads = ["linear", "linear", "linear", "no head", *(["tied"] if world == "tokens" else [])]
    return Program(world, tuple(steps), choose(heads))


class Network(nn.Module):
    """What a program says. "again" is the last plain layer once more, with the same weights."""

    def __init__(self, program):
        super().__init__()
        self.program, world = program, program.world
        self.table = nn.Embedding(7, WIDTH) if world == "tokens" else nn.Identity()
        self.steps, repeated = nn.ModuleList(), layer(world)
        for name, _ in program.steps:
            made = repeated if name == "again" else {**MAKERS[world], **TWO}[name](world)
            repeated = made if name in ("layer", "layer without bias") else repeated
            self.steps.append(made)
        if program.head == "linear":
            self.head = nn.Linear(WIDTH, 3)

    def forward(self, x):
        values = [self.table(x)]
        for step, (_, of) in zip(self.steps, self.program.steps, strict=True):
            values.append(step(*(values[i] for i in of)))
        if self.program.head == "tied":
            return F.linear(values[-1], self.table.weight)
        if self.program.head == "linear":
            return self.head(pooled(values[-1], axis(self.program.world)))
        return values[-1]


def inputs(world, generator):
    if world == "tokens":
        return torch.randint(7, SHAPES[world][:2], generator=generator)
    return torch.randn(SHAPES[world], generator=generator)


def built(program):
    """The network, with weights that are not quite those of a fresh one."""
    torch.manual_seed(0)
    model = Network(program)
    for parameter in model.parameters():  # at ones and zeros, differences of values may vanish
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return model
