"""Models whose own code is run in float64, and what a log of taken-apart operators shows."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from etaeff import audit
from etaeff.symmetry._measurement._eager import Eager
from etaeff.symmetry._measurement._weights import Lazy, Weights

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """A linear map, what a test does, and another."""

    def __init__(self, step=lambda y: y, norm=None):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.step = nn.Linear(4, 5), nn.Linear(5, 2), step
        self.norm = nn.Identity() if norm is None else norm

    def forward(self, x):
        return self.b(self.step(self.norm(self.a(x))))


def weights_of(model, kind=torch.float64):
    return {
        name: Lazy(lambda p=p: p.detach().to(kind).clone().requires_grad_())
        for name, p in model.named_parameters()
    }


def run(model, inputs, **options):
    return Eager(model, inputs, {}, **options)(weights_of(model), list(inputs))


STEPS = {
    "dropout": lambda y: F.dropout(y, 0.5),
    "dropout of channels": lambda y: F.dropout1d(y[None], 0.5)[0],
    "alpha dropout": lambda y: F.alpha_dropout(y, 0.5, training=True),
    "slopes": lambda y: F.rrelu(y, 0.1, 0.9, training=True) - F.leaky_relu(y, 0.5) + y,
    "coins": lambda y: y * torch.bernoulli(y.detach(), 0.3),
    "coins in place": lambda y: y * torch.empty_like(y).bernoulli_(0.3),
    "a branch dropped": lambda y: y * (0.3 + torch.rand(6, 1)).floor_(),
    "narrow numbers": lambda y: y.float().half().to(torch.bfloat16).type_as(y),
    "attention": lambda y: F.scaled_dot_product_attention(
        y[None], y[None], y[None] * 1.0, dropout_p=0.9
    )[0].mul(0) + y,
}  # fmt: skip


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_chance_is_off_and_nothing_is_rounded(step):
    (found,) = run(Net(step), (X,))
    (expected,) = run(Net(), (X,))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)


NORMS = {
    "layer norm": lambda y: F.layer_norm(y, (5,), eps=1e-2),
    "batch norm": lambda y: F.batch_norm(y, None, None, training=True, eps=1e-2),
    "group norm": lambda y: F.group_norm(y, 1, eps=1e-2),
    "rms norm": lambda y: F.rms_norm(y, (5,)),
    "by position": lambda y: torch.layer_norm(y, (5,), None, None, 1e-2),
    "normalize": lambda y: F.normalize(y, eps=1e-2),
}


@pytest.mark.parametrize("step", NORMS.values(), ids=NORMS)
def test_the_epsilon_of_functions_is_taken_away_or_kept(step):
    model = Net(step)
    small = {n: Lazy(lambda p=p: p.detach().double() * 1e-6) for n, p in model.named_parameters()}
    large = {n: Lazy(lambda p=p: p.detach().double()) for n, p in model.named_parameters()}
    small["b.weight"], small["b.bias"] = large["b.weight"], large["b.bias"]
    ideal = Eager(model, (X,), {})
    torch.testing.assert_close(ideal(small, [X])[0], ideal(large, [X])[0], rtol=1e-9, atol=1e-9)
    own = Eager(model, (X,), {}, own_epsilon=True)
    assert not torch.allclose(own(small, [X])[0], own(large, [X])[0], rtol=1e-3)


def test_recurrent_layers_drop_nothing():
    model = nn.LSTM(4, 3, num_layers=2, dropout=0.9)
    once, again = (run(model, (X[:, None],))[0] for _ in range(2))
    assert torch.equal(once, again)


def test_the_model_is_as_it_was_and_holds_no_copy():
    model = Net(norm=nn.BatchNorm1d(5))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run(model, (X,))
    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert model.norm.eps == 1e-5


def test_tied_weights_have_one_gradient():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
            self.head.weight = self.table.weight

        def forward(self, i):
            y = self.table(i)
            return self.head(y if float(y.detach().numpy().sum()) < 1e9 else -y)

    model, i = Tied(), torch.arange(5)
    weight = model.table.weight.detach().double().requires_grad_()
    names = ("table.weight", "head.weight")
    (found,) = Eager(model, (i,), {})(dict.fromkeys(names, Lazy(lambda: weight)), [i])
    found.square().sum().backward()
    leaf = weight.detach().clone().requires_grad_()
    (leaf[i] @ leaf.T).square().sum().backward()
    torch.testing.assert_close(weight.grad, leaf.grad)


class Forces(nn.Module):
    """Minus the gradient of an energy by the positions."""

    def __init__(self, function=F.softplus):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.function = nn.Linear(3, 8), nn.Linear(8, 1), function

    def forward(self, x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            energy = self.b(self.function(self.a(x))).sum()
            return -torch.autograd.grad(energy, x, create_graph=True)[0]


def test_gradients_through_gradients_are_those_of_autograd():
    model, x = Forces(), torch.randn(5, 3)
    given = Weights(dict(model.named_parameters()), torch.Generator().manual_seed(0))
    plain = {n: given.value(n).clone().requires_grad_() for n, _ in model.named_parameters()}
    lazy = {name: given.lazy(name) for name in plain}
    with torch.autograd.graph.saved_tensors_hooks(given.pack, given.unpack):
        (found,) = Eager(model, (x,), {})(lazy, [x])
    found.pow(3).sum().backward()
    expected = torch.func.functional_call(model.double(), plain, (x.double(),))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    expected.pow(3).sum().backward()
    sums = given.sums()
    for name, leaf in plain.items():
        inner = 0.0 if leaf.grad is None else float((leaf.detach() * leaf.grad).sum())
        assert float(sums[name][0][0].sum()) == pytest.approx(inner, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("function", "expected"),
    [(F.relu, {"a.weight": 1, "b.weight": -1}), (lambda y: F.relu(y) ** 2, None), (F.tanh, None)],
)
def test_a_force_field_is_traced(function, expected):
    found = audit(Forces(function), (torch.randn(5, 3),))
    assert found.tracer == "dispatch log"
    others = [dict(s.exponents) for s in found.symmetries if s.kind == "rescaling"]
    if expected is not None:
        assert expected in [{k: v for k, v in s.items() if k in expected} for s in others]
    for exponents in others:  # each is tried by hand
        model, x = Forces(function).double(), torch.randn(5, 3, dtype=torch.float64)
        before = model(x)
        with torch.no_grad():
            for name, power in exponents.items():
                model.get_parameter(name).mul_(2.0 ** float(power))
        torch.testing.assert_close(model(x), before, rtol=1e-12, atol=1e-12)
