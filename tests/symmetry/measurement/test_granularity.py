import pytest
import torch
import torch.nn.functional as F
from torch import nn

from etaeff.geometry import Block
from etaeff.symmetry._measurement._experiment import Experiment
from etaeff.symmetry._measurement._float64 import runner
from etaeff.symmetry._measurement._granularity import finest_block
from etaeff.symmetry._measurement._samples import Sample, samples
from etaeff.symmetry._tracing._graph import of_program


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def orthogonal(weights, axis, count):
    """Noise that is orthogonal to the weights on each piece of them together, and no finer."""
    noise = [torch.randn_like(w) for w in weights]
    pieces = [[t.chunk(count, axis) for t in own] for own in (weights, noise)]
    found = []
    for i in range(count):
        w, g = ([own[i] for own in tensors] for tensors in pieces)
        inner = sum((a * b).sum() for a, b in zip(w, g, strict=True))
        square = sum(a.square().sum() for a in w)
        found.append([b - inner / square * a for a, b in zip(w, g, strict=True)])
    return [torch.cat(own, axis) for own in zip(*found, strict=True)]


def sample(weights, gradients):
    """A `Sample` of tensors by name."""
    sums = {}
    for (name, w), g in zip(weights.items(), gradients, strict=True):
        parts = torch.stack([w * g, w * w, g * g])
        axes = range(1, min(w.ndim, 2) + 1)
        others = [[a for a in range(1, parts.ndim) if a != axis] for axis in axes]
        sums[name] = [parts.sum(other) if other else parts for other in others]
    return Sample(0.0, sums)


def drawn(shapes, axis, count, samples=2):
    found = []
    for _ in range(samples):
        weights = {name: torch.randn(s, dtype=torch.float64) for name, s in shapes.items()}
        found.append(sample(weights, orthogonal(list(weights.values()), axis, count)))
    return found


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("count", [2, 3, 4, 6, 12])
@pytest.mark.parametrize("beyond", [(), (3, 3)])
def test_pieces_of_one_tensor_are_found(axis, count, beyond):
    found = finest_block(drawn({"w": (12, 12, *beyond)}, axis, count), ["w"])
    assert found == Block(("w",), axis=axis, count=count)


@pytest.mark.parametrize("shape", [(6,), (6, 4), (7, 5, 3)])
def test_what_is_invariant_as_a_whole_is_not_cut(shape):
    assert finest_block(drawn({"w": shape}, 0, 1), ["w"]) == Block(("w",))


@pytest.mark.parametrize(
    ("shapes", "axis", "count"),
    [
        ({"w": (6, 4, 3), "b": (6,)}, 0, 3),
        ({"w": (6, 4), "v": (6, 5), "b": (6,)}, 0, 6),
        ({"w": (4, 6), "v": (5, 6)}, 1, 3),
        ({"w": (6, 6), "v": (6, 6)}, 1, 2),
    ],
)
def test_tensors_are_cut_together(shapes, axis, count):
    found = finest_block(drawn(shapes, axis, count), list(shapes))
    assert found == Block(tuple(shapes), axis=axis, count=count)


def test_tensors_of_other_lengths_are_not_cut():
    shapes = {"w": (6, 4), "b": (4,)}
    own = [torch.randn(s, dtype=torch.float64) for s in shapes.values()]
    single = [orthogonal([w], 0, len(w))[0] for w in own]  # each by itself in pieces
    found = finest_block([sample(dict(zip(shapes, own, strict=True)), single)], list(shapes))
    assert found == Block(("w", "b"))


def test_a_tensor_without_axes_is_whole():
    weight = torch.tensor(2.0, dtype=torch.float64)
    parts = torch.stack([0 * weight, weight**2, weight**2]).reshape(3, 1)
    assert finest_block([Sample(0.0, {"w": [parts]})], ["w"]) == Block(("w",))


def test_one_sample_that_denies_is_enough():
    fine, coarse = drawn({"w": (6, 4)}, 0, 6, 1), drawn({"w": (6, 4)}, 0, 2, 1)
    assert finest_block([*fine], ["w"]).count == 6
    assert finest_block([*fine, *coarse], ["w"]) == Block(("w",), axis=0, count=2)
    assert finest_block([*coarse, *fine], ["w"]) == Block(("w",), axis=0, count=2)


