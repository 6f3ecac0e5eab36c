"""Train a stack of trials and write down what happened.

The trials of a stack train side by side in one batched model and do not touch each other: one
that diverges fills its own slice with NaN and no other.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from etaeff.geometry import normalize
from etaeff.records import EpochRow, LayerRow, OutcomeRow, RescaleRow, Trial, TrialResults
from etaeff.studies.data._dataset import Dataset
from etaeff.studies.engine._architecture import Architecture
from etaeff.studies.engine._measurement import (
    NO_EPS,
    RESCALE_FACTORS,
    LayerMeter,
    output_change,
)
from etaeff.studies.engine._networks import (
    EPS,
    Running,
    initial_parameters,
    initial_running,
    logits,
)
from etaeff.studies.engine._optimizers import StackedOptimizer
from etaeff.theory import lr_schedule

# Measuring a step costs about half as much as taking it; one in six is enough for a mean.
MEASURE_EVERY = 6
RESCALE_EXAMPLES = 256
MILESTONES = "cifar"  # of the step schedule


class EpochMeans(NamedTuple):
    """What one epoch of a stack came to, with a number for each trial in the inner lists.

    Plain numbers: thousands of tiny tensors that outlive the large ones between them keep the
    allocator from using that memory again.
    """

    step: int
    losses: list[list[float]]  # training loss, test loss, test error
    layers: Mapping[str, list[list[float]]]  # as `LayerMeans`


def schedule_factors(schedule: str, steps: int) -> list[float]:
    """What the learning rate is multiplied by at each step of a run.

    Examples:
        >>> [round(factor, 3) for factor in schedule_factors("cosine", 4)]
        [1.0, 0.854, 0.5, 0.146]
    """
    factors: list[float] = lr_schedule(
        schedule, lr=1.0, steps=steps, milestones=MILESTONES
    ).tolist()
    return factors


@torch.no_grad()
def train_stack(trials: Sequence[Trial], data: Dataset) -> TrialResults:
    """Train `trials`, which must agree in everything that shapes the computation.

    Args:
        trials: The trials, with the same `stack_key`.
        data: The data set that the trials name, with `train_size` training examples.

    Returns:
        The rows of all trials.
    """
    started = time.perf_counter()
    stack = _Stack(trials, data)
    epochs = list(stack.train())
    changes = [
        (factor, eps, stack.output_change(factor, eps))
        for eps in (EPS, NO_EPS)
        for factor in RESCALE_FACTORS
    ]
    wall = (time.perf_counter() - started) / len(trials)
    return _rows(trials, epochs, changes, wall)


class _Stack:
    """The state of a stack in training."""

    def __init__(self, trials: Sequence[Trial], data: Dataset) -> None:
        self.architecture = Architecture.of(trials[0], data.train_x.shape[1:], data.classes)
        self.trials = trials
        self.train_x = torch.from_numpy(data.train_x)
        self.test_x = torch.from_numpy(data.test_x)
        self.test_y = torch.from_numpy(data.test_y)
        labels = [training_labels(trial, data) for trial in trials]
        self.train_y = torch.from_numpy(np.stack(labels))
        initial = [initial_parameters(self.architecture, trial) for trial in trials]
        self.parameters = {name: torch.stack([p[name] for p in initial]) for name in initial[0]}
        self.weights = list(self.architecture.weight_shapes)
        self.running: Running = initial_running(self.architecture, len(trials))
        self.optimizer = StackedOptimizer(trials, self.parameters)
        self.factors = [schedule_factors(trial.arm.schedule, trial.task.steps) for trial in trials]
        self.meters = {
            name: LayerMeter(trials, self.architecture.block_dims(name)) for name in self.weights
        }
        self.project()

    def project(self) -> None:
        """The paper's remedy, where the trials ask for it: w ← w/‖w‖."""
        if not self.trials[0].arm.sphere:
            return
        for name in self.weights:
            p = self.parameters[name]
            p.copy_(normalize(p, self.architecture.block_dims(name)))

    def train(self) -> Iterator[EpochMeans]:
        """Train to the end, an epoch at a time."""
        task = self.trials[0].task
        steps, per_epoch = task.steps, task.steps_per_epoch
        orders = {trial.seed: np.random.default_rng([trial.seed, 1]) for trial in self.trials}
        for begin in range(0, steps, per_epoch):
            n = len(self.train_x)
            shuffled = {seed: rng.permutation(n) for seed, rng in orders.items()}
            order = torch.from_numpy(np.stack([shuffled[trial.seed] for trial in self.trials]))
            batches = order.split(task.batch_size, dim=1)[: min(per_epoch, steps - begin)]
            losses = [
                self.step(batch, begin + i, measured=i % MEASURE_EVERY == 0)
                for i, batch in enumerate(batches)
            ]
            # One by one: the order of a reduction in torch depends on the size of the stack.
            train_loss = sum(losses[1:], start=losses[0]) / len(losses)
            layers = {
                name: torch.stack(meter.means()).tolist() for name, meter in self.meters.items()
            }
            all_losses = torch.stack([train_loss, *self.test()]).tolist()
            yield EpochMeans(begin + len(batches), all_losses, layers)

    def step(self, batch: Tensor, step: int, *, measured: bool = False) -> Tensor:
        """One optimiser step on examples `batch` (T, B); the loss of each trial before it."""
        factors = [of_trial[step] for of_trial in self.factors]
        loss, gradients = self.gradients(self.train_x[batch], self.train_y.gather(1, batch))
        meters = self.meters if measured else {}
        for name, meter in meters.items():
            meter.before(self.parameters[name], gradients[name], factors)
        self.optimizer.step(gradients.values(), factors)
        self.project()
        for name, meter in meters.items():
            meter.after(self.parameters[name])
        return loss

    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of each trial and its gradients, by parameter."""
        with torch.enable_grad():
            leaves = {name: p.detach().requires_grad_() for name, p in self.parameters.items()}
            out = logits(self.architecture, leaves, x, running=self.running)
            loss = F.cross_entropy(out, y, reduction="none").mean(dim=1)
            gradients = torch.autograd.grad(loss.sum(), list(leaves.values()))
        return loss.detach(), dict(zip(leaves, gradients, strict=True))

    def test(self) -> tuple[Tensor, Tensor]:
        """Loss and error of each trial on the test part."""
        count, loss, wrong = len(self.test_y), torch.zeros(()), torch.zeros(())
        for x, y in zip(self.test_x.split(256), self.test_y.split(256), strict=True):
            out = logits(
                self.architecture, self.parameters, x, running=self.running, training=False
            )
            targets = y.expand(len(self.trials), -1)
            loss = loss + F.cross_entropy(out, targets, reduction="none").sum(dim=1)
            # Right is what has its target's output above all others. Not argmax, which takes
            # ten times as long along this axis, and which would call a tie right.
            not_below = out >= out.gather(1, targets.unsqueeze(1))
            wrong = wrong + (not_below.sum(dim=1) != 1).sum(dim=1)
        return loss / count, wrong / count

    def output_change(self, factor: float, eps: float) -> Tensor:
        """How far scaling the normalised weights moves the outputs."""
        x = self.train_x[:RESCALE_EXAMPLES]
        return output_change(self.architecture, self.parameters, x, factor=factor, eps=eps)


def training_labels(trial: Trial, data: Dataset) -> NDArray[np.int64]:
    """The training labels, the arm's share of them replaced by labels drawn at random."""
    labels = data.train_y.copy()
    rng = np.random.default_rng([trial.seed, 2])
    chosen = rng.permutation(len(labels))[: round(trial.arm.random_labels * len(labels))]
    labels[chosen] = rng.integers(data.classes, size=len(chosen))
    return labels


