"""Which trials a figure shows, and their means over seeds."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any, Final

import polars as pl

from etaeff.records import DECAY_FIELDS, OPTIMIZERS, Arm

# A trial of the free grid under batch normalisation: λ acts on the normalised weights alone.
PLAIN: Final[Mapping[str, Any]] = asdict(Arm())


def select(trials: pl.DataFrame, *, free: Collection[str] = (), **changed: Any) -> pl.DataFrame:
    """The trials that are `PLAIN` but for what is `changed`.

    Args:
        trials: A row for each trial.
        free: Columns that may have any value.
        changed: Columns and the values that they must have instead of the plain ones.
    """
    wanted = {**PLAIN, **changed}
    # A trial without decay is one trial, whatever the decay would have acted on.
    undecayed = pl.col("wd") == 0
    return trials.filter(
        pl.col(name).eq_missing(pl.lit(value)) | (undecayed & pl.lit(name in DECAY_FIELDS))
        for name, value in wanted.items()
        if name not in free
    )


def grid(trials: pl.DataFrame, **changed: Any) -> pl.DataFrame:
    """The (η, λ) grid of each optimiser among the selected trials.

    A few settings are run at another length as well, to be compared with other arms. The grid
    is the length with the most settings.
    """
    arm = ["optimizer", "norm"]
    settings = pl.struct("lr", "wd").n_unique().over(*arm, "steps").alias("settings")
    rows = select(trials, **changed).with_columns(settings)
    most = rows.filter(pl.col("settings") == pl.col("settings").max().over(arm))
    return most.filter(pl.col("steps") == pl.col("steps").max().over(arm)).drop("settings")


def noisy(trials: pl.DataFrame, optimizer: str) -> pl.DataFrame:
    """The trials of an optimiser on partly random labels."""
    arm = select(trials, free=["random_labels"], optimizer=optimizer)
    return arm.filter(pl.col("random_labels") > 0)


def by_setting(trials: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """A row for each setting of `keys`, in their order: what its seeds gave.

    Returns:
        The columns `keys`, then `error` and `spread` (mean and standard deviation of the test
        error over the seeds that did not diverge, percent), `effective_lr` (geometric mean),
        `seeds` (all of them) and `diverged` (how many did).
    """
    diverged = pl.col("diverged_epoch").is_not_null()
    error = 100 * pl.col("test_error")
    rate = pl.col("effective_lr").filter(
        ~diverged & pl.col("effective_lr").is_finite() & (pl.col("effective_lr") > 0)
    )
    rows = trials.group_by(keys).agg(
        error=error.filter(~diverged).mean(),
        spread=error.filter(~diverged).std(),
        effective_lr=rate.log().mean().exp(),
        seeds=pl.len().cast(pl.Int64),
        diverged=diverged.sum().cast(pl.Int64),
    )
    return rows.sort(keys)


def in_order(names: Collection[str]) -> list[str]:
    """Optimisers in the order of the study."""
    known = [name for name in OPTIMIZERS if name in names]
    return known + sorted(set(names) - set(known))


def one_lr(rows: pl.DataFrame) -> pl.DataFrame:
    """For each optimiser, the trials of the one η with the most seeds, or the middle one.

    Settings that a claim compares with each other have more seeds than the rest of a grid.
    """
    kept = []
    for _, of_optimizer in rows.group_by("optimizer", maintain_order=True):
        counts = of_optimizer.group_by("lr").len().sort("lr")
        most = counts.filter(pl.col("len") == pl.col("len").max())["lr"]
        kept.append(of_optimizer.filter(pl.col("lr") == most[(len(most) - 1) // 2]))
    return pl.concat(kept) if kept else rows
