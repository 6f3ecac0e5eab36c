"""`timescale` and `steps_after_drop` against the equilibrium and against whole runs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etaeff.errors import UnknownNameError, UsageError
from etaeff.theory import equilibrium, steps_after_drop, timescale, trajectory

TIMES = ["half_life", "settled", "settled_epochs", "memory", "memory_epochs"]


def test_the_times_of_updates_of_known_size_are_those_of_the_decay():
    found = timescale("normalized", lr=3e-4, wd=0.1, batch=512, data=1_000_000)
    assert found.memory == pytest.approx(1 / 3e-5, rel=1e-14)
    assert found.memory_epochs == pytest.approx(512 / (3e-5 * 1_000_000), rel=1e-14)
    assert found.half_life == pytest.approx(math.log(0.5) / (2 * math.log1p(-3e-5)), rel=1e-12)
    left = (1 - 3e-5) ** (2 * found.settled)
    assert left == pytest.approx(1 / 20, rel=1e-9)
    assert found.settled / found.half_life == pytest.approx(4.32, abs=0.005)
    assert found.settled_epochs == pytest.approx(found.settled * 512 / 1e6, rel=1e-14)
    adamw = timescale("adamw", lr=3e-4, wd=0.1, batch=512, data=1_000_000)
    assert (adamw.memory, adamw.memory_epochs) == (found.memory, found.memory_epochs)
    slower = adamw.half_life / found.half_life  # as the second moment needs 1000 steps of 33 333
    assert slower == pytest.approx(1 + 2 * 3e-5 / 1e-3, abs=0.01)


def test_for_small_decay_the_times_are_those_of_the_sheet():
    x = 1e-6
    ball = timescale("sgd", lr=0.1, wd=x / 0.1, momentum=0.9)
    assert ball.half_life == pytest.approx(math.log(2) * 0.1 / (4 * x), rel=1e-3)
    apart = timescale("sgd", lr=0.1, wd=x / 0.1, momentum=0.9, decay="decoupled")
    assert apart.half_life == pytest.approx(math.log(2) / (4 * x), rel=1e-3)
    adam = timescale("adam", lr=1e-6, wd=1e-6, dim=100, grad_norm_sq=1.0, batch=1, data=10)
    angle = equilibrium("adam", lr=1e-6, wd=1e-6, dim=100, grad_norm_sq=1.0).angle
    seen = angle**2 / 2 * 1.9 / 0.1  # the decay that Adam sees, of 1 − cos = hλ(1 − β₁)/(1 + β₁)
    assert adam.half_life == pytest.approx(math.log(2) / (3 * seen), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("sgd", {"momentum": 0.9, "grad_norm_sq": 2.0}),
        ("sgd", {"momentum": 0.9, "nesterov": True, "grad_norm_sq": 2.0}),
        ("sgd", {"momentum": 0.9, "decay": "decoupled", "grad_norm_sq": 2.0}),
        ("adam", {"grad_norm_sq": 2.0, "dim": 100.0}),
        ("rmsprop", {"grad_norm_sq": 2.0, "dim": 100.0}),
        ("normalized", {}),
        ("muon", {"shape": (8, 32), "momentum": 0.5}),
    ],
)
def test_what_settles_has_a_twentieth_of_its_deviation_left(name, inputs):
    lr, wd = (1e-3, 0.05) if name in ("adam", "rmsprop") else (0.01, 0.05)
    found = timescale(name, lr=lr, wd=wd, **inputs)
    rest = float(equilibrium(name, lr=lr, wd=wd, **inputs).radius) ** 2
    # Late enough for the buffer to be full and the deviation to shrink as in the linear law.
    begin, wait = round((1 if name == "muon" else 3) * found.settled), round(found.settled)
    run = trajectory(name, lr=lr, wd=wd, radius=1.5 * math.sqrt(rest), steps=begin + wait, **inputs)
    deviation = run.radius**2 - rest
    left = deviation[begin + wait] / deviation[begin]
    assert left == pytest.approx(0.05, rel=0.02)


def test_without_what_it_needs_the_half_life_is_none():
    found = timescale("adam", lr=1e-3, wd=0.1, batch=10, data=100)
    assert (found.half_life, found.settled, found.settled_epochs) == (None, None, None)
    assert found.memory == pytest.approx(1e4, rel=1e-14)
    assert found.memory_epochs == pytest.approx(1e3, rel=1e-14)


def test_epochs_are_told_only_where_an_epoch_is_known():
    found = timescale("sgd", lr=0.1, wd=0.1)
    assert (found.settled_epochs, found.memory_epochs) == (None, None)
    assert isinstance(found.settled, np.float64)
    assert isinstance(found.memory, np.float64)


def test_the_share_of_a_run_is_the_same_at_any_batch_if_rate_times_decay_follows_it():
    batches = np.array([64, 128, 1024])
    found = timescale("adamw", lr=1e-6 * batches, wd=0.1, batch=batches, data=10**7)
    assert found.memory_epochs == pytest.approx(np.full(3, 1 / (1e-7 * 10**7)), rel=1e-12)


def test_times_broadcast_element_by_element():
    lr, wd, batch, data = np.array([0.1, 0.2]), np.array([[0.01], [0.1], [0.3]]), 32.0, 5e4
    momentum = np.array([0.0, 0.5])
    whole = timescale("sgd", lr=lr, wd=wd, momentum=momentum, batch=batch, data=data)
    for field in TIMES:
        assert getattr(whole, field).shape == (3, 2), field
    for i, j in np.ndindex(3, 2):
        one = timescale("sgd", lr=lr[j], wd=wd[i, 0], momentum=momentum[j], batch=batch, data=data)
        for field in TIMES:
            expected = pytest.approx(getattr(one, field), rel=1e-12)
            assert getattr(whole, field)[i, j] == expected, field


TIMESCALE_REFUSALS = [
    ({"batch": 10}, "`batch` and `data` must be given together: they say what an epoch is."),
    ({"data": 10}, "`batch` and `data` must be given together: they say what an epoch is."),
    ({"batch": 0, "data": 10}, "`batch` must be positive and finite, got 0."),
    ({"batch": 10, "data": math.inf}, "`data` must be positive and finite, got inf."),
    ({"momentum": 1.0}, "`momentum` must lie in [0, 1), got 1.0."),
    (
        {"wd": 0.0},
        "`wd` must be positive and finite, got 0.0. Without decay the norm only grows, and there "
        "is no equilibrium.",
    ),
]


@pytest.mark.parametrize(("arguments", "sentence"), TIMESCALE_REFUSALS)
def test_each_refusal_of_times_is_one_sentence(arguments, sentence):
    with pytest.raises(UsageError) as refused:
        timescale("sgd", **({"lr": 0.1, "wd": 0.1} | arguments))
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    "arguments",
    [{"batch": [1, 2, 3], "data": 100}, {"batch": 1, "data": [1, 2, 3]}, {"wd": [0.1, 0.2, 0.3]}],
)
def test_times_of_shapes_that_do_not_fit_are_refused(arguments):
    with pytest.raises(UsageError, match=r"^The shapes do not broadcast against each other: .*\.$"):
        timescale("sgd", **({"lr": [0.1, 0.2], "wd": 0.1} | arguments))


EXPONENTS = st.floats(-300, 300)


@given(
    st.sampled_from(["sgd", "adamw", "normalized"]),
    st.floats(-306, 0.2),
    EXPONENTS,
    EXPONENTS,
)
def test_no_magnitude_yields_times_that_are_nan_or_inf(name, log_x, log_batch, log_data):
    try:
        found = timescale(name, lr=1.0, wd=10.0**log_x, batch=10.0**log_batch, data=10.0**log_data)
    except UsageError:
        return
    for field in TIMES:
        assert 0 <= getattr(found, field) < math.inf, field


WAITS = [
    ("sgd", {}, {"grad_norm_sq": 1.0}),
    ("sgd", {"momentum": 0.9}, {"grad_norm_sq": 1.0}),
    ("sgd", {"momentum": 0.9, "dampening": 0.5}, {"grad_norm_sq": 1.0}),
    ("sgd", {"momentum": 0.9, "nesterov": True}, {"grad_norm_sq": 1.0}),
    ("sgd", {"momentum": 0.9, "decay": "decoupled"}, {"grad_norm_sq": 1.0}),
    ("adamw", {"betas": (0.9, 0.999)}, {"dim": 100.0}),
    ("adam", {"decay": "decoupled"}, {"dim": 100.0}),
    ("rmsprop", {"decay": "decoupled"}, {"dim": 100.0}),
    ("lion", {}, {"dim": 100.0}),
    ("muon", {}, {"shape": (8, 64)}),
    ("normalized", {"momentum": 0.9}, {}),
]


@pytest.mark.parametrize(("name", "kind", "inputs"), WAITS)
@pytest.mark.parametrize("k", [1.5, 10.0])
def test_no_run_is_at_its_new_radius_before_the_bound(name, kind, inputs, k):
    lr, wd = 0.1, 0.02
    wait = steps_after_drop(name, k, lr=lr / k, wd=wd, **kind)
    before = 4000
    eta = np.append(np.full(before, lr), np.full(int(wait) + 1, lr / k))
    rest = equilibrium(name, lr=lr / k, wd=wd, **kind, **inputs).radius
    old = equilibrium(name, lr=lr, wd=wd, **kind, **inputs).radius
    run = trajectory(name, lr=eta, wd=wd, radius=old, **kind, **inputs)
    after = run.radius[before : before + int(wait)]
    assert after[0] == pytest.approx(old, rel=1e-3)
    assert np.all(after > rest)
    assert len(after) > 5


@pytest.mark.parametrize("decay", ["l2", "decoupled"])
@pytest.mark.parametrize("kind", [{}, {"momentum": 0.9}, {"momentum": 0.5, "nesterov": True}])
def test_the_bound_is_the_decay_of_a_weight_without_gradient(kind, decay):
    k, lr, wd, mu = 16.0, 0.05, 0.02, kind.get("momentum", 0.0)
    wait = float(steps_after_drop("sgd", k, lr=lr, wd=wd, decay=decay, **kind))
    w, v, seen = 1.0, 0.0, []
    for _ in range(1600):
        g = wd * w if decay == "l2" else 0.0
        v = mu * v + g
        step = g + mu * v if kind.get("nesterov") else v
        w = (w if decay == "l2" else (1 - lr * wd) * w) - lr * step
        seen.append(w)
    rate = math.log(seen[1400] / seen[1500]) / 100
    assert wait == pytest.approx(math.log(k) / 4 / rate, rel=1e-9)


@pytest.mark.parametrize("k", [1.5, 4.0, 100.0])
def test_after_twice_the_wait_plain_sgd_is_within_a_share_of_one_over_k(k):
    lr, wd = 0.1, 0.01
    wait = float(steps_after_drop("sgd", k, lr=lr / k, wd=wd))
    assert wait == pytest.approx(math.log(k) / (4 * lr / k * wd), rel=1e-3)
    before, twice = 5000, math.ceil(2 * wait)
    eta = np.append(np.full(before, lr), np.full(twice, lr / k))
    run = trajectory("sgd", lr=eta, wd=wd, radius=1.5, grad_norm_sq=1.0)
    rest = equilibrium("sgd", lr=lr / k, wd=wd, grad_norm_sq=1.0).radius
    over = (run.radius[-1] / rest) ** 4 - 1
    assert 0 < over <= 1 / k


def test_the_example_of_wan_and_others_is_ln_k_over_4x_times_one_minus_momentum():
    found = steps_after_drop("sgd", [2.0, 10.0, 50.0], lr=0.01, wd=5e-5, momentum=0.9)
    assert found == pytest.approx(np.log([2.0, 10.0, 50.0]) * 0.1 / (4 * 5e-7), rel=1e-4)
    found = steps_after_drop("adamw", 10.0, lr=0.01, wd=5e-5)
    assert found == pytest.approx(math.log(10) / (2 * 5e-7), rel=1e-6)
    assert isinstance(found, np.float64)


def test_waits_broadcast_element_by_element():
    k, lr, momentum = np.array([2.0, 3.0]), np.array([[0.1], [0.2]]), np.array([0.0, 0.9])
    whole = steps_after_drop("sgd", k, lr=lr, wd=0.01, momentum=momentum)
    assert whole.shape == (2, 2)
    for i, j in np.ndindex(2, 2):
        one = steps_after_drop("sgd", k[j], lr=lr[i, 0], wd=0.01, momentum=momentum[j])
        assert whole[i, j] == pytest.approx(one, rel=1e-13)


WAIT_REFUSALS = [
    ("sgd", {"k": 1.0}, "`k` must be above 1 and finite, got 1.0."),
    ("sgd", {"k": math.nan}, "`k` must be above 1 and finite, got nan."),
    ("sgd", {"k": [2.0, math.inf]}, "`k` must be above 1 and finite, got [2.0, inf]."),
    ("sgd", {"k": "ten"}, "`k` must be a number or an array of them, got 'ten'."),
    ("sgd", {"lr": 0.0}, "`lr` must be positive and finite, got 0.0."),
    ("adamw", {"lr": 1.0, "wd": 1.0}, "`lr` times `wd` must be below 1, got 1.0."),
    ("sgd", {"lr": 1.0, "wd": 1.5}, "`lr` times `wd` must be below 1, got 1.5."),
    (
        "sgd",
        {"lr": 1.0, "wd": 0.5, "momentum": 0.9},
        "`lr` times `wd` is too large for this momentum: decay alone makes the weight oscillate, "
        "and it passes zero.",
    ),
    ("adam", {}, "The wait after a drop is not derived for `adam` with L2."),
    ("rmsprop", {"decay": "l2"}, "The wait after a drop is not derived for `rmsprop` with L2."),
    ("lion", {"momentum": 0.9}, "`lion` has no argument `momentum`; it takes `betas`."),
]


@pytest.mark.parametrize(("name", "arguments", "sentence"), WAIT_REFUSALS)
def test_each_refusal_of_a_wait_is_one_sentence(name, arguments, sentence):
    given_arguments = {"k": 10.0, "lr": 0.1, "wd": 0.1} | arguments
    with pytest.raises(UsageError) as refused:
        steps_after_drop(name, given_arguments.pop("k"), **given_arguments)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    "arguments",
    [{"k": [2.0, 3.0, 4.0]}, {"wd": [0.1, 0.1, 0.1]}, {"momentum": [0.1, 0.2, 0.3]}],
)
def test_waits_of_shapes_that_do_not_fit_are_refused(arguments):
    given_arguments = {"k": 10.0, "lr": [0.1, 0.2], "wd": 0.1} | arguments
    with pytest.raises(UsageError, match=r"^The shapes do not broadcast against each other: .*\.$"):
        steps_after_drop("sgd", given_arguments.pop("k"), **given_arguments)


def test_an_unknown_optimizer_lists_the_known_ones():
    for call in (timescale, lambda name, **rest: steps_after_drop(name, 2.0, **rest)):
        with pytest.raises(UnknownNameError) as refused:
            call("muom", lr=0.1, wd=0.1)
        assert str(refused.value).endswith("normalized, nadam. Did you mean 'muon'?")
