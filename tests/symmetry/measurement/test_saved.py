"""What autograd keeps, and what is made again for it, against autograd that keeps everything."""

import gc

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from etaeff.symmetry._measurement import _remade
from etaeff.symmetry._measurement._float64 import runner
from etaeff.symmetry._measurement._weights import Lazy, Weights
from etaeff.symmetry._tracing._graph import of_program


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch):
    monkeypatch.setattr(_remade, "_LARGE", 10)
    torch.manual_seed(0)


class With(nn.Module):
    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.function(self, x)


def squeezed(m, x):
    x = F.silu(m.n(m.a(x)))
    return m.b(x * torch.sigmoid(m.c(x.mean((2, 3), keepdim=True))))


def conv(i, o, **options):
    return nn.Conv2d(i, o, 3, padding=1, **options)


IMAGE = (2, 3, 6, 6)
MODELS = {
    "norm and relu": (nn.Sequential(
        conv(3, 4), nn.BatchNorm2d(4), nn.ReLU(), conv(4, 4), nn.BatchNorm2d(4), nn.ReLU()), IMAGE),
    "in place": (nn.Sequential(
        conv(3, 4), nn.BatchNorm2d(4), nn.ReLU(inplace=True), conv(4, 4),
        nn.BatchNorm2d(4), nn.SiLU(inplace=True), conv(4, 2)), IMAGE),
    "in place without a norm": (nn.Sequential(
        conv(3, 4), nn.ReLU(inplace=True), conv(4, 4), nn.ELU(inplace=True), conv(4, 2)), IMAGE),
    "fixed statistics": (nn.Sequential(
        conv(3, 4), nn.BatchNorm2d(4).eval(), nn.SiLU(), conv(4, 2)), IMAGE),
    "squeezed": (With(
        squeezed, a=conv(3, 4), n=nn.BatchNorm2d(4), b=conv(4, 2), c=nn.Conv2d(4, 4, 1)), IMAGE),
    "gated": (With(lambda m, x: m.b(F.gelu(m.a(x)) * m.c(x)),
        a=nn.Linear(3, 5), b=nn.Linear(5, 2), c=nn.Linear(3, 5)), (4, 3)),
    "residual in place": (With(lambda m, x: m.b(F.relu_(m.n(m.a(x)).add_(x))).relu(),
        a=conv(3, 3), n=nn.BatchNorm2d(3), b=conv(3, 2)), IMAGE),
    "written to afterwards": (With(lambda m, x: (y := m.n(m.a(x))).tanh() + y.add_(1.0),
        a=conv(3, 3), n=nn.GroupNorm(3, 3)), IMAGE),
    "layers": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8)),
    "times a mask": (With(lambda m, x: m.b(m.a(x) * (x > 0)), a=nn.Linear(3, 3), b=nn.Linear(3, 2)),
        (4, 3)),
}  # fmt: skip


def traced(name):
    model, shape = MODELS[name]
    return model, runner(
        of_program(torch.export.export(model, (torch.randn(shape),), strict=False)),
        own_epsilon=True,
    )


def sampled(model, run, x, *, again):
    """Sums of a backward pass; with `again=False` autograd keeps everything."""
    own = dict(model.named_parameters())
    weights = Weights(own, torch.Generator().manual_seed(1))
    lazy = {name: weights.lazy(name) for name in own}
    if again:
        with torch.autograd.graph.saved_tensors_hooks(weights.pack, weights.unpack):
            outputs = run(lazy, [x])
    else:
        outputs = run({name: Lazy(weight.make) for name, weight in lazy.items()}, [x])
    sum((y * y.detach().cos()).sum() for y in outputs).backward()
    return weights.sums()


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_an_autograd_that_keeps_everything(name):
    model, run = traced(name)
    x = torch.randn(MODELS[name][1])
    found, truth = (sampled(model, run, x, again=again) for again in (True, False))
    for parameter, sums in truth.items():
        torch.testing.assert_close(found[parameter], sums, rtol=1e-10, atol=1e-12)


def kept_by(model, run, x):
    """Entries of the tensors that a forward pass leaves in memory, beside its outputs."""
    own = dict(model.named_parameters())
    weights = Weights(own, torch.Generator().manual_seed(1))
    lazy = {name: weights.lazy(name) for name in own}
    kept = {}

    def pack(tensor):
        packed = weights.pack(tensor)
        if isinstance(getattr(packed, "tensor", None), torch.Tensor):
            storage = packed.tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes() // 8
        return packed

    with torch.autograd.graph.saved_tensors_hooks(pack, weights.unpack):
        outputs = run(lazy, [x])
    assert outputs
    return sum(kept.values())


def test_only_what_went_into_a_norm_is_kept():
    model, run = traced("norm and relu")
    x = torch.randn(IMAGE)
    channels = 2 * 4 * 6 * 6
    assert kept_by(model, run, x) < x.numel() + 2 * channels + 100  # the means, and so on


def test_nothing_is_left_when_a_sample_is_done():
    gc.collect()
    gc.disable()
    try:
        model, run = traced("in place")
        x = torch.randn(IMAGE)
        own = dict(model.named_parameters())
        weights = Weights(own, torch.Generator().manual_seed(1))
        with torch.autograd.graph.saved_tensors_hooks(weights.pack, weights.unpack):
            outputs = run({name: weights.lazy(name) for name in own}, [x])
        made = weights._saved._made
        outputs[0].sum().backward()
        assert made
        del outputs
        memory = torch.multiprocessing.reductions.StorageWeakRef(
            next(iter(made.values())).untyped_storage()
        )
        del weights, made
        assert memory.expired()  # no cycle holds it
    finally:
        gc.enable()
