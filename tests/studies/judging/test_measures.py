import math

import numpy as np
import pytest

from etaeff.records import Trial, verdict
from etaeff.studies.judging._measures import (
    collapse,
    difference,
    effective_lr_change,
    effective_lr_span,
    equilibrium_slope,
    invariance,
    per_seed,
    radius_falls,
    radius_law,
    settled,
    slope_at_constant_product,
    smallest_output_change,
    unexplained_errors,
)

SEEDS = range(5)


def trial(**changes):
    common = {"data": "digits", "train_size": 600, "lr": 0.1, "steps": 5000}
    return Trial.of(**(common | changes))


def judged(measure, results):
    estimate, expected, _ = measure(results)
    return verdict((estimate.low, estimate.high), expected)


# Differences between settings


def arms(synthetic, outcome, effect, *, noise=0.001, seeds=SEEDS, diverged=(), common=0.004):
    """Errors at four λ: `effect` by λ, a part that each seed shares, and noise."""
    rng = np.random.default_rng(0)
    shared = rng.normal(0, common, len(seeds))
    return synthetic(
        (
            trial(wd=wd, seed=seed),
            outcome(
                error=0.1 + effect * i + shared[seed] + rng.normal(0, noise),
                diverged=(wd, seed) in diverged,
            ),
        )
        for i, wd in enumerate((0.0, 1e-3, 1e-2, 1e-1))
        for seed in seeds
    )


@pytest.mark.parametrize(
    ("effect", "same", "different"),
    [(0.0, "holds", "does not hold"), (0.02, "does not hold", "holds")],
)
def test_a_difference_is_told_from_none_both_ways(synthetic, outcome, effect, same, different):
    results = arms(synthetic, outcome, effect)
    assert judged(difference("wd", claim="same"), results) == same
    assert judged(difference("wd", claim="different"), results) == different


@pytest.mark.parametrize("claim", ["same", "different"])
def test_a_difference_about_as_large_as_the_noise_of_few_seeds_is_undecided(
    synthetic, outcome, claim
):
    results = arms(synthetic, outcome, 0.005, noise=0.006, seeds=range(3))
    assert judged(difference("wd", claim=claim), results) == "undecided"


def test_a_difference_of_errors_is_in_points_and_names_the_means(synthetic, outcome):
    results = synthetic(
        (trial(wd=wd, seed=seed), outcome(error=error + 0.001 * seed))
        for wd, error in ((0.0, 0.10), (0.5, 0.13))
        for seed in range(3)
    )
    estimate, expected, note = difference("wd", claim="same")(results)
    assert estimate.value == pytest.approx(3.0)
    # Errors of 10.0, 10.1 and 10.2 points have a standard deviation of 0.1.
    assert expected == (0.0, pytest.approx(1.96 * math.sqrt(2) * 0.1))
    assert note == "Means by λ: 0: 10.1, 0.5: 13.1. Two seeds differ by up to 0.28."


def test_a_difference_of_another_column_has_its_own_unit(synthetic, outcome):
    results = synthetic(
        (trial(lr=lr, wd=1 / lr, seed=seed), outcome(radius=lr))
        for lr in (0.1, 0.4)
        for seed in range(3)
    )
    estimate, _, note = difference("lr", "wd", claim="same", column="radius")(results)
    assert estimate.value == pytest.approx(0.3)
    assert note.startswith("Means by η, λ: 0.1 10: 0.1, 0.4 2.5: 0.4.")


def test_a_difference_pairs_the_settings_by_seed(synthetic, outcome):
    # The seeds differ by far more than the settings; paired, a small effect still shows.
    results = arms(synthetic, outcome, 0.0, noise=1e-5, common=0.02)
    estimate, (_, limit), _ = difference("wd", claim="same")(results)
    assert estimate.high < 0.01
    assert limit > 1.0


def test_a_setting_that_diverges_differs(synthetic, outcome):
    results = arms(synthetic, outcome, 0.0, diverged={(0.1, seed) for seed in SEEDS})
    assert judged(difference("wd", claim="same"), results) == "does not hold"
    assert judged(difference("wd", claim="different"), results) == "holds"


