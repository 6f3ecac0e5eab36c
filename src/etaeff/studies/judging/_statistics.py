"""The statistics that decide claims: arrays in, an estimate with its interval out.

All intervals are at 95 % over seeds.
"""

import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE: Final = 0.95
# Two results that differ by their seed alone differ by less than 1.96·√2 standard deviations
# in 95 of 100 cases: the repeatability limit of ISO 5725-6.
REPEATABILITY: Final = 1.96 * math.sqrt(2)
# Free coefficients of a smooth fit, less one.
SMOOTH_DEGREE: Final = 4


class Estimate(NamedTuple):
    """A statistic and its 95 % interval; NaN where there are too few values."""

    value: float
    low: float
    high: float


def seed_interval(values: ArrayLike, *, ratio: bool = False) -> Estimate:
    r"""Mean over seeds and its t-interval, $\bar x \pm t_{0.975,\,n-1}\, s/\sqrt n$.

    Args:
        values: One value for each seed; those that are not finite are left out.
        ratio: Whether the values are positive ratios: then mean and interval are those of
            their logarithms, and only positive values count.

    Examples:
        >>> [round(v, 3) for v in seed_interval([1.0, 2.0, 3.0])]
        [2.0, -0.484, 4.484]
        >>> seed_interval([1.0])
        Estimate(value=1.0, low=nan, high=nan)
    """
    x = np.asarray(values, dtype=float)
    if ratio:
        logs = seed_interval(np.log(x[x > 0]))
        with np.errstate(over="ignore"):  # an end that is past all numbers is infinite
            return Estimate(*np.exp(logs).tolist())
    x = x[np.isfinite(x)]
    if x.size < 2:
        return Estimate(float(x[0]) if x.size else math.nan, math.nan, math.nan)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, x.size - 1) * x.std(ddof=1) / math.sqrt(x.size)
    return Estimate(float(x.mean()), float(x.mean() - half), float(x.mean() + half))


def largest_difference(
    outcomes: ArrayLike, usual: ArrayLike | None = None
) -> tuple[Estimate, float]:
    r"""Largest difference between the mean outcomes of k settings, and what seeds alone do.

    $$D = \max_i \bar y_i - \min_i \bar y_i \pm q_{0.95;\,k,\,\nu}\, s / \sqrt n$$

    Settings are run with the same n seeds, so s is the residual deviation of the two-way
    table, after setting and seed, with ν = (k−1)(n−1); q is Tukey's studentised range, which
    bounds all differences at once.

    Args:
        outcomes: `(settings, seeds)`, at least two of each for an interval; no NaN.
        usual: `(settings, seeds)`, which outcomes σ is taken from; `None` for all. One run of
            many that diverges must not make everything else look like seeds' noise.

    Returns:
        The estimate of D, its lower end never below 0, and the repeatability limit 2.77 σ,
        with σ the standard deviation over seeds, pooled over the settings: two runs that
        differ by their seed alone are closer than this in 95 of 100 cases.

    Examples:
        >>> estimate, limit = largest_difference([[1.0, 1.2, 0.8], [3.0, 3.1, 2.9]])
        >>> round(estimate.value, 3), estimate.low > limit
        (2.0, True)

    References:
        Tukey 1953, "The problem of multiple comparisons"; ISO 5725-6:1994, 4.1.
    """
    y = np.asarray(outcomes, dtype=float)
    k, n = y.shape
    means = y.mean(axis=1)
    difference = float(means.max() - means.min())
    if n < 2 or k < 2:
        return Estimate(difference, math.nan, math.nan), math.nan
    residual = y - means[:, None] - y.mean(axis=0) + y.mean()
    freedom = (k - 1) * (n - 1)
    half = _tukey(k, freedom) * math.sqrt(float((residual**2).sum()) / freedom / n)
    limit = REPEATABILITY * math.sqrt(_pooled_variance(y, usual))
    return Estimate(difference, max(0.0, difference - half), difference + half), limit


def _pooled_variance(y: NDArray[np.float64], usual: ArrayLike | None) -> float:
    """Mean over settings of the variance over seeds; NaN if no setting has two usual ones."""
    kept = np.full(y.shape, fill_value=True) if usual is None else np.asarray(usual, dtype=bool)
    variances = [row[keep].var(ddof=1) for row, keep in zip(y, kept, strict=True) if keep.sum() > 1]
    return float(np.mean(variances)) if variances else math.nan


@lru_cache
def _tukey(settings: int, freedom: int) -> float:
    """The upper 5 % point of the studentised range of so many means."""
    return float(stats.studentized_range.ppf(CONFIDENCE, settings, freedom))


def power_law(y: ArrayLike, *predictors: ArrayLike) -> NDArray[np.float64]:
    r"""Exponents $b$ of the least-squares fit $\log y = a + \sum_j b_j \log x_j$.

    Args:
        y: Positive values, one for each run.
        predictors: Positive values of each $x_j$, one for each run.

    Returns:
        One exponent for each predictor; NaN where the runs do not determine them.

    Examples:
        >>> lr, wd = [0.1, 0.1, 0.3, 0.3], [0.01, 0.1, 0.01, 0.1]
        >>> y = [(a / b) ** 0.25 for a, b in zip(lr, wd)]
        >>> power_law(y, lr, wd).round(3).tolist()
        [0.25, -0.25]
    """
    columns = [np.log(np.asarray(x, dtype=float)) for x in predictors]
    design = np.column_stack([np.ones(len(columns[0])), *columns])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return np.full(len(columns), math.nan)
    solution, *_ = np.linalg.lstsq(design, np.log(np.asarray(y, dtype=float)), rcond=None)
    return np.asarray(solution[1:])


def unexplained(x: ArrayLike, y: ArrayLike) -> float:
    r"""Share of the variance of y that a smooth curve in x leaves.

    $$\frac{\mathrm{RSS} / (n - p)}{\mathrm{var}(y)}$$ for a polynomial with p = 5
    coefficients, or as many as x has different values: then the curve passes through the
    mean of each group, and it does not matter where on the axis the groups lie.

    Args:
        x: Predictor, on the scale on which the curve is to be smooth.
        y: Outcome.

    Returns:
        0 for a perfect fit, about 1 for none; NaN with too few runs or a constant outcome.

    Examples:
        >>> x = np.linspace(-1, 1, 30)
        >>> bool(unexplained(x, x**2) < 1e-20)
        True
        >>> round(unexplained([0, 0, 1, 1], [0.0, 1.0, 0.0, 1.0]), 3)
        1.5
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(x) < 2:
        return math.nan
    degree = min(SMOOTH_DEGREE, len(np.unique(x)) - 1)
    freedom = len(x) - degree - 1
    variance = float(y.var(ddof=1))
    if freedom < 1 or variance == 0:
        return math.nan
    if degree == 0:
        return 1.0
    curve = np.polynomial.Legendre.fit(x, y, degree)
    return float(((y - curve(x)) ** 2).sum()) / freedom / variance
