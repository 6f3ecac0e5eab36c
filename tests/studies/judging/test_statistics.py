import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from etaeff.studies.judging._statistics import (
    Estimate,
    largest_difference,
    power_law,
    seed_interval,
    unexplained,
)

DRAWS = 2000
VALUES = st.floats(-1e3, 1e3)


def t_interval(values):
    """The same interval by scipy, which knows the standard error by another road."""
    return stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))


@given(st.lists(VALUES, min_size=2, max_size=12))
def test_the_interval_over_seeds_is_students(values):
    assume(np.ptp(values) > 1e-6)
    found = seed_interval(values)
    assert found.value == pytest.approx(np.mean(values), rel=1e-12, abs=1e-12)
    assert (found.low, found.high) == pytest.approx(t_interval(values), rel=1e-9, abs=1e-9)


@given(st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=12))
def test_the_interval_of_a_ratio_is_that_of_its_logarithm(values):
    assume(np.ptp(values) > 1e-6)
    found = seed_interval(values, ratio=True)
    assert found.value == pytest.approx(stats.gmean(values), rel=1e-12)
    low, high = t_interval(np.log(values))
    assert math.log(found.low) == pytest.approx(low, rel=1e-9, abs=1e-9)
    assert math.log(found.high) == pytest.approx(high, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("ratio", [False, True])
def test_values_that_are_not_finite_are_left_out(ratio):
    clean = seed_interval([1.0, 2.0, 4.0], ratio=ratio)
    assert seed_interval([math.nan, 1.0, 2.0, math.inf, 4.0], ratio=ratio) == clean


def test_a_ratio_takes_no_values_that_are_not_positive():
    clean = seed_interval([1.0, 2.0, 4.0], ratio=True)
    assert seed_interval([0.0, 1.0, 2.0, -3.0, 4.0], ratio=True) == clean


@pytest.mark.parametrize("ratio", [False, True])
def test_one_value_has_no_interval_and_none_has_no_mean(ratio):
    one = seed_interval([3.0], ratio=ratio)
    assert one.value == pytest.approx(3.0)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert all(math.isnan(v) for v in seed_interval([], ratio=ratio))
    assert all(math.isnan(v) for v in seed_interval([math.nan], ratio=ratio))


def test_equal_values_have_an_interval_of_no_width():
    assert seed_interval([2.0, 2.0, 2.0]) == Estimate(2.0, 2.0, 2.0)


def test_a_ratio_that_seeds_hardly_determine_has_an_interval_without_end():
    found = seed_interval([1e-60, 1e60], ratio=True)
    assert found.value == pytest.approx(1.0)
    assert found.low == 0
    assert found.high == math.inf


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("ratio", [False, True])
def test_the_interval_over_seeds_covers_the_truth_in_95_of_100_cases(seeds, ratio):
    draws = np.random.default_rng(0).normal(1.5, 2.0, (DRAWS, seeds))
    truth = math.exp(1.5) if ratio else 1.5
    found = [seed_interval(np.exp(x) if ratio else x, ratio=ratio) for x in draws]
    covered = np.mean([low <= truth <= high for _, low, high in found])
    assert covered == pytest.approx(0.95, abs=0.02)


def table(rng, means, seeds, *, between=1.0, within=0.5):
    """Outcomes of settings with these means; a seed shifts all settings alike."""
    shared = rng.normal(0, between, seeds)
    return np.asarray(means)[:, None] + shared + rng.normal(0, within, (len(means), seeds))


def test_the_largest_difference_is_the_two_way_table_worked_out_by_hand():
    # Settings 1, 2 and 4 above the mean of seeds 0, 1 and 5, with residuals that sum to zero
    # along both axes: (1, −1, 0), (−1, 1, 0), (0, 0, 0). Four in all, over 2·2 degrees.
    residual = np.array([[1, -1, 0], [-1, 1, 0], [0, 0, 0]])
    y = np.add.outer([1.0, 2.0, 4.0], [0.0, 1.0, 5.0]) + residual
    q = 5.040  # studentised range, 3 settings and 4 degrees of freedom, from printed tables
    estimate, limit = largest_difference(y)
    assert estimate.value == pytest.approx(3.0)
    half = q * math.sqrt(1.0) / math.sqrt(3)
    assert estimate.high == pytest.approx(3 + half, abs=1e-3)
    assert estimate.low == pytest.approx(max(0, 3 - half), abs=1e-3)
    # Variances over seeds: (2, 1, 6), (1, 4, 7) and (4, 5, 9) have 7, 9 and 7.
    assert limit == pytest.approx(1.96 * math.sqrt(2 * (7 + 9 + 7) / 3))


def test_the_largest_difference_without_seed_effects_agrees_with_tukeys_test():
    # scipy's test is for one way: give the rows a common centre, and only the degrees differ.
    rng = np.random.default_rng(0)
    y = table(rng, [0.0, 1.0, 2.0, 5.0], 6, between=0.0)
    y -= y.mean(axis=0) - np.mean(y)
    one_way = stats.tukey_hsd(*y).confidence_interval(0.95)
    k, n = y.shape
    by_hand = (one_way.high[3, 0] - one_way.low[3, 0]) / 2
    degrees = stats.studentized_range.ppf(0.95, k, (k - 1) * (n - 1)) / (
        stats.studentized_range.ppf(0.95, k, k * (n - 1))
    )
    pooled = math.sqrt(k * (n - 1) / ((k - 1) * (n - 1)))
    estimate, _ = largest_difference(y)
    half = estimate.high - estimate.value
    assert half == pytest.approx(by_hand * degrees * pooled, rel=1e-6)


@pytest.mark.parametrize(("settings", "seeds"), [(2, 5), (4, 3), (5, 5)])
def test_the_interval_bounds_all_differences_at_once_in_95_of_100_cases(settings, seeds):
    # With equal means every difference of two settings must lie within the half width.
    rng = np.random.default_rng(0)
    held = []
    for _ in range(DRAWS):
        estimate, _ = largest_difference(table(rng, np.zeros(settings), seeds))
        held.append(estimate.low == 0)
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("means", [(0.0, 3.0), (0.0, 1.0, 2.0, 4.0), (0.0, 4.0, 4.0)])
def test_the_interval_covers_the_true_difference_at_least_95_times_in_100(means):
    rng = np.random.default_rng(1)
    truth = max(means) - min(means)
    found = [largest_difference(table(rng, means, 5))[0] for _ in range(DRAWS)]
    assert np.mean([low <= truth <= high for _, low, high in found]) > 0.94


def test_two_seeds_of_one_setting_are_closer_than_the_limit_in_95_of_100_cases():
    rng = np.random.default_rng(0)
    _, limit = largest_difference(rng.normal(7.0, 2.0, (40, 200)))
    pairs = rng.normal(7.0, 2.0, (20000, 2))
    assert np.mean(np.abs(pairs[:, 0] - pairs[:, 1]) < limit) == pytest.approx(0.95, abs=0.005)


def test_the_limit_is_taken_from_the_usual_outcomes_alone():
    y = [[1.0, 3.0, 90.0], [2.0, 4.0, 9.0]]
    usual = [[True, True, False], [True, True, True]]
    everything, limit = largest_difference(y)
    own, narrower = largest_difference(y, usual)
    assert own == everything  # the difference is that of all outcomes
    # Variances: 2 of (1, 3), and 13 of (2, 4, 9).
    assert narrower == pytest.approx(1.96 * math.sqrt(2 * (2 + 13) / 2))
    assert narrower < limit


def test_a_setting_with_one_usual_outcome_says_nothing_about_seeds():
    y = [[1.0, 3.0, 90.0], [2.0, 4.0, 9.0]]
    _, limit = largest_difference(y, [[True, False, False], [True, True, True]])
    assert limit == pytest.approx(1.96 * math.sqrt(2 * 13))
    _, limit = largest_difference(y, [[True, False, False], [False, False, True]])
    assert math.isnan(limit)


@given(st.integers(0, 999), st.floats(-100, 100), st.floats(0.01, 100))
def test_the_largest_difference_does_not_see_shifts_of_seeds_and_keeps_units(seed, shift, scale):
    rng = np.random.default_rng(seed)
    y = rng.normal(0, 1, (3, 4))
    moved = scale * (y + shift * rng.normal(0, 1, 4))
    one, other = largest_difference(y)[0], largest_difference(moved)[0]
    assert other == pytest.approx([scale * v for v in one], rel=1e-6, abs=1e-9 * scale)


@pytest.mark.parametrize("outcomes", [[[1.0], [3.0]], [[1.0, 3.0, 2.0]]])
def test_one_seed_or_one_setting_has_no_interval(outcomes):
    estimate, limit = largest_difference(outcomes)
    assert estimate.value == (2.0 if len(outcomes) == 2 else 0.0)
    assert all(math.isnan(v) for v in (estimate.low, estimate.high, limit))


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(1e-3, 1e3), st.integers(0, 999))
def test_a_power_law_is_recovered(a, b, constant, seed):
    x, z = np.exp(np.random.default_rng(seed).normal(0, 2, (2, 9)))
    assert power_law(constant * x**a * z**b, x, z) == pytest.approx([a, b], abs=1e-9)
    assert power_law(constant * x**a, x) == pytest.approx([a], abs=1e-9)