@pytest.mark.parametrize("scales", [(1.0, 10.0), (0.1, 1.0, 10.0)])
def test_a_setting_that_diverges_in_one_seed_of_five_is_not_the_same(synthetic, outcome, scales):
    # Its own scatter must not widen the limit until 17 points are no difference.
    results = synthetic(
        (
            trial(init_scale=scale, seed=seed),
            outcome(error=0.05 + 0.001 * seed, diverged=(scale, seed) == (10.0, 2)),
        )
        for scale in scales
        for seed in SEEDS
    )
    assert judged(difference("init_scale", claim="same"), results) != "holds"


@pytest.mark.parametrize("claim", ["same", "different"])
def test_settings_that_all_diverge_show_nothing(synthetic, outcome, claim):
    everything = {(wd, seed) for wd in (0.0, 1e-3, 1e-2, 1e-1) for seed in SEEDS}
    results = arms(synthetic, outcome, 0.0, diverged=everything)
    assert judged(difference("wd", claim=claim), results) != "holds"


def test_settings_with_equal_errors_are_not_different(synthetic, outcome):
    results = arms(synthetic, outcome, 0.0, noise=0.0, common=0.0)
    assert judged(difference("wd", claim="different"), results) != "holds"


# One number for each seed


def test_a_number_per_seed_is_judged_by_its_interval_over_seeds(synthetic, outcome):
    results = synthetic((trial(seed=s), outcome(radius=r)) for s, r in enumerate((1.0, 2.0, 3.0)))
    measure = per_seed(lambda own: own.trials["radius"].item(), (-1.0, 5.0))
    estimate, expected, note = measure(results)
    assert estimate == pytest.approx((2.0, 2 - 2.4841, 2 + 2.4841), abs=1e-3)
    assert (expected, note) == ((-1.0, 5.0), "")
    ratio = per_seed(lambda own: own.trials["radius"].item(), (0.0, 9.0), ratio=True)
    assert ratio(results).estimate.value == pytest.approx(6 ** (1 / 3))


def rates(synthetic, outcome, rate):
    """η_eff by η, λ and seed."""
    return synthetic(
        (trial(lr=lr, wd=wd, seed=seed), outcome(effective_lr=rate(lr, wd, seed)))
        for lr in (0.1, 0.4)
        for wd in (0.0, 1e-3, 1e-1)
        for seed in SEEDS
    )


@pytest.mark.parametrize(
    ("rate", "by_lr", "over_all"),
    [
        (lambda lr, wd, seed: lr * (wd + 1e-4) * (1 + 0.1 * seed), 3.0, 3.602),
        (lambda lr, wd, seed: lr * (1 + 0.01 * seed), 0.0, 0.602),
    ],
)
def test_the_span_of_the_rate_is_in_decades(synthetic, outcome, rate, by_lr, over_all):
    results = rates(synthetic, outcome, rate)
    for own in results.by_seed.values():
        assert effective_lr_span("lr")(own) == pytest.approx(by_lr, abs=1e-3)
        assert effective_lr_span()(own) == pytest.approx(over_all, abs=1e-3)
    spans = per_seed(effective_lr_span("lr"), (1.0, math.inf))
    assert judged(spans, results) == ("holds" if by_lr > 1 else "does not hold")


def test_the_span_leaves_diverged_runs_out(synthetic, outcome):
    results = synthetic(
        (trial(wd=wd), outcome(effective_lr=rate, diverged=rate is None))
        for wd, rate in ((0.0, 0.1), (0.1, 1.0), (0.2, None))
    )
    assert effective_lr_span("lr")(results) == pytest.approx(1.0)


@pytest.mark.parametrize("largest", [0.004, 0.02, 0.09])
def test_rates_within_a_tenth_of_a_decade_in_every_seed_are_the_same(synthetic, outcome, largest):
    # A span is never negative, so its scatter over seeds must not make it so.
    results = synthetic(
        (trial(lr=lr, seed=seed), outcome(effective_lr=0.1 * 10 ** (span * (lr == 0.4))))
        for seed, span in enumerate((0.1 * largest, 0.2 * largest, 0.1 * largest, 0.0, largest))
        for lr in (0.1, 0.4)
    )
    assert judged(per_seed(effective_lr_span(), (-math.inf, 0.1)), results) == "holds"


