"""Groups that are not what their blocks say are refused, when they are made and when loaded."""

import json

import pytest
import torch
from torch import nn

from etaeff.errors import UsageError
from etaeff.geometry import Block, param_groups
from etaeff.optim import SphereSGD


def params():
    generator = torch.Generator().manual_seed(0)
    return {name: nn.Parameter(torch.randn(4, 3, generator=generator)) for name in "vw"}


def groups(*names, **options):
    return param_groups(params(), [Block((name,), count=4) for name in names], lr=0.1, **options)


def test_a_tensor_without_a_block_is_refused():
    (group,) = groups("v", "w")
    group["params"].append(nn.Parameter(torch.ones(4, 3)))
    with pytest.raises(UsageError, match=r"has 3 tensors, and its blocks name 2"):
        SphereSGD([group])


def test_a_tensor_in_two_blocks_is_refused():
    (group,) = groups("v", "w")
    group["blocks"][1]["params"] = [0]
    with pytest.raises(UsageError, match="in two blocks"):
        SphereSGD([group])


def test_blocks_without_shapes_are_taken_as_they_are():
    (group,) = groups("v", "w")
    for block in group["blocks"]:
        del block["shapes"]
    optimizer = SphereSGD([group])
    norms = [p.norm(dim=1) for p in optimizer.param_groups[0]["params"]]
    torch.testing.assert_close(torch.cat(norms), torch.ones(8))


@pytest.mark.parametrize(
    "saved",
    [lambda: torch.optim.SGD(groups()), lambda: SphereSGD(groups("w"))],
    ids=["free", "another block"],
)
def test_a_checkpoint_of_other_blocks_is_refused(saved):
    optimizer = SphereSGD(groups("v"))
    before = json.dumps(optimizer.param_groups[0]["blocks"])
    with pytest.raises(UsageError, match="other blocks on spheres"):
        optimizer.load_state_dict(saved().state_dict())
    assert json.dumps(optimizer.param_groups[0]["blocks"]) == before
