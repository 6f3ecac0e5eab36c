"""The rows of a study as frames, with what claims need worked out once.

"Final" means averaged over the last tenth of a trial's epochs, which takes the noise of the
last step out. A trial that diverged has no final values but for its test error, which is that
of guessing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_type_hints

import polars as pl

from etaeff.records import TABLES, TAIL, StudyStore, Trial
from etaeff.studies.engine._architecture import Architecture
from etaeff.theory.settings import Setting, optimizer_of

# Types of the columns of hyperparameters that only some optimisers have.
_KINDS: Final[Mapping[Any, Any]] = {
    float | None: pl.Float64,
    bool | None: pl.Boolean,
    str | None: pl.String,
    tuple[float, float] | None: pl.List(pl.Float64),
}
_HYPERPARAMETERS: Final = {
    name: _KINDS[kind] for name, kind in get_type_hints(Setting).items() if kind in _KINDS
}


@dataclass(frozen=True)
class Results:
    """All rows of the finished trials of a study.

    Attributes:
        trials: A row for each trial: its specification, what became of it, its final losses,
            error, and the geometric means over its layers of the final radius and rate.
        layers: A row for each trial and layer, with final values and the size of a block.
        epochs: A row for each trial, epoch and layer.
        rescalings: A row for each trial, factor and ε.
    """

    trials: pl.DataFrame
    layers: pl.DataFrame
    epochs: pl.DataFrame
    rescalings: pl.DataFrame

    def of(self, ids: Iterable[str]) -> "Results":
        """The rows of the trials with these ids alone."""
        wanted = pl.col("trial").is_in(list(ids))
        frames = (self.trials, self.layers, self.epochs, self.rescalings)
        return Results(*(frame.filter(wanted) for frame in frames))

    @property
    def by_seed(self) -> dict[int, "Results"]:
        """The rows of each seed's trials, by seed."""
        return {
            seed: self.of(self.trials.filter(pl.col("seed") == seed)["trial"])
            for seed in self.trials["seed"].unique().sort()
        }


def collect(store: StudyStore, in_shape: Sequence[int], classes: int) -> Results:
    """Read a study.

    Args:
        store: The study.
        in_shape: `(channels, height, width)` of one example.
        classes: Number of classes of its data.
    """
    trials = store.trials
    specifications = pl.DataFrame(
        [_specification(trial) for trial in trials],
        schema_overrides={"lr_rest": pl.Float64, **_HYPERPARAMETERS},
        infer_schema_length=None,
    )
    outcome, epoch, layer, rescaling = (_frame(store, table) for table in TABLES)
    outcome = outcome.with_columns(pl.col("diverged_epoch").cast(pl.Int64))
    tail = pl.col("epoch") > (1 - TAIL) * pl.col("epoch").max().over("trial")
    sizes = pl.DataFrame(
        [
            {"trial": trial.id, "layer": name, "block_size": architecture.block_size(name)}
            for trial in trials
            for architecture in [Architecture.of(trial, tuple(in_shape), classes)]
            for name in architecture.weight_shapes
        ]
    )
    layers = _final(layer, tail, ["trial", "layer"], outcome).join(sizes, on=["trial", "layer"])
    radii = layers.group_by("trial", maintain_order=True).agg(
        pl.col("radius", "effective_lr", "angle", "grad_norm_sq").log().mean().exp()
    )
    chance = 1 - 1 / classes
    summary = (
        specifications.join(outcome, on="trial", maintain_order="left")
        .join(_final(epoch, tail, ["trial"], outcome), on="trial", how="left")
        .join(radii, on="trial", how="left")
        .with_columns(pl.col("test_error").fill_null(chance))
    )
    return Results(summary, layers, layer.join(epoch, on=["trial", "epoch"]), rescaling)


def _specification(trial: Trial) -> dict[str, Any]:
    """A trial's row: all that was specified, and what torch's defaults make of its setting.

    Hyperparameters that the optimiser does not have are `None`, and the momentum is 0.
    `divides_decay` says whether λw is divided with the gradient.
    """
    optimizer = optimizer_of(trial.setting.optimizer)
    decay = trial.setting.decay or optimizer.usual_decay
    stated = {**optimizer.defaults, **trial.setting.arguments(), "decay": decay}
    return {
        "trial": trial.id,
        **trial.values,
        **{name: stated.get(name) for name in _HYPERPARAMETERS},
        "momentum": trial.momentum,
        "divides_decay": optimizer.laws[decay].lr_power == 2,
    }


def _frame(store: StudyStore, table: str) -> pl.DataFrame:
    """All rows of a table."""
    names = TABLES[table]._fields  # type: ignore[attr-defined]
    schema: dict[str, Any] = {
        name: {"trial": pl.String, "layer": pl.String, "epoch": pl.Int64, "step": pl.Int64}.get(
            name, pl.Float64
        )
        for name in names
    }
    return pl.DataFrame(store.rows(table), schema=schema, orient="row", strict=False)


def _final(
    rows: pl.DataFrame, tail: pl.Expr, keys: list[str], outcome: pl.DataFrame
) -> pl.DataFrame:
    """Means over the tail by `keys`, of the trials that did not diverge."""
    values = [name for name in rows.columns if name not in (*keys, "epoch", "step")]
    alive = outcome.filter(pl.col("diverged_epoch").is_null()).select("trial")
    means = rows.filter(tail).group_by(keys, maintain_order=True).agg(pl.col(values).mean())
    return means.join(alive, on="trial", how="semi").with_columns(
        pl.when(pl.col(name).is_finite()).then(pl.col(name)) for name in values
    )