def paths(synthetic, outcome, *path, seeds=SEEDS):
    return synthetic((trial(seed=seed), outcome(path=path)) for seed in seeds)


def test_a_radius_that_grows_is_told_from_one_that_falls(synthetic, outcome):
    measure = per_seed(radius_falls, (-math.inf, 0.01))
    grows = paths(synthetic, outcome, *((1.0 + 0.1 * epoch, 0.1) for epoch in range(20)))
    falls = paths(synthetic, outcome, *((3.0 - 0.1 * epoch, 0.1) for epoch in range(20)))
    once = paths(synthetic, outcome, *((1.0 + 0.1 * (epoch - 2 * (epoch == 7)), 0.1)
                                       for epoch in range(21)))  # fmt: skip
    assert judged(measure, grows) == "holds"
    assert judged(measure, falls) == "does not hold"
    assert radius_falls(falls) == 1.0
    assert judged(measure, once) == "does not hold"
    assert radius_falls(once) == pytest.approx(1 / 20)


def test_a_radius_that_rounding_alone_moves_does_not_fall(synthetic, outcome):
    steps = [(1.0 - 1e-7 * (epoch % 2), 0.1) for epoch in range(20)]
    assert radius_falls(paths(synthetic, outcome, *steps)) == 0.0
    steps = [(1.0 - 1e-5 * (epoch % 2), 0.1) for epoch in range(21)]
    assert radius_falls(paths(synthetic, outcome, *steps)) == 0.5


def test_falls_are_counted_within_each_layer_and_trial(synthetic, outcome):
    results = synthetic(
        (trial(seed=0, lr=lr), outcome(path=tuple((r + e, 0.1) for e in range(4))))
        for lr, r in ((0.1, 9.0), (0.2, 1.0), (0.3, 5.0))
    )
    shuffled = results.epochs.sample(fraction=1.0, shuffle=True, seed=0)
    assert radius_falls(type(results)(results.trials, results.layers, shuffled, None)) == 0.0


def test_a_rate_that_falls_is_told_from_one_that_rises(synthetic, outcome):
    measure = per_seed(effective_lr_change, (-math.inf, 0.0))
    falls = paths(synthetic, outcome, (1.0, 0.1), (2.0, 0.5), (3.0, 0.001))
    rises = paths(synthetic, outcome, (1.0, 0.001), (2.0, 0.0001), (3.0, 0.01))
    assert effective_lr_change(falls) == pytest.approx(-2.0)
    assert effective_lr_change(rises) == pytest.approx(1.0)
    assert judged(measure, falls) == "holds"
    assert judged(measure, rises) == "does not hold"


def test_a_rate_is_compared_with_that_of_its_own_first_epoch(synthetic, outcome):
    results = synthetic(
        (trial(lr=lr), outcome(path=((1.0, rate), (1.0, rate / 10))))
        for lr, rate in ((0.1, 1.0), (0.2, 0.01))
    )
    shuffled = results.epochs.sample(fraction=1.0, shuffle=True, seed=1)
    own = type(results)(results.trials, results.layers, shuffled, None)
    assert effective_lr_change(own) == pytest.approx(-1.0)


# Equilibrium


def equilibrium(synthetic, outcome, optimizer, radius, *, seeds=SEEDS, scatter=0.0):
    """Settled runs with the radius and rate that a law says, in both layers.

    `scatter` moves the exponent of η/λ of every seed.
    """
    power = 2 if optimizer == "sgd" else 1
    runs = []
    for lr in (0.03, 0.1, 0.3):
        for wd in (0.02, 0.06, 0.2):
            for seed in seeds:
                layers = {}
                for name, scale in (("hidden1", 1.0), ("hidden2", 3.0)):
                    r = scale * radius(lr, wd) * (lr / wd) ** (scatter * (seed - 1))
                    layers[name] = {"radius": r, "effective_lr": lr / r**power}
                own = trial(lr=lr, wd=wd, seed=seed, optimizer=optimizer, steps=10**6)
                runs.append((own, outcome(layers=layers)))
    return synthetic(runs)


