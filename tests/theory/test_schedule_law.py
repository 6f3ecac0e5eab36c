"""The exact laws, on real training in float64, and the inverses that follow from them.

The network is a hidden layer with Batch Normalization, written out with ε = 0, on scikit-learn's
digits; every row of its first weight is scale-invariant.
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from etaeff.errors import UnknownNameError, UsageError
from etaeff.theory import (
    lr_schedule,
    schedule_drive,
    schedule_from_drive,
    schedule_law,
    switched_lr,
    trajectory,
)

STEPS = 60


@dataclass
class Run:
    """Radius before each step and after the last, squared gradient norm on the unit sphere."""

    radius: np.ndarray  # (steps + 1, channels)
    grad_norm_sq: np.ndarray  # (steps, channels): ‖ḡ‖² of every channel
    buffer_norm_sq: np.ndarray  # (steps, channels): ‖p‖² of the momentum buffer
    directions: np.ndarray  # (steps + 1, channels, inputs)


@pytest.fixture(scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def train(lr, wd, *, momentum=0.0):
    """Minibatch training with torch.optim.SGD, rate and decay of the first layer set every step."""
    data = load_digits()
    x = torch.tensor(data.data / 16.0, dtype=torch.float64)
    y = torch.tensor(data.target)
    generator = torch.Generator().manual_seed(0)
    w, head = (
        torch.randn(shape, generator=generator, dtype=torch.float64).mul_(scale).requires_grad_()
        for shape, scale in (((12, 64), 0.2), ((10, 12), 0.3))
    )
    optimizer = torch.optim.SGD([{"params": [w]}, {"params": [head]}], lr=0.1, momentum=momentum)
    radii, grads, buffers, directions = [], [], [], []
    for h, decay in zip(lr, wd, strict=True):
        batch = torch.randint(len(x), (32,), generator=generator)
        z = x[batch] @ w.T
        z = (z - z.mean(0)) / z.var(0, unbiased=False).sqrt()
        loss = torch.nn.functional.cross_entropy(torch.relu(z) @ head.T, y[batch])
        optimizer.zero_grad()
        loss.backward()
        r = w.detach().norm(dim=1)
        radii.append(r)
        directions.append(w.detach() / r[:, None])
        grads.append((w.grad.norm(dim=1) * r) ** 2)
        optimizer.param_groups[0].update(lr=float(h), weight_decay=float(decay))
        optimizer.step()
        if momentum:
            buffers.append(optimizer.state[w]["momentum_buffer"].norm(dim=1) ** 2)
    r = w.detach().norm(dim=1)
    stacks = [[*radii, r], grads, buffers or grads, [*directions, w.detach() / r[:, None]]]
    return Run(*(torch.stack(part).numpy() for part in stacks))


def moving_schedule(seed=0):
    """A warm-up and a cosine with jumps, and a decay that jumps too."""
    rng = np.random.default_rng(seed)
    eta = lr_schedule("cosine", lr=0.5, steps=STEPS, warmup=8, final=0.01)
    eta = eta * rng.uniform(0.3, 3.0, STEPS)
    lam = rng.uniform(0.0, 0.4, STEPS) * (rng.uniform(size=STEPS) < 0.8)
    return eta, lam


@pytest.fixture(scope="module")
def real(one_thread):
    eta, lam = moving_schedule()
    return eta, lam, train(eta, lam)


def test_the_effective_rate_of_real_training_follows_the_law_to_twelve_digits(real):
    eta, lam, run = real
    for channel in range(run.radius.shape[1]):
        r = run.radius[:, channel]
        phi = schedule_law(lr=eta, wd=lam, radius=r[0], grad_norm_sq=run.grad_norm_sq[:, channel])
        measured = eta / ((1 - eta * lam) * r[:-1] ** 2)
        assert np.max(np.abs(phi / measured - 1)) < 1e-12
    # The schedule and the noise do move it, or nothing was tested.
    assert measured.max() / measured.min() > 5
    assert np.max(measured**2 * run.grad_norm_sq[:, -1]) > 1e-3


def test_the_law_needs_every_part_of_the_schedule_and_the_noise(real):
    eta, lam, run = real
    r, g = run.radius[:, 0], run.grad_norm_sq[:, 0]
    measured = eta / ((1 - eta * lam) * r[:-1] ** 2)
    for wrong in (
        {"wd": 0.0},
        {"wd": np.roll(lam, 1)},
        {"grad_norm_sq": np.roll(g, 1)},
        {"grad_norm_sq": 0.0},
    ):
        arguments = {"lr": eta, "wd": lam, "radius": r[0], "grad_norm_sq": g} | wrong
        assert np.max(np.abs(schedule_law(**arguments) / measured - 1)) > 1e-5


def test_the_radius_of_real_training_follows_its_step(real):
    eta, lam, run = real
    a = (1 - eta * lam)[:, None]
    phi = eta[:, None] / (a * run.radius[:-1] ** 2)
    expected = run.radius[:-1] ** 2 * a**2 * (1 + phi**2 * run.grad_norm_sq)
    assert run.radius[1:] ** 2 == pytest.approx(expected, rel=1e-12)


def test_a_switch_of_decay_by_switched_lr_is_not_felt_in_real_training(one_thread):
    eta, old, new, at = 0.8, 0.3, 0.02, 30
    unswitched = train(np.full(STEPS, eta), np.full(STEPS, old))
    for after, felt in ((switched_lr(lr=eta, wd=old, new_wd=new), False), (eta, True)):
        lr, wd = np.full(STEPS, eta), np.full(STEPS, old)
        lr[at:], wd[at:] = after, new
        run = train(lr, wd)
        phi = lr[at] / ((1 - lr[at] * wd[at]) * run.radius[at] ** 2)
        kept = eta / ((1 - eta * old) * unswitched.radius[at] ** 2)
        jump = np.max(np.abs(phi / kept - 1))
        moved = np.max(np.abs(run.directions[at + 1] - unswitched.directions[at + 1]))
        assert (jump > 0.1, moved > 1e-4) == (felt, felt)
        if not felt:
            assert jump < 1e-12
            assert moved < 1e-12


def test_the_same_drive_without_decay_visits_the_same_directions(one_thread):
    eta, lam = moving_schedule(1)
    free = schedule_from_drive(
        schedule_drive(lr=eta, wd=lam), lr=eta[0] / (1 - eta[0] * lam[0]), wd=0.0
    )
    decayed, grown = train(eta, lam), train(free, np.zeros(STEPS))
    assert np.max(np.abs(grown.directions - decayed.directions)) < 1e-11
    assert np.max(grown.radius[-1] / decayed.radius[-1]) > 2
    other = train(eta, np.zeros(STEPS))
    assert np.max(np.abs(other.directions[-1] - decayed.directions[-1])) > 0.01


@pytest.mark.parametrize("mu", [0.5, 0.9])
def test_the_norm_grows_by_all_past_steps_under_heavy_ball_without_decay(one_thread, mu):
    eta = 0.05
    run = train(np.full(STEPS, eta), np.zeros(STEPS), momentum=mu)
    p = run.buffer_norm_sq
    for t in range(STEPS):
        past = sum(mu ** (t - k) * p[k] for k in range(t))
        expected = run.radius[t] ** 2 + eta**2 * (p[t] + 2 * past)
        assert run.radius[t + 1] ** 2 == pytest.approx(expected, rel=1e-12)
    assert run.radius[-1].min() / run.radius[0].max() > 0.5
    assert np.all(np.diff(run.radius, axis=0) > 0)


def test_the_law_is_the_trajectory_of_plain_sgd():
    eta, lam = moving_schedule(2)
    run = trajectory("sgd", lr=eta, wd=lam, radius=0.8, grad_norm_sq=1.5)
    phi = schedule_law(lr=eta, wd=lam, radius=0.8, grad_norm_sq=1.5)
    assert phi == pytest.approx(run.effective_lr / (1 - eta * lam), rel=1e-12)


def test_updates_that_ignore_the_gradients_scale_follow_the_law_with_the_other_power():
    """w' = aw − ηp with p orthogonal to w, by hand."""
    rng = np.random.default_rng(0)
    eta, lam = moving_schedule(3)
    w, seen, norms = rng.standard_normal(20), [], []
    radius = np.linalg.norm(w)
    for h, wd in zip(eta, lam, strict=True):
        seen.append(h / ((1 - h * wd) * np.linalg.norm(w)))
        p = rng.standard_normal(20)
        p -= (p @ w) / (w @ w) * w
        norms.append(p @ p)
        w = (1 - h * wd) * w - h * p
    for name in ("adamw", "lion", "normalized", "rmsprop"):
        found = schedule_law(name, lr=eta, wd=lam, radius=radius, grad_norm_sq=norms)
        assert found == pytest.approx(np.array(seen), rel=1e-12)


