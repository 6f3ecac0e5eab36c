"""`lr_schedule` against its formulas and against torch's schedulers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from etaeff.errors import UnknownNameError, UsageError
from etaeff.theory import MILESTONES, SCHEDULES, lr_schedule


def of_torch(make, steps, lr):
    """Learning rate of every step under one of torch's schedulers."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler, seen = make(optimizer), []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(seen)


TORCH = {
    "constant": lambda steps, final: lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda t: 1.0),
    "cosine": lambda steps, final: (
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=steps, eta_min=final)
    ),
    "linear": lambda steps, final: (
        lambda o: torch.optim.lr_scheduler.LinearLR(
            o, start_factor=1.0, end_factor=final / 0.3, total_iters=steps
        )
    ),
    "step": lambda steps, final: (
        lambda o: torch.optim.lr_scheduler.MultiStepLR(
            o, milestones=[steps // 3, 2 * steps // 3], gamma=0.1
        )
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("final", [0.0, 0.03])
def test_schedules_are_those_of_torch(name, final):
    found = lr_schedule(name, lr=0.3, steps=90, final=final)
    assert found == pytest.approx(of_torch(TORCH[name](90, final), 90, 0.3), rel=1e-9)


def test_step_falls_where_resnet_does():
    found = lr_schedule("step", lr=1.0, steps=90)
    assert [np.flatnonzero(found < level)[0] for level in (0.5, 0.05)] == [30, 60]
    assert set(found.round(12)) == {1.0, 0.1, 0.01}


@pytest.mark.parametrize(
    ("milestones", "steps", "drops"),
    [("imagenet", 90, [30, 60]), ("cifar", 64_000, [32_000, 48_000]), ("cifar", 7, [4, 5])],
)
def test_the_milestones_of_a_step_schedule_are_named(milestones, steps, drops):
    found = lr_schedule("step", lr=0.3, steps=steps, milestones=milestones)
    scheduler = torch.optim.lr_scheduler.MultiStepLR
    of_steps = of_torch(lambda o: scheduler(o, milestones=drops, gamma=0.1), steps, 0.3)
    assert found == pytest.approx(of_steps, rel=1e-9)


def test_all_milestones_are_tested_and_others_are_refused():
    assert sorted(MILESTONES) == ["cifar", "imagenet"]
    with pytest.raises(UnknownNameError, match=r"^Unknown milestones 'half'\. Known: imagenet"):
        lr_schedule("step", lr=0.1, steps=10, milestones="half")


@pytest.mark.parametrize("milestones", MILESTONES)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_run_begins_at_its_peak(milestones, steps):
    assert lr_schedule("step", lr=0.1, steps=steps, milestones=milestones)[0] == 0.1


@given(
    st.sampled_from(SCHEDULES),
    st.floats(1e-6, 1e3),
    st.integers(1, 300),
    st.data(),
    st.floats(0, 1),
)
def test_a_schedule_warms_up_to_its_peak_and_never_rises_again(name, lr, steps, data, share):
    warmup = data.draw(st.integers(0, steps - 1))
    final = share * lr
    found = lr_schedule(name, lr=lr, steps=steps, warmup=warmup, final=final)
    assert found.shape == (steps,)
    assert found.dtype == np.float64
    rise = lr * np.arange(1, warmup + 1) / (warmup + 1)
    assert found[:warmup] == pytest.approx(rise, rel=1e-12)
    after = found[warmup:]
    assert np.all(np.diff(after) <= lr * 1e-15)
    assert np.all(after > 0)
    if name != "step":  # whose drops stay where they are, and may lie inside the warm-up
        assert after[0] == pytest.approx(lr, rel=1e-12)
    if name in ("cosine", "linear"):
        assert np.all(after >= final * (1 - 1e-12))


def test_cosine_and_linear_pass_the_middle_at_half_time():
    for name in ("cosine", "linear"):
        found = lr_schedule(name, lr=1.0, steps=110, warmup=10, final=0.2)
        assert found[60] == pytest.approx(0.6, rel=1e-12)
        # One step more would be at the end.
        longer = lr_schedule(name, lr=1.0, steps=110, warmup=10, final=0.2)[-1]
        assert 0.2 < longer < 0.21


def test_scalars_of_numpy_are_taken_as_numbers():
    found = lr_schedule(
        "cosine", lr=np.float64(0.1), steps=np.int64(8), warmup=np.int64(2), final=np.float32(0.0)
    )
    assert np.all(found == lr_schedule("cosine", lr=0.1, steps=8, warmup=2))


WARMUP = "`warmup` must be a whole number of steps from 0 to below `steps`, got "
REFUSALS = [
    ({"lr": 0.0}, "`lr` must be positive and finite, got 0.0."),
    ({"lr": math.nan}, "`lr` must be positive and finite, got nan."),
    ({"final": -0.1}, "`final` must be zero or positive and finite, got -0.1."),
    ({"final": math.inf}, "`final` must be zero or positive and finite, got inf."),
    ({"steps": 0}, "`steps` must be a whole number from 1 on, got 0."),
    ({"steps": True}, "`steps` must be a whole number from 1 on, got True."),
    ({"steps": 2.5}, "`steps` must be a whole number from 1 on, got 2.5."),
    ({"warmup": 10}, WARMUP + "10."),
    ({"warmup": -1}, WARMUP + "-1."),
    ({"warmup": 1.0}, WARMUP + "1.0."),
    ({"warmup": True}, WARMUP + "True."),
]


@pytest.mark.parametrize(("arguments", "sentence"), REFUSALS)
def test_each_refusal_is_one_sentence(arguments, sentence):
    with pytest.raises(UsageError) as refused:
        lr_schedule("cosine", **({"lr": 0.1, "steps": 10} | arguments))
    assert str(refused.value) == sentence


@pytest.mark.parametrize("name", ["lr", "final"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_has_one_peak_and_one_end(schedule, name):
    with pytest.raises(UsageError, match=rf"^`{name}` must .*\.$"):
        lr_schedule(schedule, **({"lr": 0.1, "steps": 2, "final": 0.0} | {name: [0.1, 0.2]}))


def test_an_unknown_schedule_lists_the_known_ones():
    with pytest.raises(UnknownNameError) as refused:
        lr_schedule("cosin", lr=0.1, steps=10)
    assert str(refused.value) == (
        "Unknown schedule 'cosin'. Known: constant, cosine, linear, step. Did you mean 'cosine'?"
    )


@given(st.sampled_from(SCHEDULES), st.floats(-307, 308), st.integers(1, 50), st.integers(0, 49))
@example("constant", 308.0, 3, 2)
@example("cosine", 308.0, 3, 0)
def test_no_magnitude_of_the_rate_yields_nan_or_inf(name, log_lr, steps, warmup):
    warmup = min(warmup, steps - 1)
    try:
        found = lr_schedule(name, lr=10.0**log_lr, steps=steps, warmup=warmup)
    except UsageError:
        return
    assert np.all(np.isfinite(found))
    assert np.max(found) <= 10.0**log_lr * (1 + 1e-15)
