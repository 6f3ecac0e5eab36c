"""Models that use torch in ways that tracers do not follow: audited, and right or not known."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from etaeff import audit

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))


class Mapped(nn.Module):
    """A perceptron for each row, with normalised weights."""

    def __init__(self):
        super().__init__()
        self.w, self.v = nn.Parameter(torch.randn(5, 4)), nn.Parameter(torch.randn(2, 5))

    def forward(self, x):
        return torch.vmap(lambda row: self.v @ F.relu(self.w @ row))(x)


class Sparse(nn.Module):
    """Two steps on a graph of six nodes."""

    def __init__(self, layout):
        super().__init__()
        self.a, self.b = nn.Linear(4, 5, bias=False), nn.Linear(5, 2, bias=False)
        edges = torch.eye(6) + torch.eye(6).roll(1, 0)
        self.edges = edges.to_sparse(layout=layout)

    def forward(self, x):
        return torch.sparse.mm(self.edges, self.b(F.relu(self.edges @ self.a(x))))


class Shortened(nn.Module):
    """A table whose rows have a largest length."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(6, 4, max_norm=0.5)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.table(x[:, 0].abs().long() % 6))


class Normalises(nn.Module):
    """It writes into its weight before it is read."""

    def __init__(self, write):
        super().__init__()
        self.a, self.b, self.write = nn.Linear(4, 5, bias=False), nn.Linear(5, 2), write

    def forward(self, x):
        self.write(self.a.weight)
        return self.b(F.relu(self.a(x)))


@torch.no_grad()
def by_copy(weight):
    weight.copy_(weight / weight.norm())


def by_data(weight):
    weight.data.div_(weight.data.norm())


@torch.no_grad()
def by_rows(weight):
    for row in weight:
        row.div_(row.norm())


class Inner(nn.Module):
    """A step of gradient descent inside."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1, bias=False))

    def forward(self, x):
        weights = dict(self.net.named_parameters())
        call = torch.func.functional_call
        slopes = torch.func.grad(lambda w: call(self.net, w, (x,)).square().mean())(weights)
        return call(self.net, {n: w - 0.1 * slopes[n] for n, w in weights.items()}, (x,))


class Attends(nn.Module):
    """Attention whose scores depend on the distance."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.ModuleList(nn.Linear(8, 8) for _ in range(3)), nn.Linear(8, 2)

    def forward(self, x):
        from torch.nn.attention.flex_attention import flex_attention

        x = F.pad(x, (0, 4)).reshape(1, 1, 6, 8)
        q, k, v = (layer(x) for layer in self.qkv)
        return self.out(flex_attention(q, k, v, lambda s, b, h, i, j: s - (i - j).abs()))


MODELS = {
    "vmap": (Mapped, {"w": 1, "v": -1}),
    "sparse": (lambda: Sparse(torch.sparse_coo), {"a.weight": 1, "b.weight": -1}),
    "sparse rows": (lambda: Sparse(torch.sparse_csr), {"a.weight": 1, "b.weight": -1}),
    "max norm": (Shortened, None),
    "written by copy": (lambda: Normalises(by_copy), {"a.weight": 1}),
    "written by data": (lambda: Normalises(by_data), {"a.weight": 1}),
    "written row by row": (lambda: Normalises(by_rows), None),
    "descent inside": (Inner, None),
    "flex attention": (Attends, {"qkv.2.weight": 1, "qkv.2.bias": 1, "out.weight": -1}),
}


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize(("make", "expected"), MODELS.values(), ids=MODELS)
def test_every_symmetry_is_one_and_those_that_are_known_are_found(make, expected):
    torch.manual_seed(0)
    model = make()
    found = audit(model, (X,))
    symmetries = [dict(s.exponents) for s in found.symmetries if s.kind != "homogeneous"]
    if expected is not None:
        turned = {name: -power for name, power in expected.items()}
        assert expected in symmetries or turned in symmetries
    own = {name: p.detach().clone() for name, p in model.named_parameters()}
    for exponents in symmetries:
        outputs = []
        for factor in (1.0, 2.0, 0.5):
            with torch.no_grad():
                for name, p in model.named_parameters():
                    p.copy_(own[name] * factor ** float(exponents.get(name, 0)))
                outputs.append(model(X).clone())
        for other in outputs[1:]:
            torch.testing.assert_close(other, outputs[0], rtol=1e-3, atol=1e-4)
    assert not [note for note in found.notes if "file an issue" in note or "http" in note]


class Only32(nn.Module):
    """It refuses float64, and scales its output by what a test does."""

    def __init__(self, number):
        super().__init__()
        self.a, self.norm, self.number = nn.Linear(4, 5), nn.LayerNorm(5), number

    def forward(self, x):
        if x.dtype != torch.float32:
            raise TypeError("float32, please")
        return self.norm(self.a(x)) * self.number(self.a.weight)


def test_a_model_that_refuses_float64_is_compared_as_it_is():
    found = audit(Only32(lambda w: float(w.detach().numpy().sum())), (X,))
    assert found.tracer == "none"
    assert not found.symmetries


def test_a_model_that_refuses_float64_is_measured_by_its_graph():
    found = audit(Only32(lambda w: 1 if w.sum() < 1e9 else -1), (X,))
    assert found.tracer == "dispatch log"
    assert [dict(s.exponents) for s in found.symmetries if s.kind != "homogeneous"] == [
        {"a.weight": 1, "a.bias": 1}
    ]


def by_numpy(model):
    model.forward = lambda x: torch.from_numpy(x.numpy() @ model.weight.detach().numpy().T)
    return model


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("make", [by_numpy, torch.jit.script], ids=["numpy", "script"])
def test_a_model_that_nothing_can_follow_is_not_known_and_not_refused(make):
    found = audit(make(nn.Linear(4, 2)), (X,))
    assert found.tracer == "none"
    assert not found.symmetries
    assert "could not be measured" in " ".join(found.notes)
    assert "not known" in found.effect_of_decay("weight").lower()