LENGTH = 12
RATES = st.lists(st.floats(1e-4, 10.0), min_size=LENGTH, max_size=LENGTH)
SHARES = st.lists(st.floats(0.0, 0.9), min_size=LENGTH, max_size=LENGTH)
NAMES = st.sampled_from(["sgd", "adamw"])


@given(NAMES, RATES, SHARES)
def test_a_schedule_is_found_again_from_its_drive(name, rates, shares):
    eta = np.array(rates)
    lam = np.array(shares) / eta
    drive = schedule_drive(name, lr=eta, wd=lam)
    assert drive.shape == (LENGTH - 1,)
    found = schedule_from_drive(drive, lr=eta[0], wd=lam, optimizer=name)
    assert found == pytest.approx(eta, rel=1e-10)


@given(NAMES, st.lists(st.floats(0.2, 3.0), min_size=LENGTH - 1, max_size=LENGTH - 1), SHARES)
def test_a_drive_is_had_by_its_schedule(name, drive, decays):
    assume(decays[0] * 0.5 < 0.9)
    eta = schedule_from_drive(drive, lr=0.5, wd=decays, optimizer=name)
    assert np.all(eta > 0)
    assert schedule_drive(name, lr=eta, wd=decays) == pytest.approx(np.array(drive), rel=1e-10)