@pytest.mark.parametrize(
    ("column", "predictor", "slope", "tolerance"),
    [
        ("radius", "lr", 1 / 4, 0.05),
        ("radius", "wd", -1 / 4, 0.05),
        ("effective_lr", "lr", 1 / 2, 0.1),
        ("effective_lr", "wd", 1 / 2, 0.1),
    ],
)
def test_the_slopes_of_sgd_are_told_from_others(
    synthetic, outcome, column, predictor, slope, tolerance
):
    statistic = equilibrium_slope(column, predictor)
    measure = per_seed(statistic, (slope - tolerance, slope + tolerance))
    law = equilibrium(synthetic, outcome, "sgd", lambda lr, wd: (lr / wd) ** 0.25)
    assert statistic(law) == pytest.approx(slope)
    assert judged(measure, law) == "holds"
    for other in (lambda lr, wd: 1.0, lambda lr, wd: (lr / wd) ** 0.5):
        assert judged(measure, equilibrium(synthetic, outcome, "sgd", other)) == "does not hold"
    noisy = equilibrium(synthetic, outcome, "sgd", lambda lr, wd: (lr / wd) ** 0.25,
                        scatter=0.05, seeds=range(3))  # fmt: skip
    assert judged(measure, noisy) == "undecided"


@pytest.mark.parametrize(
    ("optimizer", "radius", "lr_slope", "wd_slope"),
    [
        ("adam", lambda lr, wd: (lr / wd) ** (1 / 3), 2 / 3, 1 / 3),
        ("adamw", lambda lr, wd: (lr / wd) ** (1 / 2), 1 / 2, 1 / 2),
    ],
)
def test_the_slopes_of_adam_and_adamw_are_told_from_each_other(
    synthetic, outcome, optimizer, radius, lr_slope, wd_slope
):
    results = equilibrium(synthetic, outcome, optimizer, radius)
    for predictor, slope, other in (
        ("lr", lr_slope, 7 / 6 - lr_slope),
        ("wd", wd_slope, 5 / 6 - wd_slope),
    ):
        statistic = equilibrium_slope("effective_lr", predictor)
        assert statistic(results) == pytest.approx(slope)
        assert judged(per_seed(statistic, (slope - 0.1, slope + 0.1)), results) == "holds"
        assert judged(per_seed(statistic, (other - 0.05, other + 0.05)), results) != "holds"


def test_the_slope_at_a_constant_product_tells_adams_law_from_sgds(synthetic, outcome):
    measure = per_seed(slope_at_constant_product, (-0.1, 0.1))
    # η/r = (η²λ)^⅓ depends on the product alone; η/r² = √(ηλ) does not.
    adam = equilibrium(synthetic, outcome, "adam", lambda lr, wd: (lr / wd) ** (1 / 3))
    sgd = equilibrium(synthetic, outcome, "sgd", lambda lr, wd: (lr / wd) ** (1 / 4))
    assert slope_at_constant_product(adam) == pytest.approx(0.0, abs=1e-12)
    # √(ηλ) = η^(−½) (η²λ)^½
    assert slope_at_constant_product(sgd) == pytest.approx(-0.5)
    assert judged(measure, adam) == "holds"
    assert judged(measure, sgd) == "does not hold"


def test_slopes_are_means_over_layers_with_their_own_constants(synthetic, outcome):
    results = synthetic(
        (
            trial(lr=lr, wd=wd, steps=10**6),
            outcome(layers={"hidden1": {"radius": lr}, "hidden2": {"radius": 7 * lr**2}}),
        )
        for lr in (0.03, 0.1, 0.3)
        for wd in (0.02, 0.06)
    )
    assert equilibrium_slope("radius", "lr")(results) == pytest.approx(1.5)
    assert equilibrium_slope("radius", "wd")(results) == pytest.approx(0.0, abs=1e-12)


