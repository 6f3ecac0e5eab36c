import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from etaeff.layers import batch_norm, layer_norm, weight_norm

SHAPES = pytest.mark.parametrize("space", [(), (3,), (4, 5)], ids=["flat", "1d", "2d"])
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def random(*shape, seed=0):
    values = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return torch.from_numpy(values).requires_grad_()


def problem(space, examples=7, channels=6):
    """Products, gain, shift, and the gradient that comes from above."""
    x = random(examples, channels, *space)
    gain, shift = random(channels, seed=1), random(channels, seed=2)
    return x, gain, shift, random(examples, channels, *space, seed=3).detach()


def assert_same(ours, theirs, above, our_leaves, their_leaves):
    torch.testing.assert_close(ours, theirs, **EXACT)
    own = torch.autograd.grad(ours, our_leaves, above)
    for mine, other in zip(own, torch.autograd.grad(theirs, their_leaves, above), strict=True):
        torch.testing.assert_close(mine.flatten(), other.flatten(), **EXACT)


def torch_module(module, gain, shift):
    module = module.double()
    module.weight.data.copy_(gain.detach())
    module.bias.data.copy_(shift.detach())
    return module


@SHAPES
@pytest.mark.parametrize("eps", [1e-5, 0.3])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_that_of_torch(space, eps, training):
    x, gain, shift, above = problem(space)
    kind = nn.BatchNorm2d if len(space) == 2 else nn.BatchNorm1d
    theirs = torch_module(kind(6, eps=eps), gain, shift).train(training)
    theirs.running_mean.copy_(random(6, seed=4).detach())
    theirs.running_var.copy_(random(6, seed=5).detach().exp())
    running = (theirs.running_mean.clone(), theirs.running_var.clone())
    before = running[0].clone(), running[1].clone()
    ours = batch_norm(x, gain, shift, eps=eps, running=running, training=training)
    assert_same(ours, theirs(x), above, (x, gain, shift), (x, theirs.weight, theirs.bias))
    torch.testing.assert_close(running, (theirs.running_mean, theirs.running_var), **EXACT)
    assert torch.equal(running[0], before[0]) != training


@SHAPES
def test_batch_norm_is_the_formula_of_the_paper(space):
    x, gain, shift, _ = (v.detach() for v in problem(space))
    axes = [0, *range(2, x.dim())]
    mean = x.mean(axes, keepdim=True)
    std = ((x - mean) ** 2).mean(axes, keepdim=True).add(1e-5).sqrt()
    wide = (1, -1, *[1] * len(space))
    expected = (x - mean) / std * gain.view(wide) + shift.view(wide)
    torch.testing.assert_close(batch_norm(x, gain, shift), expected, **EXACT)


def test_batch_norm_without_running_statistics_uses_the_batch():
    x, gain, shift, _ = problem(())
    theirs = torch_module(nn.BatchNorm1d(6, track_running_stats=False), gain, shift)
    torch.testing.assert_close(batch_norm(x, gain, shift), theirs(x), **EXACT)


@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_layer_norm_is_that_of_torch(eps):
    x, gain, shift, above = problem(())
    theirs = torch_module(nn.LayerNorm(6, eps=eps), gain, shift)
    ours = layer_norm(x, gain, shift, eps=eps)
    assert_same(ours, theirs(x), above, (x, gain, shift), (x, theirs.weight, theirs.bias))


@SHAPES
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_layer_norm_of_images_is_the_group_norm_of_torch_with_one_group(space, eps):
    x, gain, shift, above = problem(space)
    theirs = torch_module(nn.GroupNorm(1, 6, eps=eps), gain, shift)
    ours = layer_norm(x, gain, shift, eps=eps)
    assert_same(ours, theirs(x), above, (x, gain, shift), (x, theirs.weight, theirs.bias))


@SHAPES
def test_groups_of_layer_norm_are_layers_side_by_side(space):
    x, gain, shift, _ = problem(space)
    ours = layer_norm(x, gain, shift, groups=3)
    for i in range(3):
        own = slice(2 * i, 2 * i + 2)
        alone = nn.functional.layer_norm(x[:, own], (2, *space))
        wide = (1, -1, *[1] * len(space))
        alone = alone * gain[own].view(wide) + shift[own].view(wide)
        torch.testing.assert_close(ours[:, own], alone, **EXACT)


