"""One thread, and results of a study with the columns of `collect` and what a test says."""

import math
from dataclasses import dataclass, field
from typing import get_args, get_type_hints

import polars as pl
import pytest
import torch

from etaeff.studies.judging._results import Results
from etaeff.theory import Setting


@dataclass
class Outcome:
    """What became of one trial. `layers` and `path` override the quantities above them."""

    error: float | None = 0.1
    radius: float | None = 1.0
    effective_lr: float | None = 0.1
    angle: float | None = 0.01
    grad_norm_sq: float | None = 1.0
    radius_4: float | None = None
    block_size: int = 64
    names: tuple[str, ...] = ("hidden1", "hidden2")
    layers: dict = field(default_factory=dict)  # by name, only what differs
    path: tuple[tuple[float, float], ...] = ()  # radius and η_eff, an epoch each
    changes: dict = field(default_factory=dict)  # by factor and ε
    diverged: bool = False

    def layer(self, name):
        values = {
            "radius": self.radius,
            "radius_4": self.radius_4,
            "effective_lr": self.effective_lr,
            "angle": self.angle,
            "grad_norm_sq": self.grad_norm_sq,
        } | self.layers.get(name, {})
        if values["radius_4"] is None and values["radius"] is not None:
            values["radius_4"] = values["radius"] ** 4
        return values


FLOAT = pl.Float64
LAYER = {
    "radius": FLOAT, "radius_4": FLOAT, "effective_lr": FLOAT, "angle": FLOAT,
    "grad_norm_sq": FLOAT,
}  # fmt: skip
LOSSES = {"train_loss": FLOAT, "test_loss": FLOAT, "test_error": FLOAT}
# What a setting has beside its optimiser, η and λ.
KINDS = {float: FLOAT, bool: pl.Boolean, str: pl.String, tuple[float, float]: pl.List(FLOAT)}
HYPERPARAMETERS = {
    name: KINDS[get_args(kind)[0]]
    for name, kind in get_type_hints(Setting).items()
    if name not in ("optimizer", "lr", "wd")
}
SCHEMAS = {
    "trials": {
        "trial": pl.String, "data": pl.String, "train_size": pl.Int64, "network": pl.String,
        "width": pl.Int64, "norm": pl.String, "optimizer": pl.String, "lr": FLOAT,
        "lr_rest": FLOAT, "wd": FLOAT, "sphere": pl.Boolean, "decay_weights": pl.Boolean,
        "decay_head": pl.Boolean, "decay_gains": pl.String, "init_scale": FLOAT,
        "random_labels": FLOAT, "schedule": pl.String, "steps": pl.Int64,
        "batch_size": pl.Int64, "seed": pl.Int64, **HYPERPARAMETERS,
        "divides_decay": pl.Boolean,
        "diverged_epoch": pl.Int64, "wall_seconds": FLOAT, **LOSSES,
        "radius": FLOAT, "effective_lr": FLOAT, "angle": FLOAT, "grad_norm_sq": FLOAT,
    },
    "layers": {"trial": pl.String, "layer": pl.String, **LAYER, "block_size": pl.Int64},
    "epochs": {
        "trial": pl.String, "epoch": pl.Int64, "layer": pl.String, **LAYER, "step": pl.Int64,
        **LOSSES,
    },
    "rescalings": {"trial": pl.String, "factor": FLOAT, "eps": FLOAT, "change": FLOAT},
}  # fmt: skip


def _geometric(values):
    known = [v for v in values if v is not None]
    return math.exp(sum(map(math.log, known)) / len(known)) if known else None


def _results(outcomes):
    """`Results` of pairs of a trial and its `Outcome`."""
    rows = {name: [] for name in SCHEMAS}
    for trial, outcome in outcomes:
        layers = {} if outcome.diverged else {n: outcome.layer(n) for n in outcome.names}
        rows["trials"].append(
            {
                "trial": trial.id, **trial.values, "momentum": trial.momentum,
                "divides_decay": trial.setting.optimizer in ("adam", "rmsprop"),
                "diverged_epoch": 1 if outcome.diverged else None, "wall_seconds": 1.0,
                "train_loss": None if outcome.diverged else 0.3,
                "test_loss": None if outcome.diverged else 0.5,
                "test_error": 0.9 if outcome.diverged else outcome.error,
                **{
                    name: _geometric(values[name] for values in layers.values())
                    for name in ("radius", "effective_lr", "angle", "grad_norm_sq")
                },
            }
        )  # fmt: skip
        rows["layers"] += [
            {"trial": trial.id, "layer": name, **values, "block_size": outcome.block_size}
            for name, values in layers.items()
        ]
        path = outcome.path or ((outcome.radius, outcome.effective_lr),) * 2
        rows["epochs"] += [
            {
                "trial": trial.id, "epoch": epoch, "layer": name, "step": epoch,
                **(dict.fromkeys(LAYER) if outcome.diverged else {
                    **outcome.layer(name), "radius": radius, "effective_lr": effective_lr,
                    "train_loss": 0.3, "test_loss": 0.5, "test_error": outcome.error}),
            }
            for epoch, (radius, effective_lr) in enumerate(path, 1)
            for name in outcome.names
        ]  # fmt: skip
        rows["rescalings"] += [
            {
                "trial": trial.id, "factor": factor, "eps": eps,
                "change": None if outcome.diverged else change,
            }
            for (factor, eps), change in outcome.changes.items()
        ]  # fmt: skip
    return Results(*(pl.DataFrame(rows[name], schema=SCHEMAS[name]) for name in SCHEMAS))


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """As a worker of a study has: then no result depends on the machine's cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def outcome():
    """Makes an `Outcome`."""
    return Outcome


@pytest.fixture(scope="session")
def synthetic():
    """Makes `Results` of pairs of a trial and its outcome."""
    return _results


@pytest.fixture(scope="session")
def schemas():
    """The columns of every frame of `Results`."""
    return SCHEMAS
