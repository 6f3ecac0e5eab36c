"""FSDP2 on two processes: blocks are found before sharding, and stay on spheres across shards.

python examples/fsdp2.py
"""

import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F

import etaeff
from etaeff.geometry import Block, block_norms
from etaeff.optim import SphereAdam
from etaeff.studies import load_dataset

PROCESSES, STEPS = 2, 40


def network() -> nn.Sequential:
    """Layer Normalization makes one block of a weight and its bias: shards share a sphere."""
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(64, 97), nn.LayerNorm(97), nn.ReLU()]
    layers += [nn.Linear(97, 64), nn.LayerNorm(64), nn.ReLU(), nn.Linear(64, 10)]
    return nn.Sequential(*layers)


def train(model: nn.Module, blocks: tuple[Block, ...], x: Tensor, y: Tensor) -> list[float]:
    """The losses of batches in a row; FSDP averages the gradients of the processes."""
    # From the sharded model, not the audit: that knows the parameters from before.
    groups = etaeff.param_groups(model, blocks, lr=0.003, mode="angle", sphere_lr=0.03)
    optimizer = SphereAdam(groups)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    losses = []
    for images, labels in zip(x.chunk(STEPS), y.chunk(STEPS), strict=True):
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return losses


def process(rank: int, folder: str, blocks: tuple[Block, ...], x: Tensor, y: Tensor) -> None:
    """Train with shards, then without, and compare."""
    torch.set_num_threads(1)
    store = dist.FileStore(str(Path(folder) / "store"), PROCESSES)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=PROCESSES)
    model, alone = network(), network()
    fully_shard(model, mesh=init_device_mesh("cpu", (PROCESSES,)))
    losses = train(model, blocks, x[rank::PROCESSES], y[rank::PROCESSES])
    train(alone, blocks, x, y)
    tensors = {name: p.detach().full_tensor() for name, p in model.named_parameters()}
    gap = max((tensors[name] - p).abs().max() for name, p in alone.named_parameters())
    if rank == 0:
        print(f"loss before {losses[0]:.3f}, after {losses[-1]:.3f}")
        norms = torch.cat([block_norms(block, tensors) for block in blocks])
        print(f"{len(norms)} spheres, their norms off 1 by at most {(norms - 1).abs().max():.1e}")
        print(f"weights of one process differ by at most {gap:.1e}")
    dist.barrier()  # gloo may abort a process whose peer has left
    dist.destroy_process_group()


if __name__ == "__main__":
    digits = load_dataset("digits")
    order = torch.arange(4 * 600) % 600  # four epochs
    images, labels = (torch.from_numpy(own)[order] for own in (digits.train_x, digits.train_y))
    found = etaeff.audit(network(), (images[:4],)).blocks
    with tempfile.TemporaryDirectory() as place:
        arguments = (place, found, images, labels)
        torch.multiprocessing.spawn(process, arguments, nprocs=PROCESSES)
