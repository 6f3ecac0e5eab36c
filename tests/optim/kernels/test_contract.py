"""The contract of a kernel, with a kernel that shares no arithmetic with the reference."""

import numpy as np
import pytest
import torch
from torch.nn import Parameter

from etaeff.errors import NumericalError
from etaeff.geometry import Block, param_groups
from etaeff.optim import SphereAdam, SphereSGD, _sphere
from etaeff.optim.kernels import REFERENCE, Choice, Kernel, choose

CALLS = []


def one_pass(rule, steps, aims):
    """NumPy, a row at a time: SGD without momentum, in one pass."""
    CALLS.append(len(steps))
    lost = []
    for step, aim in zip(steps, aims, strict=True):
        (p,), (g,) = step.tensors.params, step.gradients
        w, d = p.detach().numpy(), g.numpy().astype(np.float64)
        bad = np.zeros(len(w), dtype=bool)
        for i, (row, direction) in enumerate(zip(w, d, strict=True)):
            r = float(aim.radius[i])
            if aim.is_projected:
                new = row - aim.amount * direction
            else:
                u = row / np.linalg.norm(row)
                tangent = direction - (u @ direction) * u
                t = tangent / np.linalg.norm(tangent)
                new = np.cos(float(aim.amount)) * u - np.sin(float(aim.amount)) * t
            new = new * (r / np.linalg.norm(new))
            bad[i] = not np.isfinite(new).all()
            if not bad[i]:
                w[i] = new
        lost.append(torch.from_numpy(bad))
    return lost


def never(*_):
    raise AssertionError("in one pass, the halves are not called")


@pytest.fixture
def numpy_kernel(monkeypatch):
    CALLS.clear()
    kernel = Kernel("numpy", never, never, one_pass)
    monkeypatch.setattr(_sphere, "choose", lambda group: Choice(kernel, "a test"))


def trained(mode, steps=5):
    torch.manual_seed(0)
    weight, free = Parameter(torch.randn(4, 6).double()), Parameter(torch.randn(3).double())
    groups = param_groups(
        {"w": weight, "free": free}, [Block(("w",), count=4)],
        lr=0.1, weight_decay=0.1, mode=mode, radius=1.5,
    )  # fmt: skip
    optimizer = SphereSGD(groups)
    for _ in range(steps):
        for p in (weight, free):
            p.grad = torch.randn_like(p)
        optimizer.step()
    return weight.detach(), free.detach()


@pytest.mark.parametrize("mode", ["projected", "angle", "equilibrium"])
def test_a_kernel_may_do_both_halves_in_one_pass(mode, monkeypatch):
    expected = trained(mode)
    CALLS.clear()
    kernel = Kernel("numpy", never, never, one_pass)
    monkeypatch.setattr(_sphere, "choose", lambda group: Choice(kernel, "a test"))
    for mine, theirs in zip(trained(mode), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    assert CALLS == [1] * 5


def test_pieces_that_are_no_numbers_are_refused_in_one_pass(numpy_kernel):
    weight = Parameter(torch.ones(4, 6).double())
    optimizer = SphereSGD(param_groups({"w": weight}, [Block(("w",), count=4)], lr=0.1))
    weight.grad = torch.ones_like(weight)
    weight.grad[2] = torch.nan
    before = weight[2].detach().clone()
    with pytest.raises(NumericalError, match="'w' is NaN, infinite or zero"):
        optimizer.step()
    assert torch.equal(weight[2], before)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({}, "reference (the only kernel there is)"),
        ({"fused": True}, "reference (`fused` is for groups without blocks; spheres have one)"),
        ({"foreach": True}, "reference (`foreach` is for groups without blocks; spheres have one)"),
    ],
)
def test_the_choice_and_its_reason_are_shown(flags, said):
    weight = Parameter(torch.ones(4, 6))
    optimizer = SphereAdam(param_groups({"w": weight}, [Block(("w",))], lr=0.1), **flags)
    assert choose(optimizer.param_groups[0]).kernel is REFERENCE
    assert repr(optimizer).endswith(f"\nKernel: {said}")
    assert "Kernel" not in repr(SphereAdam([weight]))