def test_weight_norm_is_the_parametrization_of_torch():
    v, gain, shift, x = random(5, 4), random(5, seed=1), random(5, seed=2), random(7, 4, seed=3)
    theirs = nn.utils.parametrizations.weight_norm(nn.Linear(4, 5).double())
    length, direction = theirs.parametrizations.weight.original0, None
    direction = theirs.parametrizations.weight.original1
    length.data.copy_(gain.detach()[:, None])
    direction.data.copy_(v.detach())
    theirs.bias.data.copy_(shift.detach())
    ours = x @ weight_norm(v, dims=(1,)).T * gain + shift
    above = random(7, 5, seed=4).detach()
    assert_same(ours, theirs(x), above, (x, v, gain, shift), (x, direction, length, theirs.bias))


def test_weight_norm_of_a_convolution_is_the_parametrization_of_torch():
    v, x = random(5, 3, 2, 2), random(4, 3, 6, 6, seed=1)
    theirs = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 5, 2, bias=False).double())
    theirs.parametrizations.weight.original0.data.fill_(1.0)
    direction = theirs.parametrizations.weight.original1
    direction.data.copy_(v.detach())
    ours = nn.functional.conv2d(x, weight_norm(v, dims=(1, 2, 3)))
    above = random(*ours.shape, seed=2).detach()
    assert_same(ours, theirs(x), above, (x, v), (x, direction))


SCALES = st.floats(1e-3, 1e3)
SEEDS = st.integers(0, 2**16)
NEAR = {"rtol": 1e-9, "atol": 1e-9}


@given(SEEDS, st.lists(SCALES, min_size=6, max_size=6))
def test_batch_norm_does_not_see_the_scale_of_a_channel(seed, scales):
    x, ones, zeros = random(7, 6, seed=seed), torch.ones(6).double(), torch.zeros(6).double()
    one, other = (
        batch_norm(x * scale, ones, zeros, eps=1e-30)
        for scale in (1.0, torch.tensor(scales, dtype=torch.float64))
    )
    torch.testing.assert_close(one, other, **NEAR)


@given(SEEDS, SCALES)
def test_layer_norm_does_not_see_the_scale_of_the_layer(seed, scale):
    x, ones, zeros = random(7, 6, seed=seed), torch.ones(6).double(), torch.zeros(6).double()
    one, other = (layer_norm(s * x, ones, zeros, eps=1e-30) for s in (1.0, scale))
    torch.testing.assert_close(one, other, **NEAR)


def test_layer_norm_does_see_the_scale_of_one_channel():
    x, ones, zeros = random(7, 6), torch.ones(6).double(), torch.zeros(6).double()
    scaled = x * torch.tensor([10.0, 1, 1, 1, 1, 1], dtype=torch.float64)
    change = layer_norm(scaled, ones, zeros) - layer_norm(x, ones, zeros)
    assert change.abs().max() > 0.1


@given(SEEDS, st.lists(SCALES, min_size=5, max_size=5))
def test_weight_norm_does_not_see_the_scale_of_a_channel(seed, scales):
    v = random(5, 4, seed=seed)
    scaled = v * torch.tensor(scales, dtype=torch.float64)[:, None]
    torch.testing.assert_close(weight_norm(scaled, (1,)), weight_norm(v, (1,)), **NEAR)


@pytest.mark.parametrize("eps", [1e-5, 1e-3, 0.1])
def test_eps_shrinks_a_batch_of_small_variance_by_the_defect(eps):
    # One channel with variance exactly 1/4: y is smaller by √(σ²/(σ²+ε)).
    x = torch.tensor([[-0.5], [0.5]], dtype=torch.float64)
    one, zero = torch.ones(1).double(), torch.zeros(1).double()
    found = batch_norm(x, one, zero, eps=eps)[1].item()
    assert found == pytest.approx(math.sqrt(0.25 / (0.25 + eps)), rel=1e-14)
