"""Sphere optimisers on sharded parameters, in real processes, against one process."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from etaeff.errors import UsageError
from etaeff.geometry import Block, param_groups
from etaeff.optim import SphereSGD

SCRIPT = Path(__file__).with_name("distributed.py")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def trained(tmp_path, case, world=1):
    """The weights, and the collectives of a step."""
    out = tmp_path / f"{world}.pt"
    command = [sys.executable, str(SCRIPT), ",".join(case), str(out)]
    port = str(free_port())
    runs = [[*command, str(rank), str(world), port] for rank in range(world)]
    started = [
        subprocess.Popen(c, stderr=subprocess.PIPE, text=True)
        for c in (runs if world > 1 else [command])
    ]
    errors = [process.communicate(timeout=240)[1] for process in started]
    for process, error in zip(started, errors, strict=True):
        assert process.returncode == 0, error
    found = torch.load(out)
    return found["weights"], found["collectives"]


def assert_close(found, truth):
    for name, weight in truth.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-6, atol=1e-6)


def case(kind, layout, how="shard", mode="projected"):
    return [kind, layout, how, mode, "all", "-"]


# Kind, blocks, sharding, step, processes, collectives of a step.
NORMAL = [
    ("adam", "heads", "shard", "angle", 2, 1),
    ("bfloat16", "rows", "hsdp", "angle", 4, 0),
]
LONG = [
    ("sgd", "rows", "shard", "projected", 2, 0),
    ("sgd", "tensors", "other axis", "projected", 2, 1),
    ("adam", "joint", "hsdp", "equilibrium", 4, 1),
    ("adam", "tensors", "shard", "angle", 2, 1),
    ("adam", "columns", "shard", "projected", 2, 1),
    ("sgd", "heads", "shard", "projected", 2, 1),
    ("sgd", "heads", "shard", "projected", 3, 0),
    ("lion", "row and bias", "shard", "projected", 3, 0),
    ("sgd", "rows", "other axis", "angle", 2, 1),
    ("adam by block", "heads", "shard", "projected", 2, 2),
    ("tangent", "tensors", "shard", "projected", 2, 3),
    ("constrain", "tensors", "shard", "projected", 2, 1),
    ("sgd", "rows", "hsdp", "equilibrium", 4, 0),
    ("adam", "joint", "ddp", "angle", 2, 0),
    ("adam", "rows", "zero", "projected", 2, 0),
    ("bfloat16", "heads", "shard", "projected", 2, 1),
    ("bfloat16", "tensors", "other axis", "angle", 2, 1),
    ("bfloat16", "joint", "ddp", "projected", 2, 0),
]


@pytest.mark.parametrize(
    ("kind", "layout", "how", "mode", "world", "collectives"),
    [*NORMAL, *(pytest.param(*row, marks=pytest.mark.long) for row in LONG)],
)
def test_shards_train_as_one_process(tmp_path, kind, layout, how, mode, world, collectives):
    one, _ = trained(tmp_path, case(kind, layout, how, mode))
    many, reduced = trained(tmp_path, case(kind, layout, how, mode), world)
    assert_close(many, one)
    assert reduced == collectives


@pytest.mark.parametrize(
    ("kind", "layout"),
    [
        ("adam", "heads"),
        pytest.param("sgd", "rows", marks=pytest.mark.long),
        pytest.param("bfloat16", "rows", marks=pytest.mark.long),
    ],
)
def test_a_checkpoint_of_two_processes_goes_on_in_four(tmp_path, kind, layout):
    whole, _ = trained(tmp_path, [kind, layout, "shard", "projected", "all", "-"])
    folder = str(tmp_path / "checkpoint")
    trained(tmp_path, [kind, layout, "shard", "projected", "save", folder], 2)
    found, _ = trained(tmp_path, [kind, layout, "shard", "projected", "load", folder], 4)
    assert_close(found, whole)


@pytest.mark.parametrize("kind", ["adam", pytest.param("sgd", marks=pytest.mark.long)])
def test_zero_goes_on_from_its_consolidated_state(tmp_path, kind):
    whole, _ = trained(tmp_path, [kind, "rows", "zero", "projected", "all", "-"])
    found, _ = trained(tmp_path, [kind, "rows", "zero", "projected", "again", "-"], 2)
    assert_close(found, whole)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # torch's, of FSDP1
@pytest.mark.parametrize("original", [False, True])
def test_fsdp1_is_refused(alone, original):
    model = FullyShardedDataParallel(
        nn.Linear(3, 4), device_id=torch.device("cpu"), use_orig_params=original
    )
    name = next(name for name, _ in model.named_parameters())
    with pytest.raises(UsageError, match=r"FSDP1.*Use FSDP2"):
        param_groups(model, [Block((name,))], lr=0.1)


def test_a_flattened_shard_is_noticed():
    (group,) = param_groups({"w": nn.Parameter(torch.ones(4, 3))}, [Block(("w",))], lr=0.1)
    group["params"] = [nn.Parameter(torch.ones(6))]
    with pytest.raises(UsageError, match=r"'w' had shape \[4, 3\].*it has shape \[6\]"):
        SphereSGD([group])


def test_a_group_that_was_dealt_out_is_noticed():
    params = {name: nn.Parameter(torch.randn(4, 3)) for name in "vw"}
    (group,) = param_groups(params, [Block(("v",)), Block(("w",))], lr=0.1)
    group["params"] = group["params"][1:]
    with pytest.raises(UsageError, match=r"'w'.*is not there.*separate=True"):
        SphereSGD([group])


def test_a_joint_block_that_was_dealt_out_is_told_what_can_have_it():
    params = {name: nn.Parameter(torch.randn(4, 3)) for name in "vw"}
    (group,) = param_groups(params, [Block(("v", "w"))], lr=0.1, separate=True)
    group["params"] = group["params"][:1]
    with pytest.raises(UsageError, match=r"cannot have a block of several tensors \('v', 'w'\)"):
        SphereSGD([group])


def test_a_group_that_another_process_has_keeps_its_blocks():
    params = {name: nn.Parameter(torch.randn(4, 3)) for name in "vw"}
    groups = param_groups(params, [Block(("v",)), Block(("w",))], lr=0.1, separate=True)
    groups[0]["params"] = []
    optimizer = SphereSGD(groups)
    assert [len(group["blocks"]) for group in optimizer.param_groups] == [1, 1]
    before = params["v"].detach().clone()
    for p in params.values():
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert torch.equal(params["v"], before)
    torch.testing.assert_close(params["w"].norm(), torch.tensor(1.0))