def test_a_slope_that_the_settled_runs_do_not_determine_is_undecided(synthetic, outcome):
    results = synthetic(
        (trial(lr=lr, wd=0.1, seed=seed), outcome(radius=lr**0.25))
        for lr in (0.1, 0.3)
        for seed in SEEDS
    )
    measure = per_seed(equilibrium_slope("radius", "lr"), (0.2, 0.3))
    assert judged(measure, results) == "undecided"
    assert judged(per_seed(radius_law, (0.9, 1.1), ratio=True), results) == "does not hold"


def kept(results):
    return set(settled(results)["trial"])


@pytest.mark.parametrize(
    ("optimizer", "least"),
    [("sgd", 500), ("heavy-ball", 50), ("nesterov", 50), ("adamw", 500)],
)
def test_only_runs_of_five_times_the_time_of_decay_are_settled(
    synthetic, outcome, optimizer, least
):
    # ηλ = 0.01; momentum shortens the time by 1 − μ.
    long, short = (
        trial(lr=0.1, wd=0.1, optimizer=optimizer, steps=steps) for steps in (least + 1, least - 1)
    )
    results = synthetic([(long, outcome()), (short, outcome())])
    assert kept(results) == {long.id}


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_the_time_of_decay_of_adam_depends_on_the_gradient(synthetic, outcome, optimizer):
    # x = ηλr√(C/G) = 0.01 · 2 · √(64/16) = 0.04: 125 steps.
    own = {"radius": 2.0, "grad_norm_sq": 16.0, "block_size": 64}
    long, short = (trial(lr=0.1, wd=0.1, optimizer=optimizer, steps=steps) for steps in (126, 124))
    results = synthetic([(long, outcome(**own)), (short, outcome(**own))])
    assert kept(results) == {long.id}


def test_a_run_counts_only_if_all_its_layers_have_settled(synthetic, outcome):
    # x = 0.01 √64 r/√G: 0.08 in one layer, 0.008 in the other, which takes 625 steps.
    own = outcome(layers={"hidden2": {"grad_norm_sq": 100.0}})
    runs = [trial(lr=0.1, wd=0.1, optimizer="adam", steps=steps) for steps in (620, 630)]
    results = synthetic((one, own) for one in runs)
    assert kept(results) == {runs[1].id}
    assert len(settled(results)) == 2


def test_runs_without_decay_and_runs_that_diverged_are_not_settled(synthetic, outcome):
    without = trial(wd=0.0)
    diverged = trial(wd=1.0)
    results = synthetic([(without, outcome()), (diverged, outcome(diverged=True))])
    assert kept(results) == set()
    assert math.isnan(radius_law(results))
    assert math.isnan(equilibrium_slope("radius", "lr")(results))
    assert math.isnan(slope_at_constant_product(results))


@pytest.mark.parametrize("missing", ["radius", "grad_norm_sq"])
def test_a_layer_without_a_measured_value_is_not_settled_under_adam(synthetic, outcome, missing):
    own = outcome(layers={"hidden2": {missing: None}})
    results = synthetic([(trial(wd=1.0, optimizer="adam"), own)])
    assert kept(results) == set()


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "holds"), (1.5, "does not hold")])
def test_the_law_of_the_radius_is_told_from_another(synthetic, outcome, factor, verdict):
    def own(lr, wd, scale):
        g = 3.0 * scale
        return {"radius_4": factor * lr * g / (wd * (2 - lr * wd)), "grad_norm_sq": g}

    results = synthetic(
        (
            trial(lr=lr, wd=wd, seed=seed),
            outcome(layers={"hidden1": own(lr, wd, 1.0), "hidden2": own(lr, wd, 0.1)}),
        )
        for lr in (0.1, 0.5)
        for wd in (0.1, 1.0)
        for seed in SEEDS
    )
    assert radius_law(results) == pytest.approx(factor)
    assert judged(per_seed(radius_law, (0.9, 1.1), ratio=True), results) == verdict


def test_the_law_of_the_radius_is_a_geometric_mean(synthetic, outcome):
    law = 0.1 / (0.1 * (2 - 0.01))
    results = synthetic(
        (trial(lr=0.1, wd=0.1, seed=0, width=width), outcome(radius_4=factor * law))
        for width, factor in ((4, 4.0), (8, 0.25), (16, 8.0))
    )
    assert radius_law(results) == pytest.approx(2.0)


