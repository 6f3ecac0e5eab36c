"""One training, in one process or sharded over several: what `test_distributed.py` starts.

    python distributed.py CASE OUT [RANK WORLD PORT]

Without a rank the model is whole. Rank 0 writes the whole weights after training.
"""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard
from torch.nn.parallel import DistributedDataParallel

from etaeff.geometry import Block, param_groups
from etaeff.optim import SphereAdam, SphereLion, SphereMuon, SphereSGD, constrain_, project_

# Rows of 7 do not divide evenly; pieces of two rows and whole tensors cross shards.
BLOCKS = {
    "rows": [Block(("first.weight",), count=7), Block(("second.weight",), count=6)],
    "tensors": [Block(("first.weight",)), Block(("second.weight",))],
    "joint": [Block(("first.weight", "first.bias")), Block(("second.weight", "second.bias"))],
    "heads": [Block(("second.weight",), count=3)],
    "columns": [Block(("first.weight",), axis=1, count=4), Block(("second.weight",), axis=1)],
    "row and bias": [Block(("first.weight", "first.bias"), count=7)],
}


class Net(nn.Module):
    """Two layers; what they compute does not matter here."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(4, 7), nn.Linear(7, 6)

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


def optimizer_of(kind, model, blocks, **options):
    groups = param_groups(model, blocks, lr=0.05, weight_decay=0.01, **options)
    if kind in ("sgd", "bfloat16"):
        return SphereSGD(groups, momentum=0.9)
    if kind == "adam":
        return SphereAdam(groups)
    if kind == "adam by block":
        return SphereAdam(groups, second_moment="block")
    if kind == "tangent":
        return SphereAdam(groups, tangent=True)
    if kind == "lion":
        return SphereLion(groups)
    if kind == "constrain":
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
        constrain_(model, optimizer, blocks)
        return optimizer
    return SphereMuon(groups)


def zero_of(kind, model, blocks, mode):
    from torch.distributed.optim import ZeroRedundancyOptimizer  # warns of torch.jit

    groups = param_groups(model, blocks, lr=0.05, weight_decay=0.01, mode=mode, separate=True)
    make, options = {"sgd": (SphereSGD, {"momentum": 0.9}), "adam": (SphereAdam, {})}[kind]
    return ZeroRedundancyOptimizer(groups, make, lr=0.05, **options)


def shard(model, how, world):
    if how == "hsdp":
        mesh = init_device_mesh("cpu", (2, world // 2), mesh_dim_names=("replicate", "shard"))
    else:
        mesh = init_device_mesh("cpu", (world,))
    if how == "other axis":  # torch refuses uneven shards there
        fully_shard(model, mesh=mesh, shard_placement_fn=lambda p: Shard(p.shape == (7, 4)))
    else:
        fully_shard(model, mesh=mesh)


def train(model, optimizer, first, last):
    """Every process sees the same batch, so that its mean gradient is the whole one's."""
    for step in range(first, last):
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(8, 4, generator=generator).to(next(model.parameters()).dtype)
        loss = model(x).square().mean() + model(x).sum().mul(0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def whole(model):
    return {
        name: (p.full_tensor() if isinstance(p, DTensor) else p).detach().clone()
        for name, p in model.named_parameters()
    }


def count_collectives():
    """Replace `all_reduce` by one that counts."""
    calls = []
    real = dist.all_reduce

    def counted(*args, **kwargs):
        if args[0].dtype == torch.float64:  # not those of gradients
            calls.append(args)
        return real(*args, **kwargs)

    dist.all_reduce = counted
    return calls


def run(case, out, rank, world):
    """Train; with a checkpoint, save halfway, or load and go on."""
    kind, layout, how, mode, stage, folder = case
    model = Net().to(torch.bfloat16 if kind == "bfloat16" else torch.float32)
    torch.manual_seed(rank + world)  # no result may depend on it
    if how == "zero" and world > 1:
        project_(model, BLOCKS[layout])  # each process makes an optimiser of its own tensors only
        optimizer = zero_of(kind, model, BLOCKS[layout], mode)
    else:
        if how != "ddp" and world > 1:
            shard(model, how, world)
        optimizer = optimizer_of(kind, model, BLOCKS[layout], mode=mode)
    trained = DistributedDataParallel(model) if how in ("ddp", "zero") and world > 1 else model
    calls = count_collectives() if world > 1 else []
    first, last = {"all": (0, 10), "save": (0, 5), "load": (5, 10), "again": (5, 10)}[stage]
    if stage == "load":
        weights, state = get_state_dict(model, optimizer)
        found = {"model": weights, "optimizer": state}
        dcp.load(found, checkpoint_id=folder)
        set_state_dict(
            model, optimizer, model_state_dict=found["model"], optim_state_dict=found["optimizer"]
        )
        calls.clear()
    if stage == "again":
        train(trained, optimizer, 0, 5)
        optimizer.consolidate_state_dict(to=0)
        state = [optimizer.state_dict() if rank == 0 else None]
        dist.broadcast_object_list(state, src=0)
        optimizer = zero_of(kind, model, BLOCKS[layout], mode)
        optimizer.load_state_dict(state[0])
    train(trained, optimizer, first, last)
    reduced = len(calls)
    if stage == "save":
        weights, state = get_state_dict(model, optimizer)
        dcp.save({"model": weights, "optimizer": state}, checkpoint_id=folder)
    found = whole(model)
    if rank == 0:
        torch.save({"weights": found, "collectives": reduced / (last - first)}, out)


def main():
    torch.set_num_threads(1)
    case, out = sys.argv[1].split(","), Path(sys.argv[2])
    if len(sys.argv) == 3:
        run(case, out, 0, 1)
        return
    rank, world, port = (int(v) for v in sys.argv[3:])
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=world)
    run(case, out, rank, world)
    dist.barrier()
    os._exit(0)  # all is tested and written; gloo's threads abort some processes that end as usual


if __name__ == "__main__":
    main()