@given(st.floats(0, 0.99), st.floats(0, 1e3), st.floats(1e-4, 10))
def test_a_switch_there_and_back_is_no_switch(share, new_wd, lr):
    wd = share / lr
    there = switched_lr(lr=lr, wd=wd, new_wd=new_wd)
    assert there * new_wd < 1
    assert there / (1 - there * new_wd) == pytest.approx(lr / (1 - lr * wd), rel=1e-9)
    assume(there * new_wd < 0.99)
    back = switched_lr(lr=there, wd=new_wd, new_wd=wd)
    assert back == pytest.approx(lr, rel=1e-9)


@pytest.mark.parametrize(("name", "power"), [("sgd", 2), ("adamw", 1)])
def test_without_decay_constant_drive_is_an_exponential_schedule(name, power):
    lr, wd, a = 0.1, 0.5, 0.95
    drive = schedule_drive(name, lr=np.full(200, lr), wd=wd)
    assert drive == pytest.approx(np.full(199, a**-power), rel=1e-14)
    grown = schedule_from_drive(a**-power, lr=lr, wd=0.0, steps=200, optimizer=name)
    assert grown == pytest.approx(lr * a ** (-power * np.arange(200.0)), rel=1e-12)
    kept = schedule_from_drive(a**-power, lr=lr, wd=wd, steps=200, optimizer=name)
    assert kept == pytest.approx(np.full(200, lr), rel=1e-12)


def test_the_schedule_of_the_sheet_keeps_its_drive():
    b, lam, eta = 1.2, 0.3, [0.1]
    for _ in range(30):
        q = b * eta[-1] * (1 - lam * eta[-1])
        eta.append(q / (1 + lam * q))
    found = schedule_from_drive(b, lr=0.1, wd=lam, steps=31)
    assert found == pytest.approx(np.array(eta), rel=1e-14)


