"""Parameters of unusual kinds beside others: what is held, and what is scaled like any other."""

import json

import pytest
import torch
from torch import nn

from etaeff import audit
from etaeff.records.audits import DecayKind
from etaeff.symmetry._held import held_parameters


class Beside(nn.Module):
    """A parameter of any kind between a norm and a head."""

    def __init__(self, value, use=lambda x, p: x, trained=True):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.norm, self.head = nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2)
        self.use = use
        scaled = value.is_floating_point() or value.is_complex()
        self.own = nn.Parameter(value, requires_grad=trained and scaled)

    def forward(self, x):
        return self.head(self.use(self.norm(self.linear(x)), self.own))


# A symmetry each: the linear layer before the norm; the norm against the head.
WITHOUT = {
    ("scale-invariant", (("linear.bias", 1), ("linear.weight", 1))),
    ("rescaling", (("head.weight", -1), ("norm.bias", 1), ("norm.weight", 1))),
}


def batch():
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


def found_in(model, **options):
    """Its symmetries, with an audit that can be printed, saved and given to an optimiser."""
    found = audit(model, (batch(),), **options)
    assert str(found)
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.param_groups(lr=0.1, weight_decay=0.1, mode=None)
    scalings = [s for s in found.symmetries if s.kind != "homogeneous"]
    return {(s.kind, tuple(sorted(s.exponents.items()))) for s in scalings}, found


def masked(value):
    mask = torch.zeros(4)
    mask[2] = value
    return mask


def randn(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=dtype)


HELD = {
    "indices": (torch.tensor([1, 0, 3, 2]), lambda x, p: x[:, p], "requires_grad"),
    "truth": (torch.arange(4) > 0, lambda x, p: torch.where(p, x, 0), "requires_grad"),
    "eight bits": (
        torch.ones(4, 4, dtype=torch.int8), lambda x, p: x @ p.float(), "requires_grad"),
    "not a number": (masked(torch.nan), lambda x, p: x, "NaN or infinity"),
    "infinite": (masked(-torch.inf), lambda x, p: x * p.exp(), "NaN or infinity"),
    "sparse": (torch.eye(4).to_sparse(), lambda x, p: x, "sparse"),
    "expanded": (torch.ones(1, 4).expand(4, 4), lambda x, p: x @ p, "expanded"),
    "four bits": (torch.empty(4, dtype=torch.float4_e2m1fn_x2), lambda x, p: x, "float4"),
}  # fmt: skip


@pytest.mark.parametrize("measure", [True, False])
@pytest.mark.parametrize("name", HELD)
def test_a_parameter_that_has_no_scale_is_held_and_the_others_are_audited(name, measure):
    value, use, reason = HELD[name]
    symmetries, found = found_in(Beside(value, use), measure=measure)
    assert symmetries == WITHOUT
    assert reason in found.parameters["own"].why
    still = reason == "requires_grad"
    assert found.parameters["own"].effect is (DecayKind.FROZEN if still else DecayKind.NOT_KNOWN)
    assert not [n for n in found.notes if "could not be measured" in n]


def test_a_mask_of_infinity_that_is_added_is_a_constant():
    model = Beside(masked(-torch.inf), lambda x, p: (x + p).softmax(-1))
    symmetries, found = found_in(model)
    assert symmetries == {next(s for s in WITHOUT if s[0] == "scale-invariant")}
    assert not [n for n in found.notes if "could not be measured" in n]


COMPLEX = {
    "filters": (randn(4, dtype=torch.cfloat), lambda x, p: (x * p).abs()),
    "a matrix": (randn(4, 4, dtype=torch.cfloat), lambda x, p: (x.to(p.dtype) @ p).real),
    "after a transform": (
        randn(3, dtype=torch.cfloat), lambda x, p: torch.fft.irfft(torch.fft.rfft(x) * p, n=4)),
    "pairs of real numbers": (
        randn(3, 2),
        lambda x, p: torch.fft.irfft(torch.fft.rfft(x) * torch.view_as_complex(p), n=4)),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_parameters_are_scaled_as_real_ones(name):
    value, use = COMPLEX[name]
    symmetries, found = found_in(Beside(value, use))
    assert symmetries == WITHOUT | {("rescaling", (("head.weight", -1), ("own", 1)))}
    assert all(s.proved and s.defect < 1e-12 for s in found.symmetries if s.defect is not None)


def test_a_complex_weight_before_a_norm_is_a_block():
    class Filtered(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.own = nn.Parameter(torch.randn(4, 4, dtype=torch.cfloat))
            self.norm, self.head = nn.BatchNorm1d(4), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.norm((x.to(self.own.dtype) @ self.own).real))

    _, found = found_in(Filtered())
    (block,) = [b for b in found.blocks if "own" in b.names]
    assert (block.names, block.axis, block.count) == (("own",), 1, 4)  # one for each channel


def test_two_objects_in_the_same_memory_are_one_parameter():
    model = Beside(randn(4, 4), lambda x, p: x @ p @ model.other)
    model.other = nn.Parameter(model.own.data)
    symmetries, found = found_in(model)
    assert symmetries == WITHOUT | {("rescaling", (("head.weight", -2), ("own", 1)))}
    assert "other" not in found.parameters
    tied = Beside(randn(4, 4), lambda x, p: x @ p @ tied.other)
    tied.other = tied.own
    assert found_in(tied)[0] == symmetries


PARTS = {
    "rows": (lambda p: p.data[:2], lambda x, p, q: x @ p @ q.T @ q),
    "transposed": (lambda p: p.data.T, lambda x, p, q: x @ p @ q),
    "from the second row": (lambda p: p.data[1:], lambda x, p, q: x @ p @ q.T @ q),
}


@pytest.mark.parametrize("name", PARTS)
def test_parameters_that_share_memory_in_part_are_held(name):
    part, use = PARTS[name]
    model = Beside(randn(4, 4), lambda x, p: use(x, p, model.other))
    model.other = nn.Parameter(part(model.own))
    symmetries, found = found_in(model)
    assert symmetries == WITHOUT
    for one, other in (("own", "other"), ("other", "own")):
        assert f"memory with `{other}`" in found.parameters[one].why


def test_three_parameters_of_which_one_spans_the_others_are_held():
    whole = torch.randn(12)
    tensors = {
        "all": nn.Parameter(whole), "left": nn.Parameter(whole[:4]),
        "right": nn.Parameter(whole[6:10]), "free": nn.Parameter(torch.randn(12)[3:]),
    }  # fmt: skip
    held = held_parameters(tensors)
    assert set(held) == {"all", "left", "right"}
    assert "`all`" in held["left"]
    assert "`all`" in held["right"]