def test_runs_that_are_too_short_do_not_enter_the_laws(synthetic, outcome):
    law = 0.1 / (0.1 * (2 - 0.01))
    runs = [(trial(lr=0.1, wd=0.1), outcome(radius_4=law)),
            (trial(lr=0.1, wd=0.1, steps=400), outcome(radius_4=1000.0))]  # fmt: skip
    assert radius_law(synthetic(runs)) == pytest.approx(1.0)


# What explains the error


def grid(synthetic, outcome, error, *, seeds=SEEDS, noise=0.02):
    rng = np.random.default_rng(0)
    runs = []
    for lr in (0.03, 0.1, 0.3, 1.0):
        for i, wd in enumerate((0.0, 1e-3, 1e-2, 1e-1)):
            for seed in seeds:
                rate = math.sqrt(lr * max(wd, 1e-4)) * math.exp(rng.normal(0, 0.02))
                e = math.exp(error(math.log(rate), math.log(lr), i) + rng.normal(0, noise))
                own = outcome(error=0.05 * e, effective_lr=rate)
                runs.append((trial(lr=lr, wd=wd, seed=seed), own))
    return synthetic(runs)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (lambda rate, lr, i: 0.1 * (rate + 4) ** 2, "holds"),
        (lambda rate, lr, i: 0.3 * lr, "does not hold"),
        (lambda rate, lr, i: 0.5 * (i - 1) ** 2, "does not hold"),
    ],
)
def test_the_rate_explains_the_error_only_where_it_does(synthetic, outcome, error, expected):
    measure = collapse("η_eff", ("η", "λ"), (0.0, 1.0))
    assert judged(measure, grid(synthetic, outcome, error)) == expected


def test_the_control_arm_is_explained_by_the_decay_only_where_it_is(synthetic, outcome):
    measure = collapse("λ", ("η_eff",), (0.0, 1.0))
    by_wd = grid(synthetic, outcome, lambda rate, lr, i: 0.5 * (i - 1) ** 2)
    by_rate = grid(synthetic, outcome, lambda rate, lr, i: 0.1 * (rate + 4) ** 2)
    assert judged(measure, by_wd) == "holds"
    assert judged(measure, by_rate) == "does not hold"


def test_noise_is_explained_by_nothing_and_undecided(synthetic, outcome):
    results = grid(synthetic, outcome, lambda rate, lr, i: 0.0, seeds=range(3), noise=1.0)
    assert judged(collapse("η_eff", ("η", "λ"), (0.0, 1.0)), results) == "undecided"


def test_unexplained_shares_are_those_of_their_own_predictor(synthetic, outcome):
    results = grid(synthetic, outcome, lambda rate, lr, i: 0.3 * lr, seeds=[0], noise=1e-6)
    shares = unexplained_errors(results)
    assert list(shares) == ["η_eff", "η", "λ"]
    assert shares["η"] < 1e-6
    assert shares["λ"] > 0.9
    assert 0.1 < shares["η_eff"] < 1.0
    by_wd = grid(synthetic, outcome, lambda rate, lr, i: 0.5 * (i % 2), seeds=[0], noise=1e-6)
    shares = unexplained_errors(by_wd)
    assert shares["λ"] < 1e-6
    assert shares["η"] > 0.9


def test_the_note_gives_what_each_leaves(synthetic, outcome):
    results = grid(synthetic, outcome, lambda rate, lr, i: 0.3 * lr, noise=1e-4)
    note = collapse("η_eff", ("η", "λ"), (0.0, 1.0))(results).note
    assert note.startswith("Unexplained variance: η_eff ")
    assert ", η 0 %, λ 1" in note


@pytest.mark.parametrize("order", [("η", "λ"), ("λ", "η")])
def test_a_predictor_that_cannot_be_fitted_is_no_competitor(synthetic, outcome, order):
    # Two runs to a seed: a line through both leaves no freedom, and nothing can be compared.
    results = synthetic(
        (trial(lr=lr, wd=0.1, seed=seed), outcome(error=lr, effective_lr=lr))
        for lr in (0.1, 0.2)
        for seed in SEEDS
    )
    assert judged(collapse("η_eff", order, (0.0, 1.0)), results) == "undecided"


