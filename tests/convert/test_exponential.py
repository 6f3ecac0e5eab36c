import math
from functools import partial

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import optim

from etaeff.convert import ExponentialSchedule, decay_schedule, exponential_schedule
from etaeff.errors import UsageError
from etaeff.theory import lr_schedule

STEPS = 440
HEAD_LR = 0.05
SCHEDULES = {
    "step decay": lr_schedule("step", lr=0.05, steps=STEPS),
    "cosine with warm-up": lr_schedule("cosine", lr=0.05, steps=STEPS, warmup=20),
}
DECAYS = {
    "constant decay": np.full(STEPS, 0.02),
    "changing decay": 0.02 * np.abs(np.cos(np.arange(STEPS) / 40)),
}
LOG_LARGEST = math.log(np.finfo(float).max)


class Scheduled(optim.SGD):
    """torch's SGD with a rate and a decay for each step; the head has no decay."""

    def __init__(self, model, lr, wd, momentum):
        groups = [{"params": [model.first, model.second]}, {"params": [model.head]}]
        super().__init__(groups, lr=HEAD_LR, momentum=momentum)
        self.schedule = iter(zip(lr, np.broadcast_to(wd, len(lr)), strict=True))

    def step(self):
        lr, wd = next(self.schedule)
        self.param_groups[0].update(lr=float(lr), weight_decay=float(wd))
        super().step()


@pytest.fixture
def train(start):
    """A function from schedules to a trained run, its losses and its norms, step by step."""

    def train(lr, wd, momentum):
        run = start(lambda named: None)
        run.optimizer = Scheduled(run.model, lr, wd, momentum)
        losses, norms = [], [norms_of(run)]
        for _ in lr:
            losses += run.train(1)
            norms.append(norms_of(run))
        return run, losses, np.array(norms)

    return train


def norms_of(run):
    first, second = run.model.first.detach(), run.model.second.detach()
    return torch.cat([first.norm(dim=1), second.norm(dim=0)]).numpy()


@pytest.mark.usefixtures("double_on_one_thread")
@pytest.mark.parametrize(
    ("schedule", "decay"),
    [("step decay", "changing decay"), ("cosine with warm-up", "constant decay")],
)
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_training_without_decay_takes_the_same_steps(train, distance, momentum, schedule, decay):
    lr, wd = SCHEDULES[schedule], DECAYS[decay]
    found = exponential_schedule(lr, wd, momentum)
    with_decay, losses, norms = train(lr, wd, momentum)
    without, other_losses, other_norms = train(found.lr, 0.0, momentum)
    # Measured: at most 5e-15.
    assert distance(without.directions(), with_decay.directions()) < 1e-12
    assert distance(other_losses, losses) < 1e-12
    assert np.log(other_norms / norms) == pytest.approx(
        np.tile(found.log_scale[:, None], 32), abs=1e-12
    )
    assert found.log_scale[-1] > 0.1  # there was decay to speak of


@pytest.mark.usefixtures("double_on_one_thread")
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_training_with_decay_takes_the_steps_of_a_schedule_without(train, distance, momentum):
    lr, wd = SCHEDULES["cosine with warm-up"], DECAYS["changing decay"]
    found = decay_schedule(np.log(lr), wd, momentum)
    without, losses, _ = train(lr, 0.0, momentum)
    with_decay, other_losses, _ = train(found, wd, momentum)
    assert distance(with_decay.directions(), without.directions()) < 1e-12
    assert distance(other_losses, losses) < 1e-12
    assert np.abs(np.log(found / lr)).max() > 0.1


@pytest.mark.usefixtures("double_on_one_thread")
def test_training_goes_elsewhere_without_the_conversion(train, distance):
    lr, wd = SCHEDULES["step decay"], DECAYS["constant decay"]
    with_decay, _, _ = train(lr, wd, 0.9)
    without, _, _ = train(lr, 0.0, 0.9)
    assert distance(without.directions(), with_decay.directions()) > 0.02


def walk(lr, wd, momentum, directions):
    """w after each step, in any precision, under gradients that are given over the norm of w."""
    w, buffer, found = [1, 0], [0, 0], []
    for eta, lam, direction in zip(lr, wd, directions, strict=True):
        size = mpmath.sqrt(w[0] ** 2 + w[1] ** 2)
        turn = direction / size**2
        g = [-turn * w[1], turn * w[0]]  # orthogonal to w, of length direction / size
        buffer = [momentum * b + part + lam * x for b, part, x in zip(buffer, g, w, strict=True)]
        w = [x - eta * b for x, b in zip(w, buffer, strict=True)]
        found.append(w)
    return found


