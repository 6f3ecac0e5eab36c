"""Train free and on spheres, and renew the table and the figure of docs/optim.md.

python scripts/optim_training.py FOLDER_WITH_MNIST
"""

import argparse
import itertools
import json
import math
import multiprocessing
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from etaeff import audit
from etaeff.geometry import Block, param_groups
from etaeff.optim import SphereAdam, SphereLion, SphereSGD
from etaeff.report._style import CATEGORIES, FAINT, INK, MARKERS, WIDTH, house_style, to_png
from etaeff.studies import load_dataset, take

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "optim.md"
FIGURE = ROOT / "docs" / "figures" / "optim_training.png"

TASKS = ("digits, MLP", "digits, CNN", "MNIST, MLP", "MNIST, CNN")
TRAIN_SIZE = 6000  # of MNIST; as many for validation
STEPS = 300
TUNING, FINAL = (100, 101, 102), tuple(range(8))  # seeds

RATES = {
    "SGD": (0.03, 0.1, 0.3, 1.0),
    "AdamW": (1e-3, 3e-3, 1e-2, 3e-2),
    "SphereSGD": (0.01, 0.03, 0.1, 0.3, 1.0),
    "SphereAdam": (1e-3, 3e-3, 1e-2, 3e-2, 0.1),
    "SphereLion": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
}
DECAYS = {"SGD": (1e-4, 1e-3, 1e-2, 0.1), "AdamW": (0.01, 0.1, 1.0, 3.0)}


@dataclass(frozen=True)
class Arm:
    """A way to train.

    tuned: Whether it has its own search for the learning rate; else it takes lr and weight decay
        from its `free` arm.
    """

    optimizer: str
    step: str = "free"
    second_moment: str = "entry"
    free: str = ""

    def __str__(self) -> str:
        """As the table has it."""
        if self.step == "free":
            return self.optimizer
        block = ", block" if self.second_moment == "block" else ""
        return f'{self.optimizer}, "{self.step}"{block}'


ARMS = (
    Arm("SGD"),
    Arm("SphereSGD", "projected", free="SGD"),
    Arm("SphereSGD", "equilibrium", free="SGD"),
    Arm("AdamW"),
    Arm("SphereAdam", "projected", free="AdamW"),
    Arm("SphereAdam", "projected", "block", free="AdamW"),
    Arm("SphereAdam", "equilibrium", free="AdamW"),
    Arm("SphereAdam", "equilibrium", "block", free="AdamW"),
    Arm("SphereLion", "projected", free="AdamW"),
)


@dataclass(frozen=True)
class Run:
    """One training."""

    task: str
    arm: Arm
    lr: float
    wd: float
    seed: int
    mnist: str


# --------------------------------------------------------------------------------------- one run


@lru_cache(maxsize=2)
def images(task: str, mnist: str) -> tuple[tuple[Tensor, Tensor], ...]:
    """Images and labels to train on, to tune with, and to test on."""
    if task.startswith("digits"):
        data = load_dataset("digits")
        x, y = torch.from_numpy(data.test_x), torch.from_numpy(data.test_y)
        tune, test = (x[::2], y[::2]), (x[1::2], y[1::2])
    else:
        data = take(load_dataset(mnist), 2 * TRAIN_SIZE)
        tune = (
            torch.from_numpy(data.train_x[1::2].copy()),
            torch.from_numpy(data.train_y[1::2].copy()),
        )
        test = torch.from_numpy(data.test_x), torch.from_numpy(data.test_y)
        data = replace(data, train_x=data.train_x[::2].copy(), train_y=data.train_y[::2].copy())
    return (torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)), tune, test


def network(task: str) -> nn.Module:
    """Batch Normalization after each hidden layer."""
    side = 8 if task.startswith("digits") else 28
    if task.endswith("MLP"):
        return nn.Sequential(
            nn.Flatten(),
            *(nn.Linear(side**2, 128, bias=False), nn.BatchNorm1d(128), nn.ReLU()),
            *(nn.Linear(128, 128, bias=False), nn.BatchNorm1d(128), nn.ReLU()),
            nn.Linear(128, 10),
        )
    stride, left = (1, 2) if side == 8 else (2, 3)
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, stride, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        nn.MaxPool2d(2),
        *(nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * left**2, 10),
    )


@lru_cache
def blocks(task: str) -> tuple[Block, ...]:
    """The output channels of all layers but the last, as the audit finds them.

    It also finds gain and shift before the second layer, which together are one block: they are
    left free, as usual.
    """
    side = 8 if task.startswith("digits") else 28
    found = audit(network(task), (torch.randn(8, 1, side, side),)).blocks
    return tuple(block for block in found if len(block.names) == 1)


def optimizer_of(model: nn.Module, run: Run) -> torch.optim.Optimizer:
    """Decay acts on the blocks alone; all parameters have one learning rate."""
    own = {name for block in blocks(run.task) for name in block.names}
    free = run.arm.step == "free"
    groups = param_groups(
        model,
        blocks(run.task),
        lr=run.lr,
        weight_decay=run.wd,
        step="equilibrium" if free else run.arm.step,
        without_decay=[name for name, _ in model.named_parameters() if name not in own],
    )
    match run.arm.optimizer:
        case "SGD":  # torch's read nothing from the groups but lr and weight_decay
            return torch.optim.SGD(groups, momentum=0.9)
        case "AdamW":
            return torch.optim.AdamW(groups)
        case "SphereSGD":
            return SphereSGD(groups, momentum=0.9)
        case "SphereAdam":
            return SphereAdam(groups, second_moment=run.arm.second_moment)
        case _:
            return SphereLion(groups)


def trained(run: Run) -> tuple[float, float]:
    """Errors on the images for tuning and for test, in percent; 90 if it diverged."""
    train, tune, test = images(run.task, run.mnist)
    torch.manual_seed(run.seed)
    model = network(run.task)
    optimizer = optimizer_of(model, run)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    batch = 50 if run.task.startswith("digits") else 100
    epochs = math.ceil(STEPS * batch / len(train[1]))
    order = torch.cat([torch.randperm(len(train[1])) for _ in range(epochs)])
    for chosen in order[: STEPS * batch].split(batch):
        loss = F.cross_entropy(model(train[0][chosen]), train[1][chosen])
        if not math.isfinite(loss.item()):
            return 90.0, 90.0
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        wrong = [(model(x).argmax(1) != y).double().mean().item() for x, y in (tune, test)]
    return 100 * wrong[0], 100 * wrong[1]
