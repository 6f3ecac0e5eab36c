"""Worlds in which every claim is true, in which every one is false, and in which one is."""

import hashlib
import math
from collections import Counter
from functools import lru_cache

import numpy as np
import pytest
from support.trials import flat

from etaeff.records import DECAYED_GAINS, NORMS, OPTIMIZERS, variant
from etaeff.studies._plan import PRESETS, Plan
from etaeff.studies.judging._claims import needed_trials
from etaeff.studies.papers.van_laarhoven_2017 import claims

QUICK = claims(Plan(PRESETS["quick"], "digits"))
FULL = claims(Plan(PRESETS["full"], "fashion-mnist"))
FACTORS = (2.0, 0.5, 1000.0)
POWER = {"sgd": 2, "heavy-ball": 2, "nesterov": 2, "rmsprop": 1, "adam": 1, "adamw": 1}
BLOCK = 64  # entries of a block
# What can be false, the claims that this refutes, and those that it leaves without a ground.
FALSEHOODS = {
    "outputs move with the scale": ({1}, set()),
    "the sphere feels λ": ({2}, set()),
    "λ does not move the rate": ({2, 4, 5}, {6}),  # then η_eff is as good as η
    "the rate does not move the error": ({2, 7}, {6}),
    "equal ηλ differ": ({2}, set()),
    "the radius falls without decay": ({3}, set()),
    "nothing moves without decay": (set(), {3}),
    "the radius is flat at equilibrium": ({2, 4, 5}, set()),
    "r⁴ is half of its law": ({4}, set()),
    "η explains the error": ({6}, set()),
    "the sphere remembers the initial scale": ({7}, set()),
    "the initial scale is forgotten": ({7}, set()),
    "gains matter": ({8}, set()),
    "the control arm is invariant": ({9}, set()),
}


def noise(trial, seedless=False):
    """A normal number that depends on the trial, or on its seed alone."""
    key = f"seed {trial.seed}" if seedless else trial.id
    return np.random.default_rng(list(hashlib.sha256(key.encode()).digest())).normal()


def decades(wd):
    """0 for no decay, and 1 more for each decade from 1e-3 on."""
    return math.log10(1 + 1e4 * wd)


class World:
    """Outcomes of trials by laws that can be switched off."""

    def __init__(self, outcome, *falsehoods):
        self.outcome, self.false = outcome, set(falsehoods)
        assert self.false <= set(FALSEHOODS)

    def radius(self, t):
        """Where the radius ends; its mean squared gradient is 1."""
        if t.norm == "none":
            return 5.0 * math.exp(0.3 * noise(t))
        if t.sphere:
            return 1.0
        scale = 1.0 if "the initial scale is forgotten" in self.false else t.init_scale
        if t.wd == 0 or not t.decay_weights:
            return 50.0 * t.lr**0.25 * scale**0.5
        if "λ does not move the rate" in self.false:
            return 50.0 * t.lr**0.25
        if "the radius is flat at equilibrium" in self.false:
            # Not quite flat, and far enough from the laws' slopes.
            return 3.0 * (t.lr / t.wd) ** 0.01
        if t.optimizer in ("adam", "rmsprop"):
            return (t.lr * math.sqrt(BLOCK) / (2 * t.wd)) ** (1 / 3)
        if t.optimizer == "adamw":
            return math.sqrt(t.lr * BLOCK / (2 * t.wd))
        return (t.lr / (t.wd * (2 - t.lr * t.wd))) ** 0.25

    def radius_4(self, t, radius):
        if t.sphere or t.wd == 0 or t.norm == "none":
            return radius**4
        law = t.lr / (t.wd * (2 - t.lr * t.wd))
        return law / 2 if "r⁴ is half of its law" in self.false else law

    def error(self, t, rate):
        if t.norm == "none":
            if "the control arm is invariant" in self.false:
                return 0.08 if t.lr_rest else 0.08 * math.exp(0.05 * math.log(rate) ** 2)
            return 0.05 + 0.04 * decades(t.wd)
        error = 0.05
        if t.sphere:
            if "the sphere feels λ" in self.false:
                error += 0.02 * decades(t.wd)
            if "the sphere remembers the initial scale" in self.false:
                error += 0.02 * math.log10(10 * t.init_scale)
            return error
        if "gains matter" in self.false:
            error += 0.02 * DECAYED_GAINS.index(t.decay_gains)
        if "equal ηλ differ" in self.false and t.lr_rest is not None:
            error += 0.02 * (t.lr > 0.1)
        if "η explains the error" in self.false and t.lr_rest is None:
            # A factor that jumps from one η of the grids to the next.
            error *= math.exp(1.5 * (-1) ** round(2 * math.log10(t.lr)))
        if "the rate does not move the error" in self.false:
            return error
        # Steep and smooth: from the slow side only, so that more rate is always better.
        return error * math.exp(-0.25 * math.log(rate))

    def changes(self, t):
        if t.norm == "none":
            moved = 1e-3 if "the control arm is invariant" in self.false else 0.75
            return dict.fromkeys(((f, 1e-5) for f in FACTORS), moved)
        moved = 1e-3 if "outputs move with the scale" in self.false else 1e-14
        defect = dict.fromkeys(((f, 1e-5) for f in FACTORS), 1e-4)
        return defect | dict.fromkeys(((f, 1e-30) for f in FACTORS), moved)

    def __call__(self, trial):
        t = flat(trial)
        jitter = math.exp(0.003 * noise(t))
        radius = self.radius(t) * jitter
        rate = t.lr / radius ** POWER[t.optimizer]
        start = 0.3 if "the radius falls without decay" not in self.false else 3.0
        still = "nothing moves without decay" in self.false
        path = tuple(
            (radius * size, t.lr / (radius * size) ** POWER[t.optimizer])
            for size in ([1.0] * 12 if still else np.geomspace(start, 1.0, 12).tolist())
        )
        by_seed = math.exp(0.08 * noise(t, seedless=True) + 0.01 * noise(t))
        return self.outcome(
            error=self.error(t, rate) * by_seed,
            layers={
                name: {
                    "radius": scale * radius,
                    # The gradient is larger in the layer with the larger radius, as G ∝ r⁴.
                    "radius_4": scale**4 * self.radius_4(t, radius) * jitter**4,
                    "grad_norm_sq": scale**4,
                    "effective_lr": rate * scale ** -POWER[t.optimizer],
                }
                for name, scale in (("hidden1", 1.1), ("hidden2", 1 / 1.1))
            },
            path=path,
            changes=self.changes(t),
            block_size=BLOCK,
        )


