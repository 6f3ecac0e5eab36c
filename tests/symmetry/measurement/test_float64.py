"""A traced model that is run in float64, against the model itself in float64."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from etaeff.symmetry._measurement._float64 import runner
from etaeff.symmetry._measurement._weights import Lazy
from etaeff.symmetry._measurement._wide import double
from etaeff.symmetry._tracing._graph import of_program

EXACT = 1e-12


class With(nn.Module):
    """A function of the input and of layers; `real` is the type that it casts to."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function, self.real = function, torch.float32
        for name, layer in layers.items():
            if isinstance(layer, torch.Tensor):
                self.register_buffer(name, layer)
            else:
                self.add_module(name, layer)

    def forward(self, *inputs):
        return self.function(self, *inputs)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def traced(model, *inputs):
    return torch.export.export(model, inputs, strict=False)


def parameters(model, grad=False):
    named = model.named_parameters(remove_duplicate=False)
    return {name: double(p.detach()).requires_grad_(grad) for name, p in named}


def running(program, *, own_epsilon=True):
    """The program as a function of tensors by name, and inputs."""
    run = runner(of_program(program), own_epsilon=own_epsilon)

    def outputs(own, *inputs):
        return run({name: Lazy(lambda p=p: p) for name, p in own.items()}, inputs)

    return outputs


def ran(model, *inputs):
    with torch.no_grad():
        return running(traced(model, *inputs))(parameters(model), *inputs)


def reference(model):
    """The model in float64, without dropout."""
    own = copy.deepcopy(model).double()
    for module in own.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        if isinstance(module, nn.RNNBase | nn.MultiheadAttention):
            module.dropout = 0.0
        if isinstance(module, nn.RMSNorm):
            module.eps = torch.finfo(torch.float32).eps  # by default, its type's own
        if isinstance(module, With):
            module.real = torch.float64
    return own


def exact(model, *inputs):
    """The outputs of the model in float64, in a tuple."""
    with torch.no_grad():
        found = reference(model)(*(double(x) for x in inputs))
    return found if isinstance(found, tuple) else (found,)


def linear(width=4):
    return nn.Linear(4, width)


def without_gradient(m, x):
    with torch.no_grad():
        y = m.a(x)
    return y.sin() + m.a(x)


def in_half(m, x):
    with torch.autocast("cpu", enabled=False):
        return m.a(x.to(m.real)) * 0.1


NUMBERS = torch.tensor([[0, 1, 4, 2], [2, 0, 3, 0]])
MODELS = {
    "linear": With(lambda m, x: m.a(x), a=linear()),
    "two outputs": With(lambda m, x: (m.a(x), x.sum(0)), a=linear()),
    "a constant": With(lambda m, x: m.a(x) * torch.tensor([0.1, 0.2, 0.3, 0.7]), a=linear()),
    "a number": With(lambda m, x: m.a(x) * 0.1 + 1e-4, a=linear()),
    "a buffer": With(lambda m, x: m.a(x) + m.b, a=linear(), b=torch.tensor([0.1, 0.2, 0.3, 0.7])),
    "a cast": With(lambda m, x: m.a(x).to(m.real).exp(), a=linear()),
    "a cast by name": With(lambda m, x: F.softmax(m.a(x), -1, dtype=m.real), a=linear()),
    "a tensor of a type": With(lambda m, x: m.a(x) @ torch.eye(4, dtype=m.real) / 3, a=linear()),
    "whole numbers": With(lambda m, x: m.a(x) * (x > 0).to(torch.int64), a=linear()),
    "no gradient": With(without_gradient, a=linear()),
    "no autocast": With(in_half, a=linear()),
    "batch norm": nn.Sequential(linear(), nn.BatchNorm1d(4), nn.ReLU()),
    "batch norm, eval": nn.Sequential(linear(), nn.BatchNorm1d(4)).eval(),
    "own eps": nn.Sequential(linear(), nn.LayerNorm(4, eps=0.1), nn.RMSNorm(4)),
    "dropout": nn.Sequential(linear(), nn.Dropout(0.5), nn.AlphaDropout(0.5)),
    "dropout in place": nn.Sequential(linear(), nn.Dropout(0.5, inplace=True)),
    "attention": nn.TransformerEncoderLayer(4, 2, 8, dropout=0.5, batch_first=True),
}


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_those_of_the_model_in_float64(name):
    model, x = MODELS[name], torch.randn(5, 4)
    found, truth = ran(model, x), exact(model, x)
    assert len(found) == len(truth)
    for own, other in zip(found, truth, strict=True):
        assert own.dtype == torch.float64
        torch.testing.assert_close(own, other.double(), rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Dropout2d(0.5),
        nn.Dropout2d(0.5, inplace=True),
        nn.FeatureAlphaDropout(0.5),
        nn.FeatureAlphaDropout(0.5, inplace=True),
        nn.AlphaDropout(0.5, inplace=True),
    ],
    ids=str,
)
def test_dropout_of_channels_is_off(layer):
    model, x = nn.Sequential(nn.Conv2d(2, 8, 1), layer), torch.randn(2, 2, 3, 3)
    torch.testing.assert_close(ran(model, x)[0], exact(model, x)[0], rtol=EXACT, atol=EXACT)


