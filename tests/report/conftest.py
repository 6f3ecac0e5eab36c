"""Small studies of known numbers, in memory and in a folder."""

import json
from functools import partial
from itertools import product

import polars as pl
import pytest

from etaeff.records import Trial
from etaeff.report import write_report
from etaeff.report._claims import read_claims
from etaeff.report._frames import EPOCH_COLUMNS, RESCALE_COLUMNS, RESULT_COLUMNS, Frames

SOME = ("sgd", "adam", "adamw")
LAYERS = ("hidden1", "hidden2")


def trial_row(*, error=0.1, effective_lr=0.5, diverged=None, **specification):
    trial = Trial.of(
        **{"data": "digits", "train_size": 64, "lr": 0.1, "steps": 10, **specification}
    )
    return {
        "trial": trial.id,
        **trial.values,
        "diverged_epoch": diverged,
        "wall_seconds": 1.0,
        "test_error": 0.9 if diverged else error,
        "effective_lr": None if diverged else effective_lr,
    }


def trial_frame(*rows):
    """A row for each trial, once."""
    unique = {row["trial"]: row for row in rows}
    return pl.DataFrame(list(unique.values()), schema=RESULT_COLUMNS)


def settings(seeds=2, *, common=None, **values):
    """A row for every combination; seed s has an error of one point more than seed s − 1."""
    return [
        trial_row(
            **dict(zip(values, chosen, strict=True)),
            **{"error": 0.1 + 0.01 * seed, **(common or {})},
            seed=seed,
        )
        for chosen in product(*values.values())
        for seed in range(seeds)
    ]


def epoch_frame(trials, *, epochs=10, radius=1.0, gradient=1.0):
    """Every layer of every trial that did not diverge, with constant values."""
    rows = [
        {
            "trial": row["trial"], "epoch": epoch, "step": epoch, "layer": layer,
            "radius": radius, "radius_4": radius**4, "effective_lr": row["lr"] / radius**2,
            "angle": 0.01, "grad_norm_sq": gradient, "train_loss": 1.0, "test_loss": 1.0,
            "test_error": row["test_error"],
        }
        for row in trials.iter_rows(named=True)
        if row["diverged_epoch"] is None
        for epoch in range(1, epochs + 1)
        for layer in LAYERS
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=EPOCH_COLUMNS)


def rescale_frame(trials, changes):
    """`changes` by (factor, ε), the same for all trials."""
    rows = [
        {"trial": trial, "factor": factor, "eps": eps, "change": change}
        for trial in trials["trial"]
        for (factor, eps), change in changes.items()
    ]
    return pl.DataFrame(rows, schema=RESCALE_COLUMNS)


def all_arms():
    """Every arm that a figure shows, small."""
    wd = (0.0, 1e-2, 1e-1)
    rows = []
    for name in SOME:
        rows += settings(optimizer=(name,), lr=(0.01, 0.1), wd=wd)
        sphere = {"optimizer": (name,), "sphere": (True,), "lr": (0.03,), "wd": wd}
        rows += settings(**sphere)
        rows += settings(**sphere, decay_weights=(False,), decay_head=(True,))
    for norm in ("layer", "weight"):
        rows += settings(norm=(norm,), lr=(0.01, 0.1), wd=wd)
    rows += settings(norm=("none",), decay_head=(True,), lr=(0.01, 0.1), wd=wd)
    for name in SOME:
        noisy = {"optimizer": (name,), "random_labels": (0.5,), "lr": (0.01, 0.1)}
        rows += settings(**noisy, wd=(0.1, 0.3), common={"steps": 20000})
    for name, sphere in product(("sgd", "adam"), (False, True)):
        scales = {"init_scale": (0.1, 1.0, 10.0), "sphere": (sphere,)}
        rows += settings(optimizer=(name,), lr=(0.1,), **scales)
    rows += settings(decay_gains=("none", "all", "last"), wd=(1e-2, 1e-1))
    return trial_frame(*rows)


def finding(**changes):
    return {
        "claim": 1, "part": "sgd", "statistic": "slope", "unit": "", "estimate": 0.25, "low": 0.24,
        "high": 0.26, "expected_low": 0.2, "expected_high": 0.3, "seeds": 3, "trials": 12,
        "note": "", "verdict": "holds", **changes,
    }  # fmt: skip


def claim(*findings, **changes):
    return {
        "number": 1, "title": "A title", "statement": "A statement.", "source": "a paper",
        "verdict": "holds", "findings": list(findings) or [finding()], **changes,
    }  # fmt: skip


def content(*claims, **specification):
    """What `claims.json` holds."""
    return {
        "specification": {
            "study": "paper", "preset": "quick", "data": "digits", "data note": "",
            "image shape": [1, 8, 8], "classes": 10, "test examples": 20, "seeds": None,
            **specification,
        },
        "sessions": [{"started": "2026-01-02T03:04:05+00:00", "torch": "2.13.0", "seconds": 1.25}],
        "claims": list(claims) or [claim()],
    }  # fmt: skip


@pytest.fixture(scope="session")
def make():
    """The functions above by name: conftest files cannot be imported."""

    class Make:
        settings = staticmethod(settings)
        trials = staticmethod(trial_frame)
        trial = staticmethod(trial_row)
        epochs = staticmethod(epoch_frame)
        rescalings = staticmethod(rescale_frame)
        finding = staticmethod(finding)
        claim = staticmethod(claim)
        content = staticmethod(content)

        @staticmethod
        def frames(rows, *claims, epochs=None, rescalings=None, **specification):
            trials = rows if isinstance(rows, pl.DataFrame) else trial_frame(*rows)
            values = content(*claims, **specification)
            return Frames(
                trials=trials,
                epochs=epoch_frame(trials) if epochs is None else epochs,
                rescalings=rescale_frame(trials, {}) if rescalings is None else rescalings,
                claims=read_claims("claims.json", values["claims"]),
                specification=values["specification"],
                sessions=values["sessions"],
            )

    return Make


@pytest.fixture(scope="session")
def whole_study(make):
    """A study with rows for every figure."""
    trials = all_arms()
    changes = {(2.0, 1e-5): 1e-4, (2.0, 1e-30): 0.0, (1e3, 1e-5): 1e-3, (1e3, 1e-30): 1e-16}
    return make.frames(trials, rescalings=rescale_frame(trials, changes))


def write(folder, frames, values=None):
    """Write a study's files into a folder and return it."""
    frames.trials.write_parquet(folder / "results.parquet")
    frames.epochs.write_parquet(folder / "epochs.parquet")
    if not frames.rescalings.is_empty():
        frames.rescalings.write_parquet(folder / "rescalings.parquet")
    text = json.dumps(content() if values is None else values)
    (folder / "claims.json").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def write_study(tmp_path):
    """As `write`, into the test's own folder."""
    return partial(write, tmp_path)


@pytest.fixture(scope="session")
def reported(whole_study, tmp_path_factory):
    """The folder of the study with all figures, and its report."""
    folder = write(tmp_path_factory.mktemp("study"), whole_study)
    write_report(folder)
    return folder