def test_a_power_law_with_noise_is_the_least_squares_line():
    rng = np.random.default_rng(0)
    x = np.exp(rng.normal(0, 1, 50))
    y = x**0.5 * np.exp(rng.normal(0, 0.3, 50))
    line = stats.linregress(np.log(x), np.log(y))
    assert power_law(y, x) == pytest.approx([line.slope], rel=1e-10)


@pytest.mark.parametrize(
    ("x", "z"),
    [
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]),  # one of them does not vary
        ([1.0, 2.0, 4.0], [1.0, 4.0, 16.0]),  # one is a power of the other
        ([1.0, 2.0], [3.0, 1.0]),  # two runs, three unknowns
        ([1.0], [1.0]),
        ([], []),
    ],
)
def test_a_power_law_that_the_runs_do_not_determine_is_nan(x, z):
    found = power_law(np.ones(len(x)), x, z)
    assert found.shape == (2,)
    assert np.isnan(found).all()


@pytest.mark.parametrize("product", [1e-3, 3e-3, 0.7])
def test_runs_of_one_product_do_not_tell_two_predictors_apart(product):
    # In rounded numbers too, log η + log λ is constant and nothing else.
    lr = np.tile([0.03, 0.1, 0.3, 1.0], 6)
    assert np.isnan(power_law(lr**0.25, lr, product / lr)).all()