def _rows(
    trials: Sequence[Trial],
    epochs: Sequence[EpochMeans],
    changes: Sequence[tuple[float, float, Tensor]],
    wall: float,
) -> TrialResults:
    """The rows of every trial; what is not finite, or follows divergence, is `None`."""
    losses = _table([e.losses for e in epochs])
    layers = {name: _table([e.layers[name] for e in epochs]) for name in epochs[0].layers}
    change = _table([[value.tolist()] for *_, value in changes])
    results = TrialResults([], [], [], [])
    for i, trial in enumerate(trials):
        bad = np.flatnonzero(~np.isfinite(losses[i]).all(axis=1))
        diverged = int(bad[0]) + 1 if len(bad) else None
        alive = len(epochs) if diverged is None else diverged - 1
        results.outcomes.append(OutcomeRow(trial.id, diverged, wall))
        for row, (factor, eps, _) in enumerate(changes):
            value = _values(change[i, row], diverged is None)[0]
            results.rescalings.append(RescaleRow(trial.id, factor, eps, value))
        for row, epoch in enumerate(epochs):
            number, live = row + 1, row < alive
            values = _values(losses[i, row], live)
            results.epochs.append(EpochRow(trial.id, number, epoch.step, *values))
            for name, table in layers.items():
                means = _values(table[i, row], live)
                results.layers.append(LayerRow(trial.id, number, name, *means))
    return results


def _table(rows: Sequence[list[list[float]]]) -> NDArray[np.float64]:  # (T, rows, columns)
    """A table for each trial of what each row has for all of them."""
    return np.asarray(rows).transpose(2, 0, 1)


def _values(values: NDArray[np.float64], live: bool) -> list[float | None]:
    """The numbers that are finite, where the trial is `live`; `None` for the others."""
    return [v if live and math.isfinite(v) else None for v in values.tolist()]