def test_a_schedule_of_one_step_has_no_drive():
    assert schedule_drive(lr=[0.1], wd=0.5).shape == (0,)
    assert schedule_from_drive(1.1, lr=0.1, wd=0.5, steps=1).tolist() == [0.1]
    (phi,) = schedule_law(lr=[0.1], wd=0.5, radius=2.0, grad_norm_sq=1.0)
    assert phi == pytest.approx(0.1 / (0.95 * 4), rel=1e-15)


def test_switches_broadcast_and_scalars_stay_scalars():
    found = switched_lr(lr=[0.1, 0.2], wd=[[0.0], [1.0], [2.0]], new_wd=0.5)
    assert found.shape == (3, 2)
    for i, j in np.ndindex(3, 2):
        one = switched_lr(lr=[0.1, 0.2][j], wd=float(i), new_wd=0.5)
        assert isinstance(one, np.float64)
        assert found[i, j] == pytest.approx(one, rel=1e-15)


LAW = {"lr": [0.1, 0.2], "wd": 0.1, "radius": 1.0, "grad_norm_sq": 1.0}
DRIVE = {"lr": [0.1, 0.2], "wd": 0.1}
BACK = {"drive": 1.1, "lr": 0.1, "wd": 0.1, "steps": 3}
SWITCH = {"lr": 0.1, "wd": 0.1, "new_wd": 0.2}
STEPS_SAY = (
    "`steps`, the length of `wd`, and that of `drive` and one more must say one number of steps, "
    "got "
)
REFUSALS = [
    (schedule_law, LAW | {"lr": [0.1, 0.0]}, "`lr` must be positive and finite, got [0.1, 0.0]."),
    (schedule_law, LAW | {"wd": -1.0}, "`wd` must be zero or positive and finite, got -1.0."),
    (schedule_law, LAW | {"radius": 0.0}, "`radius` must be positive and finite, got 0.0."),
    (
        schedule_law,
        LAW | {"grad_norm_sq": math.nan},
        "`grad_norm_sq` must be zero or positive and finite, got nan.",
    ),
    (
        schedule_law,
        LAW | {"grad_norm_sq": [1.0, 1.0, 1.0]},
        "`grad_norm_sq` must be a number or have one for each step of `lr`, which has 2; got the "
        "shape (3,).",
    ),
    (
        schedule_law,
        LAW | {"wd": [0.1, 0.1, 0.1]},
        "`wd` must be a number or have one for each step of `lr`, which has 2; got the shape (3,).",
    ),
    (schedule_law, LAW | {"wd": 5.0}, "`lr` times `wd` must be below 1, got 1.0."),
    (
        schedule_law,
        LAW | {"lr": [1e300, 1e300], "wd": 0.0, "radius": 1e-10},
        "The rate on the unit sphere lies outside what float64 can hold. Check the units of the "
        "arguments.",
    ),
    (
        schedule_drive,
        DRIVE | {"lr": 0.1},
        "`lr` must have one axis, with a number for each step; got the shape ().",
    ),
    (
        schedule_drive,
        DRIVE | {"lr": [[0.1, 0.2]]},
        "`lr` must have one axis, with a number for each step; got the shape (1, 2).",
    ),
    (schedule_drive, DRIVE | {"wd": [0.1, 10.0]}, "`lr` times `wd` must be below 1, got 2.0."),
    (schedule_from_drive, BACK | {"drive": 0.0}, "`drive` must be positive and finite, got 0.0."),
    (schedule_from_drive, BACK | {"lr": math.inf}, "`lr` must be positive and finite, got inf."),
    (
        schedule_from_drive,
        BACK | {"wd": 10.0},
        "`lr` times `wd` must be below 1 at the start, got 1.0.",
    ),
    (schedule_from_drive, BACK | {"steps": None}, STEPS_SAY + "[]."),
    (schedule_from_drive, BACK | {"wd": [0.1, 0.1]}, STEPS_SAY + "[2, 3]."),
    (schedule_from_drive, BACK | {"drive": [1.1] * 3}, STEPS_SAY + "[3, 4]."),
    (
        schedule_from_drive,
        BACK | {"drive": 1e300},
        "The learning rate lies outside what float64 can hold. Check the units of the arguments.",
    ),
    (switched_lr, SWITCH | {"lr": -0.1}, "`lr` must be positive and finite, got -0.1."),
    (switched_lr, SWITCH | {"wd": math.nan}, "`wd` must be zero or positive and finite, got nan."),
    (switched_lr, SWITCH | {"new_wd": -1}, "`new_wd` must be zero or positive and finite, got -1."),
    (switched_lr, SWITCH | {"wd": 10.0}, "`lr` times `wd` must be below 1, got 1.0."),
    (
        switched_lr,
        SWITCH | {"lr": [0.1, 0.2], "wd": [0.1, 0.1, 0.1]},
        "The shapes do not broadcast against each other: `lr` (2,), `wd` (3,).",
    ),
]


