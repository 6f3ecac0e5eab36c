"""What torch.export does not follow: branches, indices that depend on data, gradients inside."""

import random
from functools import partial
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vmap

from field._model import Built, FieldModel, simple

INDEXED: Final = "boolean indexing"
DROPPED: Final = "functional dropout beside a branch"
TIED: Final = "tied weights without a trace"
FORCES: Final = "gradients inside"
SPECIAL: Final = "vmap, sparse, max_norm and copies"


class Indexed(nn.Module):
    """Only the rows that a mask chooses are used."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.a, self.n, self.h, self.way = nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 2), way

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        chosen = mask > 0.5
        if self.way == "mask":
            return self.h(torch.relu(self.n(self.a(x[chosen]))))
        if self.way == "nonzero":
            return self.h(torch.relu(self.a(x[chosen.nonzero(as_tuple=True)])))
        if self.way == "written":
            y = torch.zeros(*x.shape[:-1], 5)
            y[chosen] = self.n(self.a(x[chosen]))
            return self.h(y)
        return self.h(torch.masked_select(self.a(x), chosen[..., None]).view(-1, 5))


class Pooled(nn.Module):
    """The mean of the rows of each document, whose number depends on data."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.h = nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor, which: Tensor) -> Tensor:
        y = torch.relu(self.a(x))
        return torch.stack([self.h(y[which == i].mean(0)) for i in which.unique()])


class DroppedBranch(nn.Module):
    """Dropout by function where a branch depends on data."""

    def __init__(self, norm: nn.Module, p: float = 0.2) -> None:
        super().__init__()
        self.a, self.n, self.h, self.p = nn.Linear(6, 5), norm, nn.Linear(5, 2), p

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 1e9:
            x = x * 2
        return self.h(F.dropout(torch.relu(self.n(self.a(x))), self.p, self.training))


