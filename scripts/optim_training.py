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
from etaeff.theory import equilibrium

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "optim.md"
FIGURE = ROOT / "docs" / "figures" / "optim_training.png"

TASKS = ("digits, MLP", "digits, CNN", "MNIST, MLP", "MNIST, CNN")
TRAIN_SIZE = 6000  # of MNIST; as many others are there to tune with
STEPS = 300
BETAS = 0.9, 0.99  # a second moment of 0.999 would remember more than the whole training
TUNING, FINAL = (100, 101), tuple(range(8))  # seeds

RATES = {
    "SGD": (0.01, 0.03, 0.1, 0.3, 1.0),
    "AdamW": (1e-3, 3e-3, 1e-2, 3e-2),
    "SphereSGD": (0.01, 0.03, 0.1, 0.3, 1.0),
    "SphereAdam": (1e-3, 3e-3, 1e-2, 3e-2, 0.1),
    "SphereLion": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
}
DECAYS = {"SGD": (1e-3, 1e-2, 0.1), "AdamW": (0.03, 0.3, 3.0, 10.0)}


@dataclass(frozen=True)
class Arm:
    """A way to train; `free` is the one that it is compared with."""

    optimizer: str
    mode: str = "free"
    second_moment: str = "entry"
    free: str = ""

    def __str__(self) -> str:
        """As the table has it."""
        if self.mode == "free":
            return self.optimizer
        block = ", block" if self.second_moment == "block" else ""
        return f'{self.optimizer}, "{self.mode}"{block}'


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
    tuning: bool


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
        *(nn.Conv2d(1, 8, 3, stride, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        nn.MaxPool2d(2),
        *(nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * left**2, 10),
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
    free = run.arm.mode == "free"
    groups = param_groups(
        model,
        blocks(run.task),
        lr=run.lr,
        weight_decay=run.wd,
        mode="equilibrium" if free else run.arm.mode,
        without_decay=[name for name, _ in model.named_parameters() if name not in own],
    )
    match run.arm.optimizer:
        case "SGD":  # torch's read nothing from the groups but lr and weight_decay
            return torch.optim.SGD(groups, momentum=0.9)
        case "AdamW":
            return torch.optim.AdamW(groups, betas=BETAS)
        case "SphereSGD":
            return SphereSGD(groups, momentum=0.9)
        case "SphereAdam":
            return SphereAdam(groups, betas=BETAS, second_moment=run.arm.second_moment)
        case _:
            return SphereLion(groups)


def error_of(run: Run) -> float:
    """Share of wrong answers in percent; 90 if the training diverged."""
    torch.set_num_threads(1)
    (x, y), *others = images(run.task, run.mnist)
    torch.manual_seed(run.seed)
    model = network(run.task)
    optimizer = optimizer_of(model, run)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    batch = 50 if run.task.startswith("digits") else 100
    epochs = math.ceil(STEPS * batch / len(y))
    order = torch.cat([torch.randperm(len(y)) for _ in range(epochs)])
    for chosen in order[: STEPS * batch].split(batch):
        loss = F.cross_entropy(model(x[chosen]), y[chosen])
        if not math.isfinite(loss.item()):
            return 90.0
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    x, y = others[0 if run.tuning else 1]
    with torch.no_grad():
        return 100 * float((model(x).argmax(1) != y).double().mean())


# -------------------------------------------------------------------------------------- all runs


@dataclass(frozen=True)
class Result:
    """An arm at its best setting: test errors by seed, in percent."""

    task: str
    arm: Arm
    lr: float
    wd: float
    errors: tuple[float, ...]


def candidates(arm: Arm) -> list[tuple[float, float]]:
    """Learning rates and decays to choose from."""
    decays = DECAYS.get(arm.optimizer, (0.0,))
    return list(itertools.product(RATES[arm.optimizer], decays))


def results(pool: ProcessPoolExecutor, mnist: str) -> list[Result]:
    """Tune, and then train anew with other seeds."""
    tried = [
        Run(task, arm, lr, wd, seed, mnist, tuning=True)
        for task in TASKS
        for arm in ARMS
        if arm.mode != "equilibrium"
        for lr, wd in candidates(arm)
        for seed in TUNING
    ]
    errors: dict[tuple[str, Arm], dict[tuple[float, float], float]] = {}
    for run, error in zip(tried, pool.map(error_of, tried), strict=True):
        sums = errors.setdefault((run.task, run.arm), {})
        sums[run.lr, run.wd] = sums.get((run.lr, run.wd), 0.0) + error
    best = {where: min(sums, key=sums.__getitem__) for where, sums in errors.items()}
    chosen = []
    for task, arm in itertools.product(TASKS, ARMS):
        untouched = Arm(arm.free) if arm.mode == "equilibrium" else arm
        chosen += [Run(task, arm, *best[task, untouched], s, mnist, tuning=False) for s in FINAL]
    found: dict[tuple[str, Arm], list[tuple[Run, float]]] = {}
    for run, error in zip(chosen, pool.map(error_of, chosen), strict=True):
        found.setdefault((run.task, run.arm), []).append((run, error))
    return [
        Result(task, arm, own[0][0].lr, own[0][0].wd, tuple(error for _, error in own))
        for (task, arm), own in found.items()
    ]


# --------------------------------------------------------------------------------- what is shown


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and its standard error."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))


def differences(found: Sequence[Result]) -> Iterable[tuple[Result, tuple[float, float] | None]]:
    """Each with how much worse it is than its free arm, seed by seed, and the standard error."""
    by_name = {(own.task, str(own.arm)): own for own in found}
    for own in found:
        if not own.arm.free:
            yield own, None
            continue
        free = by_name[own.task, own.arm.free]
        yield own, mean_and_error(np.subtract(own.errors, free.errors).tolist())


def half_life(own: Result) -> str:
    """Steps in which the free norm gets half the way to its equilibrium, at the first lr."""
    if own.arm.mode != "free":
        return ""
    own_arguments = {"momentum": 0.9} if own.arm.optimizer == "SGD" else {"betas": BETAS}
    name = own.arm.optimizer.lower()
    steps = equilibrium(name, lr=own.lr, wd=own.wd, **own_arguments).half_life
    assert steps is not None
    return f"{float(steps):.0f}"


def table(found: Sequence[Result]) -> list[str]:
    """Markdown: settings, test errors, and the differences."""
    lines = [
        "| | lr | λ | half-life | test error, % | minus free |",
        "|---|---|---|---|---|---|",
    ]
    task = ""
    for own, difference in differences(found):
        if own.task != task:
            task = own.task
            lines.append(f"| **{task}** | | | | | |")
        mean, error = mean_and_error(own.errors)
        shown = ""
        if difference is not None:
            shown = f"{difference[0]:+.2f} ± {difference[1]:.2f}".replace("-", "−")
        wd = f"{own.wd:g}" if own.wd else "none"
        lines.append(
            f"| {own.arm} | {own.lr:g} | {wd} | {half_life(own)} "
            f"| {mean:.2f} ± {error:.2f} | {shown} |"
        )
    return lines


@house_style()
def figure_of(found: Sequence[Result]) -> Figure:
    """A panel for each task: errors of all arms, and the band of the tuned free ones."""
    figure = Figure(figsize=(WIDTH, 5.4), layout="constrained")
    panels = figure.subplots(2, 2, sharey=True).ravel()
    colours = {"SGD": CATEGORIES[0], "AdamW": CATEGORIES[1]}
    markers = {"free": MARKERS[0], "projected": MARKERS[1], "equilibrium": MARKERS[2]}
    for panel, task in zip(panels, TASKS, strict=True):
        own = [result for result in found if result.task == task]
        for i, result in enumerate(own):
            mean, error = mean_and_error(result.errors)
            colour = colours[result.arm.free or result.arm.optimizer]
            if result.arm.mode == "free":
                rows = [j for j, r in enumerate(own) if result.arm.optimizer == r.arm.free] + [i]
                for edge in (mean - 2 * error, mean + 2 * error):
                    panel.plot(
                        [edge, edge], [min(rows) - 0.4, max(rows) + 0.4], color=colour, lw=0.6
                    )
            panel.plot(
                result.errors, [i + 0.24] * len(result.errors), "|", color=FAINT, markersize=4
            )
            panel.errorbar(
                mean, i, xerr=2 * error, fmt=markers[result.arm.mode], color=colour, markersize=5
            )
        panel.set_yticks(range(len(own)), [str(result.arm) for result in own])
        panel.set_ylim(len(own) - 0.4, -0.6)
        panel.set_title(task, color=INK)
        panel.set_xlabel("test error, %")
        panel.grid(axis="y", visible=False)
    return figure


def main() -> None:
    """Train everything, and write table, figure and page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mnist", help="folder with the four idx files of MNIST")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--results", type=Path, help="JSON file to keep, or to show again")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    if arguments.results and arguments.results.exists():
        read = json.loads(arguments.results.read_text(encoding="utf-8"))
        found = [Result(**{**own, "arm": Arm(**own["arm"])}) for own in read]
    else:
        context = multiprocessing.get_context("spawn")  # one thread each: no bit depends on it
        with ProcessPoolExecutor(arguments.workers, context) as pool:
            found = results(pool, arguments.mnist)
        print(f"{time.perf_counter() - begin:.0f} s")
        if arguments.results:
            text = json.dumps([asdict(own) for own in found], indent=1)
            arguments.results.write_text(text, encoding="utf-8")
    lines = table(found)
    print(*lines, sep="\n")
    FIGURE.write_bytes(to_png(figure_of(found)))
    text = PAGE.read_text(encoding="utf-8")
    before, mark, rest = text.partition("<!-- training -->\n")
    _, end, after = rest.partition("<!-- end -->")
    assert mark, f"{PAGE} has no mark for the table"
    assert end, f"The table of {PAGE} does not end"
    PAGE.write_text("\n".join([before + mark + lines[0], *lines[1:], end + after]), "utf-8")


if __name__ == "__main__":
    main()