@pytest.fixture(scope="module")
def judged(outcome, synthetic):
    """Judges all claims of the quick study in a world."""

    @lru_cache
    def judge(*falsehoods):
        world = World(outcome, *falsehoods)
        results = synthetic((t, world(t)) for t in needed_trials(QUICK))
        return {claim.number: claim.judge(results) for claim in QUICK}

    return judge


def parts(record, *verdicts):
    return [finding.part for finding in record.findings if finding.verdict in verdicts]


def test_in_a_world_where_they_are_true_all_parts_of_all_claims_hold(judged):
    for record in judged().values():
        assert parts(record, "does not hold", "undecided") == []
        assert record.verdict == "holds"


def test_in_a_world_where_they_are_false_no_claim_holds(judged):
    falsehoods = set(FALSEHOODS) - {"nothing moves without decay"}  # another has it fall
    for record in judged(*sorted(falsehoods)).values():
        assert record.verdict == "does not hold", record.title


@pytest.mark.parametrize("falsehood", FALSEHOODS)
def test_a_falsehood_refutes_the_claims_that_deny_it_and_no_others(judged, falsehood):
    refuted, groundless = FALSEHOODS[falsehood]
    for number, record in judged(falsehood).items():
        if number in groundless:
            assert record.verdict != "holds", record.title
        elif number in refuted:
            assert record.verdict == "does not hold", record.title
        else:
            assert parts(record, "does not hold", "undecided") == [], record.title


def test_every_part_of_every_claim_can_be_refuted(judged):
    refuted = {
        (number, part)
        for falsehood in FALSEHOODS
        for number, record in judged(falsehood).items()
        for part in parts(record, "does not hold")
    }
    every = {(claim.number, part.name) for claim in QUICK for part in claim.parts}
    assert every - refuted == set()


# The plan


@pytest.mark.parametrize("study", [QUICK, FULL], ids=["quick", "full"])
def test_all_nine_claims_are_there_with_their_words(study):
    assert [claim.number for claim in study] == list(range(1, 10))
    for claim in study:
        assert claim.title
        assert claim.source
        assert claim.statement.endswith(".")
        assert len({part.name for part in claim.parts}) == len(claim.parts) > 0
        assert all(part.statistic for part in claim.parts)


@pytest.mark.parametrize("study", [QUICK, FULL], ids=["quick", "full"])
def test_no_trial_is_run_twice(study):
    trials = needed_trials(study)
    assert max(Counter(t.id for t in trials).values()) == 1
    needed = {t.id for claim in study for part in claim.parts for t in part.trials}
    assert needed == {t.id for t in trials}


@pytest.mark.parametrize("study", [QUICK, FULL], ids=["quick", "full"])
def test_every_part_has_at_least_three_seeds_of_every_setting(study):
    for claim in study:
        for part in claim.parts:
            seeds = {t.seed for t in part.trials}
            assert len(seeds) >= 3
            assert len({t.id for t in part.trials}) == len(part.trials)
            settings = Counter(str({**t.values, "seed": None}) for t in part.trials)
            assert set(settings.values()) == {len(seeds)}