def test_a_power_law_of_a_value_that_is_missing_is_nan():
    assert np.isnan(power_law([1.0, math.nan, 2.0], [1.0, 2.0, 3.0])).all()


def grouped(seed, groups, repeats):
    rng = np.random.default_rng(seed)
    x = np.repeat(rng.normal(0, 1, groups), repeats)
    return x, rng.normal(0, 1, groups * repeats) + np.repeat(rng.normal(0, 2, groups), repeats)


@given(st.integers(0, 999), st.integers(2, 5), st.integers(2, 6))
def test_with_few_values_of_x_unexplained_is_the_variance_within_groups(seed, groups, repeats):
    x, y = grouped(seed, groups, repeats)
    residual = y - np.repeat(y.reshape(groups, repeats).mean(axis=1), repeats)
    n = len(y)
    r2 = 1 - (residual**2).sum() / ((y - y.mean()) ** 2).sum()
    adjusted = 1 - (1 - r2) * (n - 1) / (n - groups)
    assert unexplained(x, y) == pytest.approx(1 - adjusted, rel=1e-6)


@given(st.integers(0, 999))
def test_with_many_values_of_x_unexplained_is_a_quartic_fit(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-1, 1, 30), rng.normal(0, 1, 30)
    design = np.vander(x, 5)
    residual = y - design @ np.linalg.pinv(design) @ y
    by_hand = (residual**2).sum() / 25 / y.var(ddof=1)
    assert unexplained(x, y) == pytest.approx(by_hand, rel=1e-6)


@given(st.integers(0, 999), st.floats(-100, 100), st.floats(0.1, 100) | st.floats(-100, -0.1))
def test_unexplained_does_not_see_the_units_of_the_outcome_or_the_predictor(seed, shift, scale):
    x, y = grouped(seed, 7, 3)
    expected = pytest.approx(unexplained(x, y), rel=1e-6)
    assert unexplained(x, shift + scale * y) == expected
    assert unexplained(shift + scale * x, y) == expected


@given(st.integers(0, 999))
def test_unexplained_does_not_see_where_few_groups_lie(seed):
    x, y = grouped(seed, 4, 3)
    ranks = np.unique(x, return_inverse=True)[1]
    assert unexplained(ranks, y) == pytest.approx(unexplained(x, y), rel=1e-6)


def test_unexplained_of_noise_is_about_one():
    rng = np.random.default_rng(0)
    shares = [unexplained(rng.normal(0, 1, 40), rng.normal(0, 1, 40)) for _ in range(400)]
    assert np.mean(shares) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("noise", [1.0, 0.3, 0.1, 0.03])
def test_unexplained_is_the_share_of_the_noise_in_the_variance(noise):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 2000)
    share = noise**2 / (noise**2 + 4 / 45)  # x² has variance 1/5 − 1/9
    assert unexplained(x, x**2 + noise * rng.normal(0, 1, 2000)) == pytest.approx(share, rel=0.1)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([], []),
        ([1.0], [1.0]),
        ([1.0, 2.0, 3.0], [1.0, 5.0, 2.0]),  # a parabola through three runs leaves no freedom
        ([1.0, 1.0, 2.0, 2.0], [3.0, 3.0, 3.0, 3.0]),
    ],
)
def test_unexplained_is_nan_with_too_few_runs_or_a_constant_outcome(x, y):
    assert math.isnan(unexplained(x, y))


def test_a_predictor_that_does_not_vary_explains_nothing():
    assert unexplained([2.0, 2.0, 2.0], [1.0, 5.0, 2.0]) == 1.0