class DroppedAttention(nn.Module):
    """The same with attention that drops."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(6, 6) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        if not x.isfinite().all():
            x = x.nan_to_num()
        y = F.scaled_dot_product_attention(
            self.q(x), self.k(x), self.v(x), dropout_p=0.1 if self.training else 0.0
        )
        return self.o(y)


class LayerDropped(nn.Module):
    """Layers that torch's chance drops, as a number."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(4))
        self.n, self.h = nn.LayerNorm(6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            if self.training and torch.rand([]).item() < 0.4:
                continue
            x = x + torch.relu(layer(x))
        return self.h(self.n(x))


class TiedBranch(nn.Module):
    """An embedding that is the head, or a layer that is used twice, with a branch on data."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.e, self.n, self.way = nn.Embedding(9, 6), nn.LayerNorm(6), way
        self.layer, self.head = nn.Linear(6, 6), nn.Linear(6, 9, bias=False)
        self.again = self.layer
        if way == "head":
            self.head.weight = self.e.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.e(ids)
        if ids.max() > 100:
            x = x * 2
        return self.head(self.n(torch.relu(self.again(torch.relu(self.layer(x))))))


class Energy(nn.Module):
    """Forces are the gradient of an energy by the positions."""

    def __init__(self, *, norm: bool) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 6), nn.Linear(6, 6), nn.Linear(6, 1, bias=False)
        self.n = nn.LayerNorm(6) if norm else nn.Identity()

    def forward(self, r: Tensor) -> tuple[Tensor, Tensor]:
        r = r.detach().requires_grad_()
        e = self.c(F.silu(self.n(self.b(F.silu(self.a(r)))))).sum(-1)
        (force,) = torch.autograd.grad(e.sum(), r, create_graph=True)
        return e, -force


class Pairs(nn.Module):
    """An energy of distances with a cutoff, and its forces alone."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 1)
        self.register_buffer("centres", torch.linspace(0, 2, 4))

    def forward(self, r: Tensor) -> Tensor:
        r = r.detach().requires_grad_()
        i, j = torch.triu_indices(len(r), len(r), 1)
        d = (r[i] - r[j]).norm(dim=-1)
        basis = torch.exp(-((d[:, None] - self.centres) ** 2))
        e = self.b(torch.relu(self.a(basis))).sum()
        return -torch.autograd.grad(e, r, create_graph=True)[0]


class Potential(nn.Module):
    """A gradient by `torch.func` of a potential by its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return vmap(grad(lambda v: self.b(torch.tanh(self.a(v))).squeeze()))(x)


class Jacobian(nn.Module):
    """The logarithm of the determinant of a flow's derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        step = lambda v: v + 0.1 * self.b(torch.tanh(self.a(v)))  # noqa: E731
        return torch.linalg.slogdet(vmap(jacrev(step))(x)).logabsdet


class Mapped(nn.Module):
    """A layer by vmap over the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n, self.b = nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return vmap(lambda v: self.b(torch.relu(self.n(self.a(v)))))(x)


class Ensemble(nn.Module):
    """Three networks whose weights are stacked, called by `functional_call`."""

    def __init__(self) -> None:
        super().__init__()
        base = [nn.Linear(6, 5, device="meta")]
        object.__setattr__(self, "base", base[0])
        self.weight, self.bias = nn.Parameter(torch.randn(3, 5, 6)), nn.Parameter(torch.randn(3, 5))
        self.h = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        def one(weight: Tensor, bias: Tensor) -> Tensor:
            return functional_call(self.base, {"weight": weight, "bias": bias}, (x,))

        return self.h(torch.relu(vmap(one)(self.weight, self.bias)).mean(0))


class Sparse(nn.Module):
    """A graph's sparse matrix times rows."""

    def __init__(self, *, norm: bool) -> None:
        super().__init__()
        self.a, self.h = nn.Linear(6, 5), nn.Linear(5, 2)
        self.n = nn.LayerNorm(5) if norm else nn.Identity()
        edges = torch.tensor([[0, 1, 2, 3, 3], [1, 2, 3, 0, 1]])
        matrix = torch.sparse_coo_tensor(edges, torch.rand(5) + 0.1, (4, 4)).coalesce()
        self.register_buffer("index", matrix.indices())
        self.register_buffer("values", matrix.values())

    def forward(self, x: Tensor) -> Tensor:
        graph = torch.sparse_coo_tensor(self.index, self.values, (4, 4))
        return self.h(torch.relu(self.n(torch.sparse.mm(graph, self.a(x)))))


class Scattered(nn.Module):
    """Messages along edges, summed by index."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.score, self.h = nn.Linear(6, 5), nn.Linear(5, 1), nn.Linear(5, 2)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        y = self.a(x)
        score = F.leaky_relu(self.score(y[edges[0]] + y[edges[1]])).exp()
        total = torch.zeros(len(x), 1).index_add(0, edges[1], score)
        messages = y[edges[0]] * score / (total[edges[1]] + 1e-9)
        return self.h(torch.zeros_like(y).scatter_add(0, edges[1:].T.expand(-1, 5), messages))


class MaxNorm(nn.Module):
    """An embedding whose rows are cut to a norm before they are read."""

    def __init__(self) -> None:
        super().__init__()
        self.e, self.h = nn.Embedding(9, 6, max_norm=0.5), nn.Linear(6, 2)

    def forward(self, ids: Tensor) -> Tensor:
        return self.h(torch.relu(self.e(ids)))


class Constrained(nn.Module):
    """A weight that is brought back to a ball in each forward pass."""

    def __init__(self, *, sphere: bool) -> None:
        super().__init__()
        self.w, self.h, self.sphere = nn.Parameter(torch.randn(5, 6)), nn.Linear(5, 2), sphere

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            norms = self.w.norm(dim=1, keepdim=True)
            self.w.copy_(self.w / norms if self.sphere else self.w / norms.clamp(min=1.0))
        return self.h(torch.relu(x @ self.w.T))


class Rebuilt(nn.Module):
    """A while loop over data, and a list of outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n, self.h = nn.Linear(6, 6), nn.LayerNorm(6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs, steps = [], 0
        while steps < 3 and float(x.abs().mean()) < 1e6:
            x, steps = x + torch.relu(self.a(self.n(x))), steps + 1
            outputs.append(self.h(self.n(x)))
        return outputs


class Nested(nn.Module):
    """Sequences of several lengths, packed for a recurrent network."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.r, self.h = nn.Linear(3, 4), nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(
            torch.relu(self.a(x)), lengths, batch_first=True, enforce_sorted=False
        )
        return self.h(self.r(packed)[1][0][-1])


class Teacher(nn.Module):
    """Scheduled sampling: what was said before is the truth or the model's own, by Python."""

    def __init__(self) -> None:
        super().__init__()
        self.e, self.r, self.h = nn.Embedding(7, 5), nn.GRUCell(5, 6), nn.Linear(6, 7)

    def forward(self, ids: Tensor) -> Tensor:
        state, word, said = torch.zeros(len(ids), 6), ids[:, 0], []
        for step in range(ids.shape[1]):
            state = self.r(self.e(word), state)
            said.append(self.h(state))
            word = ids[:, step] if random.random() < 0.5 else said[-1].argmax(-1)
        return torch.stack(said, 1)


def _masked(way: str) -> Built:
    """A model of some rows, and which they are."""
    return Indexed(way), (torch.randn(3, 6, 6), (torch.rand(3, 6) > 0.4).to(torch.float32)), {}


def _with(build: Any, *inputs: Any) -> Built:
    """A model with inputs that are made then: shapes of normal ones, or functions."""
    made = [torch.randn(*i) if isinstance(i, tuple) else i() for i in inputs]
    return build(), tuple(made), {}


def _model(kind: str, name: str, build: Any, *inputs: Any) -> FieldModel:
    """A model of such inputs."""
    return FieldModel(name, kind, partial(_with, build, *inputs))


def _ids(number: int = 9) -> Tensor:
    """Tokens."""
    return torch.randint(0, number, (3, 5))


MODELS: Final[tuple[FieldModel, ...]] = (
    *(FieldModel(f"rows by {way}", INDEXED, partial(_masked, way))
      for way in ("mask", "nonzero", "written", "select")),
    _model(INDEXED, "means of documents", Pooled, (8, 6),
           lambda: torch.tensor([0, 0, 1, 1, 1, 2, 2, 3])),
    simple(DROPPED, "dropout, batch norm, branch",
           lambda: DroppedBranch(nn.BatchNorm1d(5)), (8, 6)),
    simple(DROPPED, "dropout, layer norm, branch", lambda: DroppedBranch(nn.LayerNorm(5)), (8, 6)),
    simple(DROPPED, "dropout alone, branch", lambda: DroppedBranch(nn.Identity(), 0.5), (8, 6)),
    simple(DROPPED, "dropout in attention, branch", DroppedAttention, (3, 5, 6)),
    simple(DROPPED, "layers dropped by torch", LayerDropped, (4, 6)),
    _model(TIED, "tied head, branch", lambda: TiedBranch("head"), _ids),
    _model(TIED, "layer used twice, branch", lambda: TiedBranch("layer"), _ids),
    simple(FORCES, "energy and forces", lambda: Energy(norm=False), (5, 3)),
    simple(FORCES, "energy and forces, norm", lambda: Energy(norm=True), (5, 3)),
    simple(FORCES, "forces of pairs", Pairs, (5, 3)),
    simple(FORCES, "gradient by torch.func", Potential, (5, 4)),
    simple(FORCES, "determinant of a flow", Jacobian, (5, 3)),
    simple(SPECIAL, "vmap over rows", Mapped, (5, 6)),
    simple(SPECIAL, "ensemble by functional_call", Ensemble, (5, 6)),
    simple(SPECIAL, "sparse matrix", lambda: Sparse(norm=False), (4, 6)),
    simple(SPECIAL, "sparse matrix, norm", lambda: Sparse(norm=True), (4, 6)),
    _model(SPECIAL, "attention of a graph", Scattered, (5, 6),
           lambda: torch.tensor([[0, 1, 2, 3, 4, 0, 2], [1, 2, 3, 4, 0, 2, 0]])),
    _model(SPECIAL, "embedding with max_norm", MaxNorm, _ids),
    simple(SPECIAL, "weight copied to a sphere", lambda: Constrained(sphere=True), (8, 6)),
    simple(SPECIAL, "weight copied to a ball", lambda: Constrained(sphere=False), (8, 6)),
    simple(SPECIAL, "loop over data", Rebuilt, (4, 6)),
    _model(SPECIAL, "packed sequences", Nested, (3, 4, 3), lambda: torch.tensor([4, 2, 3])),
    _model(SPECIAL, "scheduled sampling", Teacher, lambda: _ids(7)),
)  # fmt: skip
