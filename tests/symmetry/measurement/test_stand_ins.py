"""Operators that torch does not have in float64, against torch's own in float32."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from etaeff import audit
from etaeff.symmetry._measurement._stand_ins import STAND_INS

GROUPS = {
    "rows": ((8, 16), (3, 16, 16)),
    "columns": ((3, 16, 16), (16, 8)),
    "what is summed over": ((16, 8), (8, 16)),
}


@pytest.mark.parametrize("kind", GROUPS)
def test_grouped_products_in_float64_are_those_of_torch(kind):
    torch.manual_seed(0)
    left, right = (torch.randn(shape) for shape in GROUPS[kind])
    ends = torch.tensor([2, 2, 8], dtype=torch.int32)
    found = STAND_INS["_grouped_mm"](left.double(), right.double(), ends)
    expected = torch._grouped_mm(left, right, ends)
    torch.testing.assert_close(found.float(), expected, rtol=1e-5, atol=1e-5)


def test_products_of_one_group_for_each_matrix_are_those_of_matmul():
    left, right = torch.randn(3, 4, 5), torch.randn(3, 5, 6)
    assert torch.equal(STAND_INS["_grouped_mm"](left, right), left @ right)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_cosine_loss_is_that_of_torch_and_blind_to_any_scale(reduction):
    torch.manual_seed(0)
    left, right = torch.randn(2, 8, 4, dtype=torch.float64)
    target = torch.tensor([1, -1] * 4)
    kind = ["none", "mean", "sum"].index(reduction)
    stand_in = STAND_INS["cosine_embedding_loss"]
    found = stand_in(left, right, target, 0.1, kind)
    expected = F.cosine_embedding_loss(left, right, target, 0.1, reduction=reduction)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(stand_in(2.0**-30 * left, right, target, 0.1, kind), found)


def test_the_stand_ins_measure_a_loss_of_cosines_without_its_epsilon():
    torch.manual_seed(0)
    model = Cosine()
    found = audit(model, (torch.randn(8, 6), torch.randn(8, 6)))
    assert found.rank == 1
    assert not found.notes


class Cosine(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, a, b):
        return F.cosine_embedding_loss(1e-4 * self.layer(a), self.layer(b), torch.ones(len(a)))


def test_a_mixture_of_experts_is_proved_measured_and_compared_in_its_default_call():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.MixtralConfig(
        vocab_size=11,
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_local_experts=3,
    )
    found = audit(transformers.MixtralForCausalLM(config), (torch.randint(11, (2, 6)),))
    assert found.rank == 10
    assert all(symmetry.proved for symmetry in found.symmetries)
    assert not [note for note in found.notes if note.kind.is_doubt]