def test_errors_of_zero_and_diverged_runs_do_not_enter(synthetic, outcome):
    fine = grid(synthetic, outcome, lambda rate, lr, i: 0.3 * lr, seeds=[0])
    more = [
        (trial(lr=5.0), outcome(error=0.0)),
        (trial(lr=6.0), outcome(diverged=True)),
    ]
    pairs = synthetic(more)
    both = type(fine)(fine.trials.vstack(pairs.trials), fine.layers, fine.epochs, fine.rescalings)
    assert unexplained_errors(both) == unexplained_errors(fine)


# Scale invariance

FACTORS = (2.0, 0.5, 1000.0)


def rescaled(synthetic, outcome, changes, *, own_eps=1e-5, defect=3e-4, diverged=()):
    """Changes without ε, one for each seed, at the factor 1000; less at the others."""
    return synthetic(
        (
            trial(seed=seed),
            outcome(
                changes={
                    **{(f, 1e-30): change / 10 for f in FACTORS},
                    (1000.0, 1e-30): change,
                    **{(f, own_eps): defect * f for f in FACTORS},
                },
                diverged=seed in diverged,
            ),
        )
        for seed, change in enumerate(changes)
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([1.0e-14, 1.1e-14, 0.9e-14, 1.0e-14, 1.2e-14], "holds"),
        ([1.0e-3, 1.1e-3, 0.9e-3, 1.0e-3, 1.2e-3], "does not hold"),
        ([1.0e-12, 1.0e-12, 1.0e-12, 1.0e-12, 4.0e-9], "undecided"),
    ],
)
def test_outputs_that_do_not_move_are_told_from_those_that_do(
    synthetic, outcome, changes, expected
):
    assert judged(invariance, rescaled(synthetic, outcome, changes)) == expected


@pytest.mark.parametrize(
    "changes",
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [2e-16, 3e-16, 1e-14, 4e-16, 2e-16],
        [1e-15, 1e-11, 1e-15, 1e-15, 1e-15],
    ],
)
def test_rounding_errors_of_many_sizes_are_all_below_the_bound(synthetic, outcome, changes):
    # A change is never negative, so its scatter over seeds must not make it so.
    assert judged(invariance, rescaled(synthetic, outcome, changes)) == "holds"


def test_the_change_is_the_largest_over_the_factors_and_the_note_gives_the_defect(
    synthetic, outcome
):
    measured = invariance(rescaled(synthetic, outcome, [1e-14] * 5))
    assert measured.estimate.value == pytest.approx(1e-14)
    assert measured.note == (
        "With the network's own ε = 1e-05: 1.5e-04 at ×0.5, 6.0e-04 at ×2, 3.0e-01 at ×1000."
    )


def test_a_diverged_network_is_left_out_of_the_invariance(synthetic, outcome):
    results = rescaled(synthetic, outcome, [1e-14, 1.1e-14, 0.9e-14, 1e-14, 1e-14], diverged={1})
    assert judged(invariance, results) == "holds"


def test_networks_that_all_diverged_leave_the_invariance_undecided(synthetic, outcome):
    results = rescaled(synthetic, outcome, [1e-14] * 5, diverged=set(SEEDS))
    assert judged(invariance, results) == "undecided"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [([0.4, 0.5, 0.6], "holds"), ([1e-3, 2e-3, 1e-3], "does not hold"), ([0.01, 0.3, 0.2],
                                                                        "undecided")],
)  # fmt: skip
def test_outputs_that_move_are_told_from_those_that_do_not(synthetic, outcome, changes, expected):
    results = synthetic(
        (trial(seed=seed), outcome(changes={(2.0, 1e-5): 3.0, (0.5, 1e-5): change}))
        for seed, change in enumerate(changes)
    )
    assert judged(per_seed(smallest_output_change, (0.1, math.inf)), results) == expected
