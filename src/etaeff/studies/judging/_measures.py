"""The measures that claims are made of: results of some trials in, a judged statistic out.

A `SeedStatistic` is one number from the trials of one seed. Its interval is taken over seeds.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from etaeff.records import SETTLED
from etaeff.studies.judging._claims import Measure, Measured
from etaeff.studies.judging._results import Results
from etaeff.studies.judging._statistics import (
    Estimate,
    largest_difference,
    power_law,
    seed_interval,
    unexplained,
)
from etaeff.theory import equilibrium

SeedStatistic = Callable[[Results], float]

SYMBOLS: Final = {
    "lr": "η",
    "wd": "λ",
    "init_scale": "initial scale",
    "decay_gains": "penalised gains",
}
UNKNOWN: Final = Estimate(math.nan, math.nan, math.nan)
# In float32 the mean radius may fall by this share of itself through rounding alone.
ROUNDING: Final = 1e-6


def per_seed(
    statistic: SeedStatistic, expected: tuple[float, float], *, ratio: bool = False
) -> Measure:
    """The mean of `statistic` over seeds, predicted to lie in the range `expected`.

    Args:
        statistic: One number from the trials of one seed.
        expected: The range, ends included.
        ratio: Whether the mean is the geometric one.
    """

    def measure(results: Results) -> Measured:
        values = [statistic(of_seed) for of_seed in results.by_seed.values()]
        return Measured(seed_interval(values, ratio=ratio), expected)

    return measure


def difference(
    *settings: str, claim: Literal["same", "different"], column: str = "test_error"
) -> Measure:
    """The largest difference between settings, predicted to be within what seeds do, or past it.

    Args:
        settings: Columns of `Results.trials` that tell the settings apart.
        claim: Whether the claim says that the settings give the same outcome.
        column: The outcome. Errors are given in percentage points.
    """

    def measure(results: Results) -> Measured:
        scale = 100.0 if column == "test_error" else 1.0
        if results.trials["diverged_epoch"].is_not_null().all():
            return Measured(UNKNOWN, (0.0, math.inf), "All trials diverged.")
        rows = results.trials.sort(*settings, "seed").with_columns(
            pl.col(column) * scale, usual=pl.col("diverged_epoch").is_null()
        )
        groups = rows.group_by(*settings, maintain_order=True).agg(column, "usual")
        outcomes = groups[column].to_list()
        estimate, limit = largest_difference(outcomes, groups["usual"].to_list())
        means = ", ".join(
            f"{_setting(setting)}: {np.mean(seeds):.3g}"
            for setting, seeds in zip(groups.select(settings).rows(), outcomes, strict=True)
        )
        names = ", ".join(SYMBOLS.get(setting, setting) for setting in settings)
        note = f"Means by {names}: {means}. Two seeds differ by up to {limit:.2g}."
        past = (math.nextafter(limit, math.inf), math.inf)  # so that none is no difference
        return Measured(estimate, (0.0, limit) if claim == "same" else past, note)

    return measure


def _setting(values: Sequence[object]) -> str:
    """The values of a setting as a note has them."""
    return " ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)


def effective_lr_span(*by: str) -> SeedStatistic:
    """Decades between the largest and the smallest final η_eff of runs that share `by`."""

    def span(results: Results) -> float:
        decades = pl.col("effective_lr").log10()
        spans = (decades.max() - decades.min()).over(by or pl.lit(0))
        return _mean(results.trials.select(spans).to_series())

    return span


def radius_falls(results: Results) -> float:
    """Share of the epochs in which a layer's mean radius falls, rounding aside."""
    change = pl.col("radius").diff() / pl.col("radius")
    falls = results.epochs.sort("epoch").select(
        (change < -ROUNDING).over("trial", "layer").alias("falls")
    )
    return _mean(falls["falls"].cast(pl.Float64))


def effective_lr_change(results: Results) -> float:
    """Decades by which η_eff changes from the first epoch to the last, mean over layers."""
    rows = (
        results.epochs.sort("epoch")
        .group_by("trial", "layer")
        .agg(
            (pl.col("effective_lr").last() / pl.col("effective_lr").first()).log10().alias("change")
        )
    )
    return _mean(rows["change"])


def settled(results: Results) -> pl.DataFrame:
    r"""Final values of the layers of runs of at least `SETTLED`/x steps, with their trials.

    x is the share of the weight that decay takes per step, ηλ/(1 − μ). With the penalty in
    the gradient, Adam and RMSProp divide λw by the gradient's root mean square
    $\sqrt{G/C}/r$, C entries to a block, so there $x = \eta\lambda r\sqrt{C/G}$.
    """
    trials = results.trials.drop("radius", "effective_lr", "angle", "grad_norm_sq")
    x = pl.col("lr") * pl.col("wd") / (1 - pl.col("momentum"))
    divided = x * pl.col("radius") * (pl.col("block_size") / pl.col("grad_norm_sq")).sqrt()
    rows = results.layers.join(trials, on="trial", maintain_order="left").with_columns(
        x=pl.when("divides_decay").then(divided).otherwise(x)
    )
    # A run counts whole or not at all, so that every layer has the same settings.
    return rows.filter(
        (pl.col("steps") * pl.col("x") >= SETTLED).fill_null(value=False).all().over("trial")
    )


