from functools import partial

import pytest
import torch
from torch import optim
from torch.optim import lr_scheduler as schedules

from etaeff.convert import rescale_
from etaeff.convert._scheduler_changes import SCHEDULERS
from etaeff.errors import UsageError
from etaeff.geometry import Block

pytestmark = pytest.mark.usefixtures("double_on_one_thread")

SGD = partial(optim.SGD, lr=0.05, momentum=0.9, weight_decay=0.01)
ADAMW = partial(optim.AdamW, lr=3e-3, weight_decay=0.3, eps=1e-3)


def warm_up_then_cosine(optimizer):
    return schedules.SequentialLR(
        optimizer,
        [
            schedules.LinearLR(optimizer, 0.1, total_iters=15),
            schedules.CosineAnnealingLR(optimizer, 30),
        ],
        milestones=[15],
    )


def chain(optimizer):
    return schedules.ChainedScheduler(
        [schedules.ConstantLR(optimizer, 0.5, 14), schedules.ExponentialLR(optimizer, 0.97)]
    )


# Each goes on changing the rate for the 50 steps that follow the tenth.
MAKERS = {
    "LambdaLR": lambda o: schedules.LambdaLR(o, lambda step: 1 / (1 + step / 9)),
    "MultiplicativeLR": lambda o: schedules.MultiplicativeLR(o, lambda step: 0.98),
    "StepLR": lambda o: schedules.StepLR(o, 12, 0.5),
    "MultiStepLR": lambda o: schedules.MultiStepLR(o, [5, 20, 30], 0.4),
    "ConstantLR": lambda o: schedules.ConstantLR(o, 0.3, 20),
    "LinearLR": lambda o: schedules.LinearLR(o, 0.1, total_iters=40),
    "ExponentialLR": lambda o: schedules.ExponentialLR(o, 0.97),
    "PolynomialLR": lambda o: schedules.PolynomialLR(o, 55, 2.0),
    "CosineAnnealingLR": lambda o: schedules.CosineAnnealingLR(o, 25),
    "CosineAnnealingWarmRestarts": lambda o: schedules.CosineAnnealingWarmRestarts(o, 13),
    "CyclicLR": lambda o: schedules.CyclicLR(o, 1e-3, 6e-3, 7, mode="triangular2"),
    "OneCycleLR": lambda o: schedules.OneCycleLR(o, 6e-3, 60),
    "ReduceLROnPlateau": lambda o: schedules.ReduceLROnPlateau(
        o, patience=2, threshold=0.3, factor=0.9, min_lr=2e-3, eps=0
    ),
    "SequentialLR": warm_up_then_cosine,
    "ChainedScheduler": chain,
}
COMMON = {
    "CosineAnnealingLR": lambda o: schedules.CosineAnnealingLR(o, 25, eta_min=1e-3),
    "CosineAnnealingWarmRestarts": lambda o: schedules.CosineAnnealingWarmRestarts(
        o, 13, eta_min=1e-3
    ),
    "ReduceLROnPlateau": lambda o: schedules.ReduceLROnPlateau(
        o, patience=0, threshold=0.3, factor=0.8, min_lr=1e-3, eps=2e-4
    ),
}


def sentence_of(call, *args, **kwargs):
    with pytest.raises(UsageError) as error:
        call(*args, **kwargs)
    return str(error.value)


def rates(run):
    return {
        name: float(group["lr"])
        for group in run.optimizer.param_groups
        for name in group["param_names"]
    }


def test_every_schedule_of_torch_is_tried():
    assert MAKERS.keys() == SCHEDULERS.keys()
    kinds = {name for name in schedules.__all__ if isinstance(getattr(schedules, name), type)}
    assert kinds == SCHEDULERS.keys() | {"LRScheduler"}


@pytest.mark.parametrize("make", [SGD, ADAMW], ids=["sgd", "adamw"])
@pytest.mark.parametrize("name", MAKERS)
def test_training_with_a_schedule_goes_on_in_the_same_directions(
    start, blocks, distance, make, name
):
    still, moved = start(make, MAKERS[name]), start(make, MAKERS[name])
    still.train(10)
    moved.train(10)
    before = rates(still)
    first, second = blocks  # two factors, and the head apart: three groups
    for block, c in ((first, 3.7), (second, 0.21)):
        rescale_(
            moved.model, [block], scale=c, optimizer=moved.optimizer, scheduler=moved.scheduler
        )
    assert len(moved.optimizer.param_groups) == 3
    # Measured: at most 2e-15.
    assert distance(moved.train(50), still.train(50)) < 1e-13
    assert distance(moved.directions(), still.directions()) < 1e-13
    assert len(moved.scheduler.get_last_lr()) == 3
    assert rates(still) != before  # or the schedule was not tried
    factor = 3.7**2 if make is SGD else 3.7
    assert rates(moved)["first"] == pytest.approx(factor * rates(still)["first"], rel=1e-12)
    assert rates(moved)["head"] == pytest.approx(rates(still)["head"], rel=1e-12)


