"""Convolutions of each channel by itself, against torch's own."""

import pytest
import torch
from torch import nn

from etaeff.symmetry._measurement._depthwise import depthwise

CHANNELS = 12
CONVOLUTIONS = {
    "one axis": (nn.Conv1d, 5, {"padding": 2}),
    "one axis, causal": (nn.Conv1d, 4, {"padding": 3}),
    "two axes": (nn.Conv2d, 3, {"padding": 1}),
    "no padding": (nn.Conv2d, 3, {}),
    "padding by name": (nn.Conv2d, 3, {"padding": "valid", "stride": 2}),
    "of the same size": (nn.Conv2d, 3, {"padding": "same", "dilation": 2}),
    "strides": (nn.Conv2d, (3, 5), {"padding": (1, 2), "stride": (2, 3)}),
    "dilated": (nn.Conv2d, 3, {"padding": 2, "dilation": (2, 1)}),
    "without a bias": (nn.Conv2d, 3, {"bias": False}),
    "one place": (nn.Conv2d, 1, {}),
    "three axes": (nn.Conv3d, (1, 2, 3), {"stride": (1, 2, 1)}),
}


def arguments(layer):
    named = ("stride", "padding", "dilation", "groups")
    return {"bias": layer.bias} | {name: getattr(layer, name) for name in named}


def made(kind, size, options):
    torch.manual_seed(0)
    layer = kind(CHANNELS, CHANNELS, size, groups=CHANNELS, **options).double()
    axes = layer.weight.ndim - 2
    return layer, torch.randn(2, CHANNELS, *(9, 8, 7)[:axes], dtype=torch.float64)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_results_and_gradients_are_torchs(name):
    layer, x = made(*CONVOLUTIONS[name])
    x.requires_grad_()
    own = depthwise("convolution", {"input": x, "weight": layer.weight, **arguments(layer)})
    truth = layer(x)
    torch.testing.assert_close(own, truth, rtol=1e-12, atol=1e-12)
    r = torch.randn_like(truth)
    leaves = [x, *layer.parameters()]
    found = torch.autograd.grad((own * r).sum(), leaves)
    expected = torch.autograd.grad((truth * r).sum(), leaves)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_channel_times_a_power_of_two_is_that_to_the_bit():
    layer, x = made(nn.Conv2d, 3, {"bias": False})
    powers = torch.ldexp(torch.ones(CHANNELS).double(), torch.arange(-6, 6))[:, None, None]
    given = {"input": x, **arguments(layer)}
    with torch.no_grad():
        found = depthwise("conv2d", given | {"weight": layer.weight * powers[..., None]})
        assert torch.equal(found, depthwise("conv2d", given | {"weight": layer.weight}) * powers)


def test_other_convolutions_are_left_to_torch():
    layer, x = made(nn.Conv2d, 3, {})
    given = {"input": x, "weight": layer.weight, **arguments(layer)}
    assert depthwise("conv2d", given) is not None
    assert depthwise("linear", given) is None
    assert depthwise("convolution", given | {"transposed": True}) is None
    assert depthwise("conv2d", given | {"input": x[0]}) is None  # without a batch
    assert depthwise("conv2d", given | {"input": x.float()}) is None
    twice = given | {"weight": torch.randn(2 * CHANNELS, 1, 3, 3, dtype=torch.float64)}
    assert depthwise("conv2d", twice) is None
    pairs = nn.Conv2d(CHANNELS, CHANNELS, 3, groups=CHANNELS // 2).double()
    assert depthwise("conv2d", given | {"weight": pairs.weight, "groups": pairs.groups}) is None
