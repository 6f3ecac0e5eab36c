"""Biases that are forgotten, against what happens to the outputs when they are moved."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from etaeff.symmetry._proof._shift import forgotten_biases
from etaeff.symmetry._tracing._graph import of_program

FORGOTTEN, MOVED = 1e-12, 1e-6
MASK = torch.tril(torch.ones(5, 5, dtype=torch.bool))


class With(nn.Module):
    """A function of the input and of parameters `p` (of shape) and layers."""

    def __init__(self, function, p=None, **layers):
        super().__init__()
        self.function = function
        if p is not None:
            self.p = nn.Parameter(torch.randn(p))
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.function(self, x)


def attention(score, *, after=lambda k: k):
    """Two heads of width 4; `score` turns queries and keys to weights."""

    def function(m, x):
        q, k, v = (own(x).unflatten(-1, (2, 4)).transpose(1, 2) for own in (m.q, m.k, m.v))
        return (score(q, after(k)) @ v).transpose(1, 2).flatten(-2)

    return With(function, **{name: nn.Linear(8, 8) for name in "qkv"})


def fused(**options):
    def function(m, x):
        q, k, v = (own(x).unflatten(-1, (2, 4)).transpose(1, 2) for own in (m.q, m.k, m.v))
        return F.scaled_dot_product_attention(q, k, v, **options)

    return With(function, **{name: nn.Linear(8, 8) for name in "qkv"})


def rotated(k):
    """Rotary positions."""
    angle = torch.arange(5.0).unsqueeze(-1)
    return k * torch.cos(angle) + k.flip(-1) * torch.sin(angle)


def scores(q, k):
    return q @ k.transpose(-1, -2) * 0.5


def masked(value):
    return lambda q, k: scores(q, k).masked_fill(~MASK, value).softmax(-1)


def seq(*layers):
    return nn.Sequential(*layers)


IMAGE, SEQUENCE, ROWS = (4, 3, 5, 6), (3, 5, 8), (7, 3)
BEFORE_BATCH_NORM = {
    "linear": (seq(nn.Linear(3, 4), nn.BatchNorm1d(4)), ROWS, "0.bias"),
    "conv1d": (seq(nn.Conv1d(5, 4, 3), nn.BatchNorm1d(4)), SEQUENCE, "0.bias"),
    "conv2d": (seq(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), IMAGE, "0.bias"),
    "conv2d padded": (seq(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)), IMAGE, "0.bias"),
    "conv2d grouped": (seq(nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6)), IMAGE, "0.bias"),
    "conv2d after a norm": (
        seq(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4)),
        IMAGE,
        "0.bias 1.bias",
    ),
    "padded after a norm": (
        seq(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=(0, 1)), nn.BatchNorm2d(4)),
        IMAGE,
        "1.bias",
    ),
    "valid": (
        seq(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 2, padding="valid"), nn.BatchNorm2d(4)),
        IMAGE,
        "0.bias 1.bias",
    ),
    "same, of one place": (
        seq(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1, padding="same"), nn.BatchNorm2d(4)),
        IMAGE,
        "0.bias 1.bias",
    ),
    "same": (
        seq(nn.BatchNorm2d(3), nn.Conv2d(3, 4, (1, 3), padding="same"), nn.BatchNorm2d(4)),
        IMAGE,
        "1.bias",
    ),
    "transposed after a norm": (
        seq(nn.BatchNorm2d(3), nn.ConvTranspose2d(3, 4, 2), nn.BatchNorm2d(4)),
        IMAGE,
        "1.bias",
    ),
    "conv1d by channel": (
        seq(nn.BatchNorm1d(5), nn.Conv1d(5, 5, 3, groups=5), nn.BatchNorm1d(5)),
        SEQUENCE,
        "0.bias 1.bias",
    ),
    "different everywhere": (
        With(lambda m, x: m.n(m.a(x + m.p)), (5, 6), a=nn.Conv2d(3, 4, 1), n=nn.BatchNorm2d(4)),
        IMAGE,
        "a.bias",
    ),
    "conv3d": (seq(nn.Conv3d(2, 4, 2), nn.BatchNorm3d(4)), (3, 2, 3, 3, 3), "0.bias"),
    "transposed": (seq(nn.ConvTranspose2d(3, 4, 2), nn.BatchNorm2d(4)), IMAGE, "0.bias"),
    "no statistics": (
        seq(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)).eval(),
        IMAGE,
        "0.bias",
    ),
    "eval": (seq(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval(), IMAGE, ""),
    "relu": (seq(nn.Linear(3, 4), nn.ReLU(), nn.BatchNorm1d(4)), ROWS, ""),
    "padding": (seq(nn.Conv2d(3, 4, 3), nn.ZeroPad2d(1), nn.BatchNorm2d(4)), IMAGE, ""),
    "second": (
        seq(nn.Linear(3, 4), nn.Linear(4, 4, bias=False), nn.BatchNorm1d(4)),
        ROWS,
        "0.bias",
    ),
    "two linear": (seq(nn.Linear(3, 4), nn.Linear(4, 4), nn.BatchNorm1d(4)), ROWS, "0.bias 1.bias"),
    "branches": (
        With(lambda m, x: m.n(m.a(x) - 2 * m.b(x)), a=nn.Linear(3, 4), b=nn.Linear(3, 4),
             n=nn.BatchNorm1d(4)),
        ROWS,
        "a.bias b.bias",
    ),
    "gated by the input": (
        With(lambda m, x: m.n(m.a(x) * x), a=nn.Linear(3, 3), n=nn.BatchNorm1d(3)),
        ROWS,
        "",
    ),
    "also elsewhere": (
        With(lambda m, x: m.n(m.a(x)) + m.a(x).tanh(), a=nn.Linear(3, 4), n=nn.BatchNorm1d(4)),
        ROWS,
        "",
    ),
    "moved axes": (
        With(lambda m, x: m.n(m.a(x).transpose(1, 2)), a=nn.Linear(8, 4), n=nn.BatchNorm1d(4)),
        SEQUENCE,
        "a.bias",
    ),
    "wrong axis": (
        With(lambda m, x: m.n(m.a(x)), a=nn.Linear(8, 4), n=nn.BatchNorm1d(5)),
        SEQUENCE,
        "",
    ),
    "position": (With(lambda m, x: m.n(x + m.p), (8,), n=nn.BatchNorm1d(5)), SEQUENCE, ""),
}  # fmt: skip
BEFORE_OTHER_NORMS = {
    "instance": (seq(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, affine=True)), IMAGE, "0.bias"),
    "group of one": (seq(nn.Conv2d(3, 4, 3), nn.GroupNorm(4, 4)), IMAGE, "0.bias"),
    "group of two": (seq(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)), IMAGE, ""),
    "group of all": (seq(nn.Conv2d(3, 4, 3), nn.GroupNorm(1, 4)), IMAGE, ""),
    "one number, group of all": (
        With(lambda m, x: m.n(x + m.p), (), n=nn.GroupNorm(1, 3)),
        IMAGE,
        "p",
    ),
    "layer": (seq(nn.Linear(3, 4), nn.LayerNorm(4)), ROWS, ""),
    "one number per place, layer": (
        With(lambda m, x: m.n(x + m.p), (5, 1), n=nn.LayerNorm(8)),
        SEQUENCE,
        "p",
    ),
    "layer of places": (seq(nn.Conv2d(3, 4, 2), nn.LayerNorm((4, 5))), IMAGE, "0.bias"),
    "layer of channels and places": (seq(nn.Conv2d(3, 4, 2), nn.LayerNorm((4, 4, 5))), IMAGE, ""),
    "shift of a layer norm": (
        With(lambda m, x: m.n(m.a(x).transpose(1, 2)), a=nn.LayerNorm(8), n=nn.BatchNorm1d(8)),
        SEQUENCE,
        "a.bias",
    ),
}
UNDER_SOFTMAX = {
    "keys": (attention(lambda q, k: scores(q, k).softmax(-1)), SEQUENCE, "k.bias"),
    "keys, -inf": (attention(masked(float("-inf"))), SEQUENCE, "k.bias"),
    "keys, -1e9": (attention(masked(-1e9)), SEQUENCE, "k.bias"),
    "keys, small mask": (attention(masked(-3.0)), SEQUENCE, ""),
    "keys, added mask": (
        attention(lambda q, k: (scores(q, k) + torch.where(MASK, 0.0, -5.0)).softmax(-1)),
        SEQUENCE,
        "k.bias",
    ),
    "keys, over queries": (attention(lambda q, k: scores(q, k).softmax(-2)), SEQUENCE, "q.bias"),
    "keys, sigmoid": (attention(lambda q, k: scores(q, k).sigmoid()), SEQUENCE, ""),
    "keys, rotated": (
        attention(lambda q, k: scores(q, k).softmax(-1), after=rotated),
        SEQUENCE,
        "",
    ),
    "keys, normalised": (
        attention(lambda q, k: scores(q, k).softmax(-1), after=lambda k: F.normalize(k, dim=-1)),
        SEQUENCE,
        "",
    ),
    "fused": (fused(), SEQUENCE, "k.bias"),
    "fused, causal": (fused(is_causal=True), SEQUENCE, "k.bias"),
    "fused, mask": (fused(attn_mask=MASK), SEQUENCE, "k.bias"),
    "logits": (With(lambda m, x: (m.a(x)).softmax(-1), a=nn.Linear(3, 4)), ROWS, ""),
    "logits, other axis": (With(lambda m, x: m.a(x).softmax(0), a=nn.Linear(3, 4)), ROWS, "a.bias"),
    "logits, one number": (With(lambda m, x: (x + m.p).log_softmax(-1), (1,)), ROWS, "p"),
    "one number for each row": (With(lambda m, x: (x + m.p).softmax(-1), (7, 1)), ROWS, "p"),
    "one number for each column": (With(lambda m, x: (x + m.p).softmax(-1), (3,)), ROWS, ""),
    "hidden, and log": (
        With(lambda m, x: (x + m.p).masked_fill(x > 0, -1e4).log_softmax(-1), (1,)), ROWS, "",
    ),
    "hidden, and cooled": (
        With(lambda m, x: ((x + m.p).masked_fill(x > 0, -1e4) / 1e4).softmax(-1), (1,)), ROWS, "",
    ),
    "hidden, and normalised": (
        With(lambda m, x: m.n((x + m.p).masked_fill(x > 0, -2e4)) * 1e4, (1,), n=nn.LayerNorm(3)),
        ROWS,
        "",
    ),
    "the same for all keys": (
        With(lambda m, x: (x @ (x + m.p).transpose(1, 2)).softmax(-1), (8,)), SEQUENCE, "p",
    ),
    "another for each key": (
        With(lambda m, x: (x @ (x + m.p).transpose(1, 2)).softmax(-1), (5, 8)), SEQUENCE, "",
    ),
    "rows": (
        With(lambda m, x: ((x + m.p) @ torch.ones(8, 2).to(x)).softmax(1), (8,)), SEQUENCE, "p",
    ),
    "another for each row": (
        With(lambda m, x: ((x + m.p) @ torch.ones(8, 2).to(x)).softmax(1), (5, 8)), SEQUENCE, "",
    ),
    "matrix times vector": (
        With(lambda m, x: ((x + m.p) @ torch.ones(8).to(x)).softmax(0), (3, 1, 8)), SEQUENCE, "",
    ),
}  # fmt: skip
CASES = BEFORE_BATCH_NORM | BEFORE_OTHER_NORMS | UNDER_SOFTMAX


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def forgotten(model, x):
    return forgotten_biases(of_program(torch.export.export(model, (x,), strict=False)))


def changes(model, x):
    """How far the outputs move, in float64, when a parameter does."""
    found = {}
    for name in dict(model.named_parameters()):
        generator = torch.Generator().manual_seed(1)
        outputs = []
        for size in (0.0, 0.5):
            own = copy.deepcopy(model).double()
            noise = torch.randn(own.get_parameter(name).shape, generator=generator)
            with torch.no_grad():
                own.get_parameter(name).add_(noise, alpha=size)
                outputs.append(own(x.double()))
        found[name] = float((outputs[1] - outputs[0]).abs().max())
    return found


@pytest.mark.parametrize("name", CASES)
def test_what_is_forgotten_is_what_moves_nothing(name):
    model, shape, labelled = CASES[name]
    torch.manual_seed(0)
    x = torch.randn(shape)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    moved = changes(model, x)
    truth = {parameter for parameter, change in moved.items() if change < FORGOTTEN}
    assert {parameter for parameter, change in moved.items() if change < MOVED} == truth
    assert truth == set(labelled.split())  # the label says what the test is about
    assert forgotten(model, x) == truth


def test_parameters_that_nothing_reads_are_named():
    model = With(lambda m, x: m.a(x).softmax(0), (3,), a=nn.Linear(3, 4))
    assert forgotten(model, torch.randn(ROWS)) == {"a.bias", "p"}


def test_dropout_and_pooling_are_not_known():
    """Sound, and stricter than need be for pooling: a mean of a constant is that constant."""
    for between in (nn.Dropout(0.5), nn.AvgPool2d(2)):
        model = seq(nn.Conv2d(3, 4, 3), between, nn.BatchNorm2d(4))
        assert forgotten(model, torch.randn(IMAGE)) == set()
