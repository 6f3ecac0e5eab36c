"""Every rule against torch's own step: from weights of zero with a rate of −1 it gives d itself."""

import copy

import pytest
import torch
from torch.nn import Parameter

from etaeff.optim.rules import ADAM, LION, MUON, SGD
from etaeff.optim.rules.muon import orthogonalized, shape_factor

GROUPS = {
    "sgd": (SGD, torch.optim.SGD, {}),
    "momentum": (SGD, torch.optim.SGD, {"momentum": 0.9}),
    "dampening": (SGD, torch.optim.SGD, {"momentum": 0.9, "dampening": 0.3}),
    "nesterov": (SGD, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "adam": (ADAM, torch.optim.AdamW, {"betas": (0.8, 0.95), "eps": 1e-3}),
    "amsgrad": (ADAM, torch.optim.AdamW, {"betas": (0.8, 0.9), "amsgrad": True}),
    "muon": (MUON, torch.optim.Muon, {"ns_steps": 3}),
    "muon plain": (MUON, torch.optim.Muon, {"nesterov": False}),
    "muon as adamw": (MUON, torch.optim.Muon, {"adjust_lr_fn": "match_rms_adamw"}),
}


def gradients(steps=6, shape=(5, 3)):
    source = torch.Generator().manual_seed(0)
    # The last one is small: a maximum of second moments then differs from the moment.
    sizes = torch.linspace(2, 0.01, steps, dtype=torch.float64)
    return [torch.randn(shape, generator=source, dtype=torch.float64) * size for size in sizes]


@pytest.mark.parametrize(("rule", "free", "kwargs"), GROUPS.values(), ids=GROUPS)
def test_a_direction_is_torch_s_step(rule, free, kwargs):
    weight = Parameter(torch.zeros(5, 3, dtype=torch.float64))
    optimizer = free([weight], lr=1.0, weight_decay=0.0, **kwargs)
    group = optimizer.param_groups[0] | {"second_moment": "entry"}
    state = rule.begin(weight.detach(), torch.float64, group)
    for gradient in gradients():
        before = gradient.clone()
        with torch.no_grad():
            weight.zero_()
        weight.grad = gradient.clone()
        optimizer.step()
        direction = rule.direction(gradient, state, group)
        torch.testing.assert_close(direction, -weight.detach(), rtol=1e-12, atol=1e-15)
        assert torch.equal(gradient, before)
    theirs = optimizer.state[weight]
    assert state.keys() == theirs.keys()
    for key, value in theirs.items():
        torch.testing.assert_close(state[key], value, rtol=1e-12, atol=1e-15)


def test_lion_is_its_formula():
    group = {"betas": (0.8, 0.95)}
    weight = torch.zeros(5, 3, dtype=torch.float64)
    state, m = LION.begin(weight, torch.float64, group), torch.zeros_like(weight)
    for gradient in gradients():
        expected = torch.sign(0.8 * m + 0.2 * gradient)
        m = 0.95 * m + 0.05 * gradient
        assert torch.equal(LION.direction(gradient, state, group), expected)
        torch.testing.assert_close(state["exp_avg"], m, rtol=1e-12, atol=0)


def test_adam_by_piece_is_its_formula():
    from etaeff.geometry import Shard

    group = {
        "betas": (0.8, 0.9), "eps": 1e-3, "second_moment": "block", "capturable": False,
        "fused": None,
    }  # fmt: skip
    weight = torch.zeros(6, 3, dtype=torch.float64)
    assert ADAM.uses_squares(group)
    state = ADAM.begin_by_piece(weight, torch.float64, group, 2)
    m, v = torch.zeros_like(weight), torch.zeros(2, dtype=torch.float64)
    for t, gradient in enumerate(gradients(shape=(6, 3)), 1):
        mean_square = gradient.reshape(2, 9).square().mean(1)
        m, v = 0.8 * m + 0.2 * gradient, 0.9 * v + 0.1 * mean_square
        size = (v / (1 - 0.9**t)).sqrt() + 1e-3
        expected = (m / (1 - 0.8**t)).reshape(2, 9) / size[:, None]
        shard = Shard(weight, 0, 2)
        d = ADAM.direction_by_piece(gradient, state, group, shard, mean_square)
        torch.testing.assert_close(d, expected.reshape(6, 3), rtol=1e-5, atol=0)  # step in float32
    kept = copy.deepcopy(state)
    assert ADAM.direction_by_piece(None, state, group, shard, mean_square) is None
    assert state["step"] == kept["step"] + 1
    assert torch.equal(state["exp_avg"], kept["exp_avg"])
    torch.testing.assert_close(state["exp_avg_sq"], 0.9 * v + 0.1 * mean_square)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (6, 6)])
def test_newton_schulz_brings_singular_values_near_one(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape, dtype=torch.float64)
    found = orthogonalized(matrix, (3.4445, -4.7750, 2.0315), 5, 1e-7).double()
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    polar = u @ v
    assert torch.linalg.svdvals(found).sub(1).abs().max() < 0.35  # the quintic's own spread
    assert torch.nn.functional.cosine_similarity(found.flatten(), polar.flatten(), 0) > 0.97


def test_the_factor_of_a_shape_is_torch_s():
    for name in ("original", None, "match_rms_adamw"):
        for shape in ((8, 2), (2, 8), (3, 3)):
            weight = Parameter(torch.zeros(shape))
            weight.grad = torch.ones(shape)
            torch.optim.Muon([weight], lr=1.0, weight_decay=0.0, adjust_lr_fn=name).step()
            other = Parameter(torch.zeros(shape))
            other.grad = torch.ones(shape)
            torch.optim.Muon([other], lr=1.0, weight_decay=0.0, adjust_lr_fn=None).step()
            factor = shape_factor(shape, {"adjust_lr_fn": name})
            plain = shape_factor(shape, {"adjust_lr_fn": None})
            torch.testing.assert_close(weight / factor, other / plain, rtol=1e-6, atol=0)