@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_dropout_between_recurrent_layers_is_off():
    model = With(lambda m, x: m.a(x)[0], a=nn.LSTM(4, 3, num_layers=2, dropout=0.5))
    x = torch.randn(5, 2, 4)
    torch.testing.assert_close(ran(model, x)[0], exact(model, x)[0], rtol=EXACT, atol=EXACT)


def test_tensors_that_are_made_without_a_type_are_float64():
    model = With(lambda m, x: m.a(torch.zeros(5, 4)) + x, a=linear())
    x = torch.randn(5, 4)
    expected = model.a.bias.double() + x.double()
    torch.testing.assert_close(ran(model, x)[0], expected.detach(), rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("x", [torch.ones(2, 4), -torch.ones(2, 4)], ids=["true", "false"])
def test_branches_are_taken_as_the_model_takes_them(x):
    def function(m, x):
        return torch.cond(x.sum() > 0, lambda x: m.a(x), lambda x: m.a(x).sin(), (x,))

    model = With(function, a=linear())
    y = exact(model.a, x)[0]
    expected = y if x[0, 0] > 0 else y.sin()
    torch.testing.assert_close(ran(model, x)[0], expected, rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Embedding(5, 3, padding_idx=0),
        nn.EmbeddingBag(5, 3, mode="sum"),
        nn.EmbeddingBag(5, 3, mode="sum", padding_idx=0),
        nn.EmbeddingBag(5, 3, mode="mean", padding_idx=2),
    ],
    ids=str,
)
def test_embeddings_with_padding(layer):
    with torch.no_grad():
        layer.weight.normal_()
    assert torch.equal(ran(layer, NUMBERS)[0], exact(layer, NUMBERS)[0])


def test_the_row_of_the_padding_has_its_gradient():
    model = nn.Embedding(5, 3, padding_idx=0)
    own = parameters(model, grad=True)
    running(traced(model, NUMBERS))(own, NUMBERS)[0].sum().backward()
    counts = torch.bincount(NUMBERS.flatten(), minlength=5).double()
    assert torch.equal(own["weight"].grad, counts[:, None].expand(5, 3))


def detached(m, x):
    return m.a(x).detach().sin() + m.a(x)


def detached_in_place(m, x):
    return m.a(x).clone().detach_().sin() + m.a(x)


@pytest.mark.parametrize("forward", [without_gradient, detached, detached_in_place])
def test_gradients_are_those_of_the_function(forward):
    model = With(forward, a=linear())
    x = torch.randn(5, 4)
    own = parameters(model, grad=True)
    truth = reference(With(lambda m, x: m.a(x).sin() + m.a(x), a=model.a))
    running(traced(model, x))(own, x)[0].square().sum().backward()
    truth(x.double()).square().sum().backward()
    for name, parameter in truth.named_parameters():
        torch.testing.assert_close(own[name].grad, parameter.grad, rtol=EXACT, atol=EXACT)


def in_place_without_gradient(m, x):
    """A power iteration, as the parametrisation of spectral norms has it."""
    with torch.no_grad():
        left = F.normalize(m.a.weight @ m.b, dim=0, eps=1e-12, out=m.c)
        norm = left.norm().clamp_min_(1e-12)
        left = left.div_(norm)
    return m.a(x) / (left @ m.a.weight @ m.b)


def read_under_its_old_name(m, x):
    with torch.no_grad():
        torch.mul(m.a.weight[:, 0], 2.0, out=m.c)
        part = m.c[:2].add_(1.0)
    return m.a(x) * m.c + part.sum()


@pytest.mark.parametrize("forward", [in_place_without_gradient, read_under_its_old_name])
def test_what_is_written_in_place_is_differentiated_rightly(forward):
    torch.manual_seed(0)
    model = With(forward, a=linear(), b=torch.randn(4), c=torch.randn(4))
    x = torch.randn(3, 4)
    outputs = running(traced(model, x))
    own = parameters(model)

    def loss(weight):
        return outputs(own | {"a.weight": weight}, x)[0].sin().sum()

    assert torch.autograd.gradcheck(loss, own["a.weight"].requires_grad_())


def test_tied_parameters_are_read_by_their_names():
    model = nn.Sequential(linear(), nn.Tanh(), linear())
    model[2].weight = model[0].weight
    x = torch.randn(5, 4)
    torch.testing.assert_close(ran(model, x)[0], exact(model, x)[0], rtol=EXACT, atol=EXACT)