@pytest.mark.parametrize("name", COMMON)
def test_rate_that_groups_have_in_common_is_scaled_if_their_factors_agree(start, distance, name):
    def make(named):
        weights = [(key, value) for key, value in named if key != "head"]
        return optim.SGD(weights, lr=0.05, weight_decay=0.01)

    blocks = [Block(("first",)), Block(("second",))]
    still, moved = start(make, COMMON[name]), start(make, COMMON[name])
    still.train(10)
    moved.train(10)
    before = rates(still)
    rescale_(moved.model, blocks, scale=3.7, optimizer=moved.optimizer, scheduler=moved.scheduler)
    assert distance(moved.train(50), still.train(50)) < 1e-13
    assert distance(moved.directions(), still.directions()) < 1e-13
    assert rates(still) != before


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("CosineAnnealingLR", "eta_min", 0.001),
        ("CosineAnnealingWarmRestarts", "eta_min", 0.001),
        ("ReduceLROnPlateau", "eps", 0.0002),
    ],
)
def test_rate_that_groups_have_in_common_is_refused_if_their_factors_differ(
    start, blocks, name, key, value
):
    run = start(SGD, COMMON[name])
    run.train(3)
    weights = run.model.first.detach().clone()
    found = sentence_of(
        rescale_, run.model, blocks, scale=2.0, optimizer=run.optimizer, scheduler=run.scheduler
    )
    assert found == (
        f"`scheduler.{key}` must be 0, got {value}: {name} has one for all param groups, and "
        "their learning rates change by different factors. Set it to 0, or create the schedule "
        "afterwards."
    )
    assert torch.equal(run.model.first, weights)
    assert len(run.optimizer.param_groups) == 1


def test_floor_of_a_plateau_schedule_is_kept_per_group(start, blocks):
    run = start(SGD, MAKERS["ReduceLROnPlateau"])
    rescale_(run.model, blocks, scale=2.0, optimizer=run.optimizer, scheduler=run.scheduler)
    assert run.scheduler.min_lrs == [8e-3, 2e-3]
    assert run.scheduler.default_min_lr is None  # it would replace both


def test_forgotten_schedule_is_refused(start, blocks):
    run = start(SGD, MAKERS["StepLR"])
    assert sentence_of(rescale_, run.model, blocks, scale=2.0, optimizer=run.optimizer) == (
        "`scheduler` must be given, since a schedule has left `initial_lr` in the param groups: "
        "it would go on with the old learning rates. Pass `scheduler=`, or delete `initial_lr` "
        "from the groups if it is no longer in use."
    )


def test_schedule_of_another_optimizer_is_refused(start, blocks):
    run, other = start(SGD), start(SGD, MAKERS["StepLR"])
    found = sentence_of(
        rescale_, run.model, blocks, scale=2.0, optimizer=run.optimizer, scheduler=other.scheduler
    )
    assert found == "`scheduler` must be that of `optimizer`, got another optimizer's."


class StepLR(schedules.StepLR):
    """A stranger who has the name of an acquaintance."""


@pytest.mark.parametrize("nested", [False, True])
def test_schedules_that_are_not_in_the_table_are_refused(start, blocks, nested):
    def make(optimizer):
        own = StepLR(optimizer, 5)
        return schedules.ChainedScheduler([own]) if nested else own

    run = start(SGD, make)
    found = sentence_of(
        rescale_, run.model, blocks, scale=2.0, optimizer=run.optimizer, scheduler=run.scheduler
    )
    assert found == (
        "`scheduler` must be one of torch.optim.lr_scheduler's LambdaLR, MultiplicativeLR, "
        "StepLR, MultiStepLR, ConstantLR, LinearLR, ExponentialLR, PolynomialLR, "
        "CosineAnnealingLR, CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR, "
        f"ReduceLROnPlateau, SequentialLR, ChainedScheduler, got {StepLR.__module__}.StepLR: what "
        "it keeps of the learning rates is not known."
    )