def test_seeds_that_are_given_are_the_seeds_of_every_part():
    for claim in claims(Plan(PRESETS["quick"], "digits", 2)):
        for part in claim.parts:
            assert {t.seed for t in part.trials} == {0, 1}


@pytest.mark.parametrize("study", [QUICK, FULL], ids=["quick", "full"])
def test_the_study_covers_what_the_plan_promises(study):
    trials = needed_trials(study)

    def values(name):
        return {t.values[name] for t in trials}

    assert values("norm") == set(NORMS)
    assert values("optimizer") == set(OPTIMIZERS)
    assert values("schedule") == {"constant", "step", "cosine"}
    assert values("decay_gains") == set(DECAYED_GAINS)
    assert values("init_scale") == {0.1, 1.0, 10.0}
    assert values("random_labels") == {0.0, 0.5}
    for optimizer in OPTIMIZERS:
        assert {t.arm.sphere for t in trials if variant(t.setting) == optimizer} == {True, False}


def part(number, name):
    return next(p for claim in QUICK if claim.number == number for p in claim.parts
                if p.name == name)  # fmt: skip


def share_of_decay(t):
    """What decay takes of a weight per step, but for Adam and RMSProp."""
    return t.setting.lr * t.setting.wd / (1 - t.momentum)


@pytest.mark.parametrize("study", [QUICK, FULL], ids=["quick", "full"])
def test_a_claim_about_equilibrium_has_enough_runs_that_reach_it(study):
    for claim in study:
        for own in claim.parts:
            if claim.number not in (4, 5) or own.name.startswith("adam,"):
                continue  # the time of Adam depends on the gradient; see `settled`
            long = [t for t in own.trials if t.task.steps * share_of_decay(t) >= 5]
            assert len({t.setting.lr for t in long}) >= 3, own.name
            assert len({t.setting.wd for t in long}) >= 3, own.name


@pytest.mark.parametrize("study", [QUICK, FULL], ids=["quick", "full"])
def test_no_run_that_is_meant_to_settle_is_lost_to_rounding(study):
    # 5,000 steps at ηλ = 1e-3 are exactly five times the time of decay: a rounding of ηλ the
    # other way would drop them without a word.
    for claim in study:
        for own in claim.parts:
            for t in own.trials:
                product = t.task.steps * share_of_decay(t)
                if claim.number in (4, 5) and not own.name.startswith("adam,"):
                    assert product >= 5 or product < 4.99, (
                        own.name,
                        t.setting.lr,
                        t.setting.wd,
                        product,
                    )


def test_settings_of_equal_product_have_it_and_are_settled():
    for number, name in ((2, "sgd, free, equal ηλ: same η_eff"), (9, "equal ηλ: another error")):
        trials = part(number, name).trials
        assert len({t.setting.lr for t in trials}) == 2
        assert max(t.setting.lr for t in trials) == 10 * min(t.setting.lr for t in trials)
        for t in trials:
            assert t.setting.lr * t.setting.wd == pytest.approx(1e-3)
            assert t.task.steps * t.setting.lr * t.setting.wd == pytest.approx(5)


def test_with_the_penalty_left_out_the_weights_are_not_decayed():
    for optimizer in OPTIMIZERS:
        own = part(2, f"{optimizer}, ‖w‖ = 1, λ acts on the head alone").trials
        assert all(t.arm.sphere for t in own)
        assert all(not t.arm.decay_weights and t.arm.decay_head for t in own if t.setting.wd > 0)
        left_in = part(2, f"{optimizer}, ‖w‖ = 1, λ acts on w").trials
        assert all(t.arm.sphere and t.arm.decay_weights and not t.arm.decay_head for t in left_in)


def test_the_arms_of_the_claim_about_gains_differ_in_their_gains_alone():
    for own in (p for claim in QUICK if claim.number == 8 for p in claim.parts):
        others = {str({**t.values, "decay_gains": 0, "seed": 0}) for t in own.trials}
        assert len(others) == 1
        assert len({t.arm.decay_gains for t in own.trials}) == 2
        assert "all" in {t.arm.decay_gains for t in own.trials}


def test_the_control_arm_has_no_norm_and_all_the_rest_has_one():
    for claim in QUICK:
        for own in claim.parts:
            assert {t.arm.norm == "none" for t in own.trials} == {claim.number == 9}


def test_growth_is_judged_on_runs_without_decay():
    for claim in QUICK:
        if claim.number == 3:
            assert all(
                t.setting.wd == 0 and not t.arm.sphere for p in claim.parts for t in p.trials
            )
