"""What an optimiser remembers lies in its state and groups: nothing of it is lost with a copy."""

import copy
import pickle

import pytest
import torch
from torch.nn import Parameter

from etaeff.errors import UsageError
from etaeff.geometry import Block, param_groups
from etaeff.optim import SphereAdam, SphereLion, SphereMuon, SphereSGD

CLASSES = {
    SphereSGD: torch.optim.SGD,
    SphereAdam: torch.optim.AdamW,
    SphereMuon: torch.optim.Muon,
    SphereLion: torch.optim.Optimizer,
}
each = pytest.mark.parametrize("make", CLASSES)


def made(make, radius="keep", **kwargs):
    torch.manual_seed(0)
    weight = Parameter(torch.randn(4, 3))
    groups = param_groups({"w": weight}, [Block(("w",), count=4)], lr=0.1, radius=radius)
    return weight, make(groups, **kwargs)


@each
def test_an_optimiser_is_one_of_torch_s_kind(make):
    assert isinstance(made(make)[1], CLASSES[make])


@each
def test_nothing_is_remembered_outside_the_state(make):
    """What pickle and deepcopy drop is torch's own."""
    _, optimizer = made(make)
    _, plain = made(torch.optim.SGD)
    assert vars(optimizer).keys() <= vars(plain).keys()
    assert not optimizer.state


@each
@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_keep_the_radius_that_weights_have(make, again):
    """A copy from before the first step too, when the radius is in no state yet."""
    whole = made(make)
    norms = whole[0].detach().norm(dim=1)
    weight, optimizer = again(whole)
    for _ in range(3):
        weight.grad = torch.randn(4, 3)
        optimizer.step()
    torch.testing.assert_close(weight.detach().norm(dim=1), norms)
    assert not weight.detach().equal(whole[0].detach())


@each
def test_kept_radii_are_those_at_the_first_step(make):
    """Pretrained weights may be loaded after the optimiser is made."""
    weight, optimizer = made(make)
    with torch.no_grad():
        weight.copy_(3 * torch.randn(4, 3))
    norms = weight.detach().norm(dim=1)
    for _ in range(3):
        weight.grad = torch.randn(4, 3)
        optimizer.step()
    torch.testing.assert_close(weight.detach().norm(dim=1), norms)
    torch.testing.assert_close(optimizer.state[weight]["radius"].float(), norms)


@each
def test_the_old_name_of_the_mode_is_refused(make):
    said = r"^`step` is called `mode` now.* write mode='angle'\.$"
    with pytest.raises(UsageError, match=said):
        made(make, step="angle")
    weight, optimizer = made(make)
    old = optimizer.param_groups[0] | {"step": "angle", "params": [Parameter(torch.ones(2, 3))]}
    del old["mode"]
    with pytest.raises(UsageError, match=said):
        optimizer.add_param_group(old)
    saved = optimizer.state_dict()
    saved["param_groups"][0]["step"] = saved["param_groups"][0].pop("mode")
    with pytest.raises(UsageError, match=r"^`step` is called `mode` now"):
        optimizer.load_state_dict(saved)
    optimizer.param_groups[0]["step"] = "angle"
    weight.grad = torch.ones(4, 3)
    with pytest.raises(UsageError, match=said):
        optimizer.step()


def test_a_checkpoint_without_later_options_loads():
    """As torch's own classes fill in what an older version did not have."""
    weight, optimizer = made(SphereAdam)
    weight.grad = torch.ones(4, 3)
    optimizer.step()
    saved = copy.deepcopy(optimizer.state_dict())
    for key in ("amsgrad", "maximize", "foreach", "fused"):
        del saved["param_groups"][0][key]
    saved["state"][0]["step"] = 1.0  # a number in the oldest ones
    optimizer.load_state_dict(saved)
    optimizer.step()
    assert float(optimizer.state[weight]["step"]) == 2