def test_every_step_is_right_to_the_last_digits():
    rng = np.random.default_rng(0)
    lr, wd = rng.uniform(0.5, 1.0, 60), rng.uniform(0.0, 0.02, 60)
    found = exponential_schedule(lr, wd, 0.6)
    with mpmath.workdps(40):
        directions = [mpmath.mpf(x) for x in rng.standard_normal(60)]
        rates = [mpmath.mpf(x) for x in lr]
        decays = [mpmath.mpf(x) for x in wd]
        one = walk(rates, decays, mpmath.mpf(0.6), directions)
        other = walk([mpmath.exp(x) for x in found.log_lr], [0] * 60, mpmath.mpf(0.6), directions)
        for (x, y), (xx, yy), scale in zip(one, other, found.log_scale[1:], strict=True):
            assert abs(mpmath.atan2(y, x) - mpmath.atan2(yy, xx)) < 1e-13
            ratio = mpmath.sqrt((xx**2 + yy**2) / (x**2 + y**2))
            assert abs(mpmath.log(ratio) - scale) < 1e-13


@pytest.mark.parametrize("wd", [0.0, 0.01, 1.5])
def test_without_momentum_it_is_the_closed_form(wd):
    found = exponential_schedule(0.3, wd, steps=50)
    t, kept = np.arange(51), math.log1p(-0.3 * wd)
    assert found.log_scale == pytest.approx(-kept * t, rel=1e-13)
    assert found.log_lr == pytest.approx(math.log(0.3) - kept * (2 * t[:-1] + 1), rel=1e-13)


@pytest.mark.parametrize("steps", [1000, 200_000])
def test_long_schedules_do_not_drift(steps):
    found = exponential_schedule(0.1, 0.05, steps=steps)
    exact = math.log(0.1) - (2 * steps - 1) * math.log1p(-0.1 * 0.05)
    # In logarithms, so that this is the relative error of the learning rate.
    assert found.log_lr[-1] == pytest.approx(exact, rel=0, abs=1e-12 + 1e-15 * steps)


@pytest.mark.parametrize(("momentum", "x"), [(0.3, 0.1), (0.5, 0.08), (0.9, 1e-3), (0.9, 2.6e-3)])
def test_with_momentum_it_grows_by_the_larger_root_in_the_end(momentum, x):
    found = exponential_schedule(0.1, x / 0.1, momentum, steps=3000)
    root = np.roots([1, -(1 + momentum - x), momentum]).max()
    assert np.diff(found.log_lr)[-1] == pytest.approx(-2 * math.log(root), rel=1e-9)
    assert found.log_scale[-1] - found.log_scale[-2] == pytest.approx(-math.log(root), rel=1e-9)


def crosses_zero(x, momentum):
    """Whether decay alone, under torch's rule, turns w over once it has filled the buffer."""
    w, buffer = 1.0, 0.0
    for _ in range(20_000):
        buffer = momentum * buffer + x * w
        w, buffer = w - buffer, buffer
        if w <= 0:
            return True
        w, buffer = 1.0, buffer / w
    return False


@pytest.mark.parametrize("momentum", [0.01, 0.5, 0.9, 0.99])
def test_the_limit_is_where_decay_alone_turns_the_weight_over(momentum):
    limit = (1 - math.sqrt(momentum)) ** 2
    below, above = limit * (1 - 1e-3), limit * (1 + 1e-3)
    assert not crosses_zero(below, momentum)
    assert crosses_zero(above, momentum)
    assert np.all(np.isfinite(exponential_schedule(1.0, below, momentum, steps=20_000).log_lr))
    with pytest.raises(UsageError) as refused:
        exponential_schedule([below, below, above], 1.0, momentum)
    assert str(refused.value) == (
        f"`lr` times `wd` is {above:.6g} at step 2, and with momentum {momentum} it must not pass "
        f"(1 - sqrt(momentum))**2 = {limit:.6g}: beyond it decay alone makes the weight oscillate "
        "through zero, and no schedule without decay does that."
    )


@pytest.mark.parametrize("momentum", [0.1, 0.5, 0.9, 0.999])
def test_the_limit_itself_is_accepted(momentum):
    limit = (1 - math.sqrt(momentum)) ** 2
    steps = int(100 / (1 - math.sqrt(momentum)))
    found = exponential_schedule(1.0, limit, momentum, steps=steps)
    # The two roots meet in √γ, which α nears from above as slowly as 1/t.
    assert -np.diff(found.log_scale)[-1] == pytest.approx(math.log(momentum) / 2, rel=0.05)
    for factor in (1 + 1e-9, 1 + 1e-3, 10):
        with pytest.raises(UsageError, match=r"it must not pass \(1 - sqrt\(momentum\)\)\*\*2"):
            exponential_schedule(1.0, limit * factor, momentum, steps=2000)