def test_the_axis_with_more_pieces_is_taken():
    weight = torch.randn(4, 6, dtype=torch.float64)
    table = torch.randn(4, 6, dtype=torch.float64)
    table -= table.mean(0, keepdim=True)
    table -= table.mean(1, keepdim=True)  # inner products that vanish along both axes
    found = [sample({"w": weight}, [table / weight])]
    assert finest_block(found, ["w"]) == Block(("w",), axis=1, count=6)
    found = [sample({"w": weight.T}, [(table / weight).T])]
    assert finest_block(found, ["w"]) == Block(("w",), axis=0, count=6)


def test_a_piece_without_gradient_is_no_obstacle():
    weight = torch.randn(6, 4, dtype=torch.float64)
    (gradient,) = orthogonal([weight], 0, 6)
    gradient[2] = 0
    assert finest_block([sample({"w": weight}, [gradient])], ["w"]).count == 6


class Conv1D(nn.Module):
    """As in GPT-2: the weight is (in, out)."""

    def __init__(self, inside, outside):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inside, outside))

    def forward(self, x):
        return x @ self.weight


class Attention(nn.Module):
    """Two heads of width 4, with queries and keys normalised."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, 8, bias=False) for _ in range(3))

    def forward(self, x):
        q, k, v = (m(x).unflatten(-1, (2, 4)).transpose(1, 2) for m in (self.q, self.k, self.v))
        q, k = (F.layer_norm(own, (4,)) for own in (q, k))
        return F.scaled_dot_product_attention(q, k, v)


def conv(inside=3, outside=6, bias=False):
    return nn.Conv2d(inside, outside, 3, bias=bias)


IMAGE, SEQUENCE, ROWS = (4, 3, 5, 5), (3, 5, 8), (7, 4)
MODELS = {
    "channels": ((conv(), nn.BatchNorm2d(6)), IMAGE, Block(("0.weight",), count=6)),
    "channels and bias": (
        (conv(bias=True), nn.BatchNorm2d(6).requires_grad_(False)),
        IMAGE,
        Block(("0.weight",), count=6),
    ),
    "groups": ((conv(), nn.GroupNorm(2, 6)), IMAGE, Block(("0.weight",), count=2)),
    "groups with bias": (
        (conv(bias=True), nn.GroupNorm(3, 6)),
        IMAGE,
        Block(("0.weight", "0.bias"), count=3),
    ),
    "instances": ((conv(), nn.InstanceNorm2d(6)), IMAGE, Block(("0.weight",), count=6)),
    "layer": ((nn.Linear(4, 6, bias=False), nn.LayerNorm(6)), ROWS, Block(("0.weight",))),
    "layer with bias": ((nn.Linear(4, 6), nn.LayerNorm(6)), ROWS, Block(("0.weight", "0.bias"))),
    "transposed": (
        (nn.ConvTranspose2d(3, 6, 2, bias=False), nn.BatchNorm2d(6)),
        IMAGE,
        Block(("0.weight",), axis=1, count=6),
    ),
    "in, out": (
        (Conv1D(4, 6), nn.BatchNorm1d(6)),
        ROWS,
        Block(("0.weight",), axis=1, count=6),
    ),
    "in, out, groups": (
        (Conv1D(4, 6), nn.GroupNorm(2, 6)),
        ROWS,
        Block(("0.weight",), axis=1, count=2),
    ),
    "heads of queries": ((Attention(),), SEQUENCE, Block(("0.q.weight",), count=2)),
    "heads of keys": ((Attention(),), SEQUENCE, Block(("0.k.weight",), count=2)),
}


@pytest.mark.parametrize("name", MODELS)
def test_blocks_of_models_by_hand(name):
    layers, shape, expected = MODELS[name]
    model, x = nn.Sequential(*layers), torch.randn(shape)
    program = torch.export.export(model, (x,), strict=False)
    own = {name: p.detach() for name, p in model.named_parameters()}
    run = runner(of_program(program), own_epsilon=False)
    found = samples(Experiment(run, own, {name: name for name in own}, [x]), count=2, seed=0)
    assert finest_block(found, expected.names) == expected