def equilibrium_slope(column: str, predictor: Literal["lr", "wd"]) -> SeedStatistic:
    """Exponent of η or λ in the final `column` of settled runs, mean over layers."""

    def slope(results: Results) -> float:
        rows = settled(results)
        slopes = [
            power_law(layer[column], layer["lr"], layer["wd"])[0 if predictor == "lr" else 1]
            for layer in rows.partition_by("layer")
        ]
        return _mean(slopes)

    return slope


def slope_at_constant_product(results: Results) -> float:
    """Exponent of η in the final η_eff of settled runs while η²λ is held, mean over layers."""
    rows = settled(results)
    slopes = [
        power_law(layer["effective_lr"], layer["lr"], layer["lr"] ** 2 * layer["wd"])[0]
        for layer in rows.partition_by("layer")
    ]
    return _mean(slopes)


def radius_law(results: Results) -> float:
    """Measured r⁴ over its law ηG/(λ(2 − ηλ)), geometric mean over settled runs and layers."""
    rows = settled(results)
    if rows.is_empty():
        return math.nan
    law = equilibrium("sgd", lr=rows["lr"], wd=rows["wd"], grad_norm_sq=rows["grad_norm_sq"])
    radius = np.asarray(law.radius, dtype=float)
    return float(np.exp(np.mean(np.log(rows["radius_4"].to_numpy() / radius**4))))


def unexplained_errors(results: Results) -> dict[str, float]:
    """Share of the variance of log test error that η_eff, η and λ each leave unexplained."""
    rows = results.trials.filter(
        pl.col("effective_lr").is_finite() & (pl.col("test_error") > 0)
    ).with_columns(pl.col("wd").rank("dense"))
    error = np.log(rows["test_error"].to_numpy())
    return {
        name: unexplained(x, error)
        for name, x in (
            ("η_eff", np.log(rows["effective_lr"].to_numpy())),
            ("η", np.log(rows["lr"].to_numpy())),
            ("λ", rows["wd"].to_numpy()),
        )
    }


def collapse(better: str, than: Sequence[str], expected: tuple[float, float]) -> Measure:
    """What `better` leaves unexplained of the test error, over the least that `than` leave."""

    def measure(results: Results) -> Measured:
        shares = [unexplained_errors(of_seed) for of_seed in results.by_seed.values()]
        ratios = [
            _over_least(of_seed[better], [of_seed[name] for name in than]) for of_seed in shares
        ]
        means = ", ".join(
            f"{name} {100 * _mean([s[name] for s in shares]):.0f} %" for name in shares[0]
        )
        return Measured(
            seed_interval(ratios, ratio=True), expected, f"Unexplained variance: {means}."
        )

    return measure


def invariance(results: Results) -> Measured:
    """The largest change of the outputs under the factors without ε; a claim says below 1e-9.

    The note gives the defect, which is the change with the ε that the network trained with.
    """
    trained_with = pl.col("eps") == pl.col("eps").max()

    def largest(rows: Results, which: pl.Expr) -> float:
        return _mean([rows.rescalings.filter(which)["change"].max()])

    changes = [largest(of_seed, ~trained_with) for of_seed in results.by_seed.values()]
    measured = results.rescalings.drop_nulls("change")
    defects = measured.filter(trained_with).group_by("factor").agg(pl.col("change").max())
    shown = ", ".join(
        f"{value:.1e} at ×{factor:g}" for factor, value in defects.sort("factor").rows()
    )
    return Measured(
        seed_interval(changes),
        (-math.inf, 1e-9),  # an interval around almost nothing may reach below zero
        f"With the network's own ε = {_mean([results.rescalings['eps'].max()]):.0e}: {shown}.",
    )


def smallest_output_change(results: Results) -> float:
    """The smallest relative change of the outputs under any of the factors."""
    return _mean([results.rescalings["change"].min()])


def _over_least(share: float, others: Sequence[float]) -> float:
    """`share` over the least of the others that are numbers; NaN if that is not above zero."""
    least = min((value for value in others if math.isfinite(value)), default=0.0)
    return share / least if least > 0 else math.nan


def _mean(values: Iterable[Any]) -> float:
    """Mean of the values that are numbers; NaN if none is."""
    array = np.asarray(list(values), dtype=float)
    array = array[np.isfinite(array)]
    return float(array.mean()) if array.size else math.nan