def test_a_whole_weight_cannot_decay_away_without_momentum():
    for wd in (1.0, 1.5):
        with pytest.raises(UsageError):
            exponential_schedule(1.0, wd, steps=1)


def test_a_rise_that_swings_the_buffered_decay_through_zero_is_refused():
    lr, wd = [1e-3] * 50 + [10.0], [2.0] * 50 + [0.0]
    with pytest.raises(UsageError) as refused:
        exponential_schedule(lr, wd, 0.9)
    assert str(refused.value) == (
        "At step 50 the decay, with what momentum has kept of it, takes more than the whole "
        "weight. A slower rise of `lr`, or less `wd`, avoids it."
    )


def test_a_million_steps_stay_finite():
    lr = lr_schedule("cosine", lr=0.1, steps=1_000_000)
    found = exponential_schedule(lr, 5e-2)
    assert np.all(np.isfinite(found.log_lr))
    assert found.log_scale[-1] == pytest.approx(-math.fsum(np.log1p(-5e-2 * lr)), rel=1e-10)
    assert found.log_lr[-1] > 2 * LOG_LARGEST
    first = int(np.argmax(found.log_lr > LOG_LARGEST))
    assert first > 0
    with pytest.raises(UsageError) as refused:
        _ = found.lr
    assert str(refused.value) == (
        f"The learning rate leaves float64 at step {first}; use `log_lr`, and rescale the weights "
        "now and then (a factor c on them is c² on the learning rate)."
    )
    assert np.all(np.isfinite(np.exp(found.log_lr[:first])))


def test_the_learning_rate_is_held_up_to_the_largest_float():
    largest = ExponentialSchedule(np.array([0.0, 709.7]), np.zeros(3))
    assert largest.lr == pytest.approx(np.exp([0.0, 709.7]))
    with pytest.raises(UsageError, match=r"^The learning rate leaves float64 at step 1;"):
        _ = ExponentialSchedule(np.array([0.0, 709.8]), np.zeros(3)).lr


RATES = st.lists(st.tuples(st.floats(0.25, 4.0), st.floats(0, 0.95)), min_size=1, max_size=60)


def draw_schedules(pairs, momentum):
    """lr that rises or falls by up to 4 a step, and wd within the limit; else it is not drawn."""
    lr = 0.1 * np.exp(np.clip(np.cumsum(np.log([factor for factor, _ in pairs])), -9, 9))
    wd = np.array([share for _, share in pairs]) * (1 - math.sqrt(momentum)) ** 2 / lr
    try:
        return lr, wd, exponential_schedule(lr, wd, momentum)
    except UsageError as refused:
        assert "A slower rise of `lr`" in str(refused)  # noqa: PT017
        assume(False)


@given(RATES, st.floats(0, 0.99))
def test_decay_schedule_is_the_inverse(pairs, momentum):
    lr, wd, found = draw_schedules(pairs, momentum)
    # A step that leaves a small share of the weight forgets as many digits of it.
    kept = np.exp(-np.diff(found.log_scale)).min()
    assert decay_schedule(found.log_lr, wd, momentum) == pytest.approx(lr, rel=1e-11 / kept**2)


@given(
    st.lists(st.tuples(st.floats(-5, 2), st.floats(0, 0.05)), min_size=1, max_size=60),
    st.floats(0, 0.5),
)
def test_exponential_schedule_is_the_inverse_of_decay_schedule(pairs, momentum):
    log_lr, wd = np.array(pairs).T
    try:
        lr = decay_schedule(log_lr, wd, momentum)
        again = exponential_schedule(lr, wd, momentum)
    except UsageError:
        assume(False)
    assert again.log_lr == pytest.approx(log_lr, abs=1e-10)


@given(RATES, st.floats(0, 0.99), st.floats(1e-3, 1e3))
def test_units_of_the_weight_shift_the_schedule_and_no_more(pairs, momentum, c):
    # (w, η, λ) → (cw, c²η, λ/c²) is the same training.
    lr, wd, found = draw_schedules(pairs, momentum)
    moved = exponential_schedule(c**2 * lr, wd / c**2, momentum)
    kept = np.exp(-np.diff(found.log_scale)).min()
    assert moved.log_scale == pytest.approx(found.log_scale, rel=1e-9, abs=1e-11 / kept**2)
    assert moved.log_lr - 2 * math.log(c) == pytest.approx(found.log_lr, abs=1e-10 / kept**2)


def test_no_decay_changes_nothing():
    lr = SCHEDULES["step decay"]
    found = exponential_schedule(lr, 0.0, 0.9)
    assert found.lr == pytest.approx(lr, rel=1e-15)
    assert np.all(found.log_scale == 0)
    assert decay_schedule(np.log(lr), 0.0, 0.9) == pytest.approx(lr, rel=1e-15)