def test_buffers_are_not_outputs_and_stay_as_they_were():
    model = nn.Sequential(linear(), nn.BatchNorm1d(4))
    x = torch.randn(5, 4)
    program = traced(model, x)
    before = {name: b.clone() for name, b in model.named_buffers()}
    run = running(program)
    first, second = (run(parameters(model), x) for _ in range(2))
    assert len(first) == 1
    assert torch.equal(first[0], second[0])
    for name, buffer in before.items():
        assert torch.equal(program.state_dict[name], buffer)
        assert torch.equal(model.get_buffer(name), buffer)


def test_only_real_outputs_are_returned():
    model = With(lambda m, x: (x.argmax(-1), m.a(x), x > 0), a=linear())
    x = torch.randn(5, 4)
    found = ran(model, x)
    assert [own.dtype for own in found] == [torch.float64]
    torch.testing.assert_close(found[0], exact(model, x)[1], rtol=EXACT, atol=EXACT)


def rsqrt(m, x):
    y = m.a(x)
    return y * torch.rsqrt(y.square().mean(-1, keepdim=True) + 1e-6)


def weighted(layer):
    return nn.Sequential(nn.Linear(4, 4, bias=False), layer)


def function(f):
    return With(lambda m, x: f(m.a(x)), a=nn.Linear(4, 4, bias=False))


SMALL = 2.0**-20  # powers of two are exact
INVARIANT = {
    "batch norm": weighted(nn.BatchNorm1d(4)),
    "layer norm": weighted(nn.LayerNorm(4)),
    "group norm": weighted(nn.GroupNorm(2, 4)),
    "instance norm": With(
        lambda m, x: m.n(m.a(x).unflatten(0, (1, 5))),
        a=nn.Linear(4, 4, bias=False),
        n=nn.InstanceNorm1d(5),
    ),
    "rms norm": weighted(nn.RMSNorm(4, eps=1e-6)),
    "rms norm, its own default": weighted(nn.RMSNorm(4)),
    "by hand": With(rsqrt, a=nn.Linear(4, 4, bias=False)),
    "added in place": function(lambda y: y / y.norm(dim=-1, keepdim=True).add_(1e-6)),
    "clamped": function(lambda y: F.normalize(y, dim=-1, eps=1e-4)),
    "clamped by name": function(lambda y: y / y.norm(dim=-1, keepdim=True).clamp(min=1e-3)),
    "clipped": function(lambda y: y / y.norm(dim=-1, keepdim=True).clip(min=1e-3)),
    "cosine": function(lambda y: F.cosine_similarity(y, y.roll(1, 0), eps=1e-4)),
}


@pytest.mark.parametrize("name", INVARIANT)
def test_without_its_epsilon_a_normalised_weight_has_no_scale(name):
    torch.manual_seed(0)  # two nearly equal numbers in a group would cancel their digits
    model, x = INVARIANT[name], torch.randn(5, 4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    program, full = traced(model, x), parameters(model)
    first = next(iter(full))
    small = full | {first: full[first] * SMALL}
    ideal, own = (running(program, own_epsilon=kept) for kept in (False, True))
    still, moved = ((run(small, x)[0] - run(full, x)[0]).abs().max() for run in (ideal, own))
    assert float(still) < EXACT
    assert float(moved) > 1e-4


@pytest.mark.parametrize(("constant", "kept"), [(1e-3, 0.0), (2e-3, 2e-3), (-1e-3, -1e-3)])
def test_only_small_positive_constants_are_epsilons(constant, kept):
    model, x = With(lambda m, x: 1 / (m.a(x).abs() + constant), a=linear()), torch.randn(5, 4)
    plain = double(With(lambda m, x: m.a(x).abs(), a=model.a).double()(x.double()))
    found = running(traced(model.float(), x), own_epsilon=False)(parameters(model), x)[0]
    torch.testing.assert_close(found, 1 / (plain + kept), rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("after", [lambda y: y, lambda y: y * 2, lambda y: y / (y + 1).exp()])
def test_small_constants_that_nothing_is_divided_by_stay(after):
    model, x = With(lambda m, x: after(m.a(x) + 1e-3), a=linear()), torch.randn(5, 4)
    plain = double(With(lambda m, x: m.a(x), a=model.a).double()(x.double()))
    found = running(traced(model.float(), x), own_epsilon=False)(parameters(model), x)[0]
    torch.testing.assert_close(found, after(plain + 1e-3), rtol=EXACT, atol=EXACT)


def test_double_copies():
    for value in (torch.ones(2), torch.ones(2, dtype=torch.float64), torch.ones(2).half()):
        own = double(value)
        assert own.dtype == torch.float64
        assert own.data_ptr() != value.data_ptr()
    whole = torch.arange(3)
    assert double(whole).dtype == torch.int64
    assert double(whole).data_ptr() != whole.data_ptr()
    assert double("text") == "text"
    assert double(True) is True
    assert double(None) is None
