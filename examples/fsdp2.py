"""FSDP2 on two processes: blocks are found before sharding, and stay on spheres across shards.

python examples/fsdp2.py
"""

import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F

import etaeff
from etaeff.geometry import Block, block_norms
from etaeff.optim import SphereAdam
from etaeff.studies import load_dataset

PROCESSES, STEPS, BATCH = 2, 40, 64


def network() -> nn.Sequential:
    """Layer Normalization makes one block of a weight and its bias: shards share a sphere."""
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(64, 97), nn.LayerNorm(97), nn.ReLU()]
    layers += [nn.Linear(97, 64), nn.LayerNorm(64), nn.ReLU(), nn.Linear(64, 10)]
    return nn.Sequential(*layers)


def train(model: nn.Module, blocks: tuple[Block, ...], share: slice) -> list[float]:
    """The losses of a share of every batch; FSDP averages the gradients of all shares."""
    # From the sharded model, not the audit: that knows the parameters from before.
    groups = etaeff.param_groups(model, blocks, lr=0.003, step="angle", sphere_lr=0.03)
    optimizer = SphereAdam(groups)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    data = load_dataset("digits")
    x, y = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    order = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(STEPS):
        batch = torch.randint(len(x), (BATCH,), generator=order)[share]
        loss = F.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return losses


def process(rank: int, folder: str) -> None:
    """Train with shards, then without, and compare."""
    torch.set_num_threads(1)
    store = dist.FileStore(str(Path(folder) / "store"), PROCESSES)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=PROCESSES)
    model, alone = network(), network()
    blocks = etaeff.audit(model, (torch.randn(4, 1, 8, 8),)).blocks
    fully_shard(model, mesh=init_device_mesh("cpu", (PROCESSES,)))
    part = BATCH // PROCESSES
    losses = train(model, blocks, slice(rank * part, (rank + 1) * part))
    train(alone, blocks, slice(None))
    tensors = {name: p.detach().full_tensor() for name, p in model.named_parameters()}
    gap = max((tensors[name] - p).abs().max() for name, p in alone.named_parameters())
    if rank == 0:
        print(f"loss before {losses[0]:.3f}, after {losses[-1]:.3f}")
        norms = torch.cat([block_norms(block, tensors) for block in blocks])
        print(f"{len(norms)} spheres, their norms off 1 by at most {(norms - 1).abs().max():.1e}")
        print(f"weights of one process differ by at most {gap:.1e}")
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(process, (folder,), nprocs=PROCESSES)