def test_a_number_serves_for_all_steps_of_the_other():
    one = exponential_schedule([0.1, 0.1, 0.1], 0.5, 0.02)
    for other in (
        exponential_schedule(0.1, [0.5] * 3, 0.02),
        exponential_schedule(0.1, 0.5, 0.02, steps=3),
    ):
        assert other.log_lr.tolist() == one.log_lr.tolist()
    assert one.log_lr.shape == (3,)
    assert one.log_scale.shape == (4,)


FINITE = "must be positive and finite, got"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"lr": 0.0}, f"`lr` {FINITE} "),
        ({"lr": -0.1}, "`lr` must be zero or positive and finite, got -0.1."),
        ({"lr": math.nan}, "`lr` must be zero or positive and finite, got nan."),
        ({"lr": math.inf}, "`lr` must be zero or positive and finite, got inf."),
        ({"lr": [0.1, 0.0, 0.1]}, f"`lr` {FINITE} "),
        ({"lr": "fast"}, "`lr` must be a number or an array of them, got 'fast'."),
        ({"lr": [[0.1]]}, "`lr` must be a number or have one axis, time; got the shape (1, 1)."),
        ({"wd": -1e-9}, "`wd` must be zero or positive and finite, got -1e-09."),
        ({"wd": math.nan}, "`wd` must be zero or positive and finite, got nan."),
        ({"momentum": 1.0}, "`momentum` must lie in [0, 1), got 1.0."),
        ({"momentum": -0.1}, "`momentum` must lie in [0, 1), got -0.1."),
        ({"momentum": math.nan}, "`momentum` must lie in [0, 1), got nan."),
        ({"momentum": [0.9]}, "`momentum` must be one number in [0, 1), got [0.9]."),
        ({"steps": 0}, "`steps` must be a whole number from 1 on, got 0."),
        ({"steps": 2.0}, "`steps` must be a whole number from 1 on, got 2.0."),
        (
            {"steps": None},
            "`steps` is needed, because neither `lr` nor `wd` has an axis of time.",
        ),
        (
            {"lr": [0.1, 0.1]},
            "`steps` and the lengths of `lr` and `wd` must be the same and not zero, got [2, 3].",
        ),
        ({"lr": [], "steps": None}, "`lr` must not be empty."),
    ],
)
def test_bad_schedules_are_refused_in_a_sentence(arguments, sentence):
    with pytest.raises(UsageError) as refused:
        exponential_schedule(**{"lr": 0.1, "wd": 1e-3, "steps": 3} | arguments)
    assert str(refused.value).startswith(sentence)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"log_lr": 0.1}, "`log_lr` must be finite, with a number for each step."),
        ({"log_lr": []}, "`log_lr` must not be empty."),
        ({"log_lr": [[0.1]]}, "`log_lr` must be finite, with a number for each step."),
        ({"log_lr": [0.1, math.nan]}, "`log_lr` must be finite, with a number for each step."),
        ({"log_lr": [0.1, math.inf]}, "`log_lr` must be finite, with a number for each step."),
        ({"log_lr": "x"}, "`log_lr` must be a number or an array of them, got 'x'."),
        ({"wd": -1.0}, "`wd` must be zero or positive and finite, got -1.0."),
        ({"momentum": 1.0}, "`momentum` must lie in [0, 1), got 1.0."),
        (
            {"wd": [0.1]},
            "`steps` and the lengths of `lr` and `wd` must be the same and not zero, got [1, 2].",
        ),
    ],
)
def test_bad_logarithms_are_refused_in_a_sentence(arguments, sentence):
    with pytest.raises(UsageError) as refused:
        decay_schedule(**{"log_lr": [0.1, 0.2], "wd": 0.1} | arguments)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    "call",
    [
        partial(exponential_schedule, 1e200, 1e200, steps=2),
        partial(exponential_schedule, [1e-300, 1e300], 0.0, 0.9),
        partial(exponential_schedule, [1e-300, 1e300], [1e290, 0.0], 0.9),
        partial(decay_schedule, [1000.0], 0.0),
        partial(decay_schedule, [1000.0], 0.1),
        partial(decay_schedule, [-1000.0], 0.1),
        partial(decay_schedule, [300.0, 300.0], 1e300),
    ],
    ids=["product", "rise", "rise with decay", "e1000", "e1000 decayed", "e-1000", "decay"],
)
def test_what_leaves_float64_is_refused_or_finite(call):
    try:
        found = call()
    except UsageError as refused:
        assert str(refused).endswith(".")  # noqa: PT017
        return
    log_lr = np.log(found) if isinstance(found, np.ndarray) else found.log_lr
    assert np.all(np.isfinite(log_lr))
