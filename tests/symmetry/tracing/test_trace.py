"""Which tracer is used, and what it is worth."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from etaeff import audit


class Net(nn.Module):
    """Linear, Batch Normalization, ReLU, and what a test does before the last layer."""

    def __init__(self, step):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.norm, self.head, self.step = (
            nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2), step,
        )  # fmt: skip

    def forward(self, x):
        return self.head(self.step(F.relu(self.norm(self.a(x)))))


def branch(y):
    return 2 * y if y.sum() > 0 else -y


def through_numpy(y):
    """The sum is a number to torch; times y it is of degree two."""
    return branch(y) * float(y.detach().numpy().sum())


def symmetries(found):
    return {tuple(sorted(s.exponents.items())) for s in found.symmetries if s.kind != "homogeneous"}


def proved(found):
    return [s.proved for s in found.symmetries if s.kind != "homogeneous"]


X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))


def test_what_can_be_exported_is_and_says_nothing():
    found = audit(Net(lambda y: 2 * y), (X,))
    assert (found.tracer, found.notes) == ("torch.export", ())


def test_a_branch_is_logged_and_proved_on_its_path():
    found, plain = audit(Net(branch), (X,)), audit(Net(lambda y: 2 * y), (X,))
    assert found.tracer == "dispatch log"
    assert "the path through the model that these inputs took" in " ".join(found.notes)
    assert symmetries(found) == symmetries(plain)
    assert all(proved(found))
    assert found.effect_of_decay("a.weight") == plain.effect_of_decay("a.weight")


def test_a_number_that_left_torch_is_noticed():
    found = audit(Net(through_numpy), (X,))
    assert found.tracer == "none"
    assert "at other weights it does not do what the model does" in " ".join(found.notes)
    head = ("head.weight", -2), ("norm.bias", 1), ("norm.weight", 1)  # y times its own sum
    assert symmetries(found) == {(("a.weight", 1),), (("a.bias", 1),), head}
    assert not any(proved(found))
    assert found.parameters["a.bias"].effect == "does nothing (inert)"


@pytest.mark.parametrize(
    ("name", "norm"), [("0.weight", "BatchNorm1d `1`"), ("3.weight", "LayerNorm `4`")]
)
def test_sentences_name_the_normalisation_behind(name, norm):
    layers = [nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 5, bias=False)]
    found = audit(nn.Sequential(*layers, nn.LayerNorm(5), nn.Linear(5, 2)), (X,))
    sentence = found.effect_of_decay(name)
    assert sentence == f"Decay sets the effective learning rate: it feeds {norm}."


class Fused(nn.Module):
    """Queries, keys and values from one matrix; queries and keys are normalised head by head."""

    def __init__(self, dim=8, heads=2):
        super().__init__()
        self.heads, size = heads, dim // heads
        self.qkv, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim)
        self.q_norm, self.k_norm = nn.LayerNorm(size), nn.LayerNorm(size)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(self.q_norm(q), self.k_norm(k), v)
        return self.out(y.transpose(1, 2).flatten(-2))


def test_parts_of_a_fused_matrix_are_told():
    found = audit(Fused(), (torch.randn(2, 5, 8),))
    assert not any(b.names == ("qkv.weight",) for b in found.blocks)
    (note,) = [n for n in found.notes if "qkv.weight" in n]
    assert "`qkv.weight`, 4 of 6 equal pieces along axis 0 (0 to 3)" in note