@pytest.mark.parametrize(("function", "arguments", "sentence"), REFUSALS)
def test_each_refusal_is_one_sentence(function, arguments, sentence):
    arguments = dict(arguments)
    if function is schedule_from_drive and arguments["drive"] == 1e300:
        arguments["wd"] = 0.0
    with pytest.raises(UsageError) as refused:
        function(**arguments)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("function", "arguments", "names"),
    [
        (schedule_drive, DRIVE | {"wd": [[0.1, 0.1]]}, "wd"),
        (schedule_drive, {"lr": [0.1], "wd": [0.1, 0.1, 0.1]}, "wd"),
        (schedule_law, LAW | {"radius": [1.0, 2.0]}, "radius"),
        (schedule_law, LAW | {"grad_norm_sq": [[1.0, 1.0]]}, "grad_norm_sq"),
        (schedule_law, {"lr": [0.1], "wd": 0.0, "radius": 1.0, "grad_norm_sq": [1.0] * 4}, "lr"),
        (schedule_law, LAW | {"lr": []}, "lr"),
        (schedule_from_drive, BACK | {"lr": [0.1, 0.2]}, "lr"),
        (schedule_from_drive, {"drive": 1.0, "lr": 0.1, "wd": []}, "wd"),
    ],
)
def test_arguments_of_a_wrong_shape_are_refused_in_a_sentence(function, arguments, names):
    with pytest.raises(UsageError, match=rf"`{names}`.*\.$"):
        function(**arguments)


@pytest.mark.parametrize(
    "call",
    [
        lambda name: schedule_law(name, **LAW),
        lambda name: schedule_drive(name, **DRIVE),
        lambda name: schedule_from_drive(**BACK, optimizer=name),
    ],
)
def test_an_unknown_optimizer_lists_the_known_ones(call):
    with pytest.raises(UnknownNameError) as refused:
        call("muom")
    assert str(refused.value) == (
        "Unknown optimizer 'muom'. Known: sgd, rmsprop, adam, adamw, lion, muon, normalized, "
        "nadam. Did you mean 'muon'?"
    )


EXPONENTS = st.floats(-300, 300)


@given(NAMES, EXPONENTS, EXPONENTS, EXPONENTS, EXPONENTS, EXPONENTS)
def test_no_magnitude_of_the_inputs_yields_nan_or_inf(name, one, two, decay, radius, noise):
    eta, lam = [10.0**one, 10.0**two], 10.0**decay
    calls = [
        lambda: schedule_drive(name, lr=eta, wd=lam),
        lambda: schedule_law(name, lr=eta, wd=lam, radius=10.0**radius, grad_norm_sq=10.0**noise),
        lambda: schedule_from_drive(10.0**radius, lr=eta[0], wd=lam, steps=4, optimizer=name),
        lambda: switched_lr(lr=eta[0], wd=lam, new_wd=10.0**noise),
    ]
    for call in calls:
        try:
            found = call()
        except UsageError as refused:
            assert str(refused).endswith(".")  # noqa: PT017
            continue
        assert np.all(np.isfinite(found) & (found > 0))
