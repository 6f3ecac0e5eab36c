from dataclasses import replace

import pytest

from etaeff.studies._plan import PRESETS, Plan, combinations

QUICK = PRESETS["quick"]


def test_combinations_are_all_of_them_with_the_last_name_running_fastest():
    found = combinations(lr=(0.1, 0.2), wd=(0.0, 1.0, 2.0))
    assert [(v["lr"], v["wd"]) for v in found] == [
        (0.1, 0.0), (0.1, 1.0), (0.1, 2.0), (0.2, 0.0), (0.2, 1.0), (0.2, 2.0),
    ]  # fmt: skip
    assert combinations(lr=()) == []


def test_a_plan_makes_a_trial_for_every_setting_and_seed_of_the_presets_size():
    trials = Plan(QUICK, "toy").trials(combinations(lr=(0.1, 0.2)), optimizer="adam")
    assert [(t.setting.lr, t.seed) for t in trials] == [
        (lr, s) for lr in (0.1, 0.2) for s in range(3)
    ]
    for t in trials:
        assert (t.task.data, t.task.train_size, t.task.network) == (
            "toy",
            QUICK.train_size,
            QUICK.network,
        )
        assert (t.task.width, t.task.batch_size, t.task.steps) == (
            QUICK.width,
            QUICK.batch_size,
            QUICK.steps,
        )
        assert t.setting.optimizer == "adam"


def test_comparing_takes_more_seeds():
    plan = Plan(replace(QUICK, seeds=2, more_seeds=4), "toy")
    assert {t.seed for t in plan.trials([{"lr": 0.1}])} == {0, 1}
    assert {t.seed for t in plan.compared([{"lr": 0.1}])} == {0, 1, 2, 3}


def test_seeds_that_are_given_are_those_of_both():
    plan = Plan(QUICK, "toy", seeds=1)
    assert {t.seed for t in plan.trials([{"lr": 0.1}])} == {0}
    assert {t.seed for t in plan.compared([{"lr": 0.1}])} == {0}


def test_a_setting_goes_before_what_is_common_and_that_before_the_preset():
    plan = Plan(QUICK, "toy", seeds=1)
    one, other = plan.trials([{"lr": 0.1, "steps": 7}, {"lr": 0.1}], steps=9)
    assert (one.task.steps, other.task.steps) == (7, 9)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_its_name_and_enough_seeds(name):
    preset = PRESETS[name]
    assert preset.name == name
    assert preset.more_seeds >= preset.seeds >= 3
    assert preset.long >= preset.steps >= preset.short
    assert preset.batch_size * 10 <= preset.train_size
