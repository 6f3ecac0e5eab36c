"""`trajectory` against recursions written out a second time, its limits, and simulated walks."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etaeff.errors import UnknownNameError, UsageError
from etaeff.theory import effective_lr, equilibrium, lr_schedule, trajectory

G, C = 2.0, 50.0
# Every optimiser with each of its decays: arguments, and what its run needs.
COMPLETE = [
    ("sgd", {}, {"grad_norm_sq": G}),
    ("sgd", {"momentum": 0.9, "dampening": 0.3}, {"grad_norm_sq": G}),
    ("sgd", {"momentum": 0.8, "nesterov": True}, {"grad_norm_sq": G}),
    ("sgd", {"momentum": 0.9, "decay": "decoupled"}, {"grad_norm_sq": G}),
    ("sgd", {"momentum": 0.8, "nesterov": True, "decay": "decoupled"}, {"grad_norm_sq": G}),
    ("adam", {"betas": (0.9, 0.98)}, {"grad_norm_sq": G, "dim": C}),
    ("adam", {"betas": (0.9, 0.98), "decay": "decoupled"}, {"dim": C}),
    ("adamw", {"betas": (0.8, 0.95)}, {"dim": C}),
    ("rmsprop", {"alpha": 0.95}, {"grad_norm_sq": G, "dim": C}),
    ("rmsprop", {"alpha": 0.95, "momentum": 0.7}, {"grad_norm_sq": G, "dim": C}),
    ("rmsprop", {"alpha": 0.95, "momentum": 0.7, "decay": "decoupled"}, {"dim": C}),
    ("lion", {"betas": (0.9, 0.99)}, {"dim": C}),
    ("lion", {"betas": (0.95, 0.98)}, {"dim": C}),
    ("lion", {"betas": (0.0, 0.0)}, {"dim": C}),
    ("muon", {}, {"shape": (16, 64)}),
    ("muon", {"nesterov": False, "momentum": 0.5}, {"shape": (32, 32)}),
    ("normalized", {}, {}),
    ("normalized", {"momentum": 0.9}, {}),
    ("nadam", {"betas": (0.9, 0.98), "momentum_decay": 0.0}, {"grad_norm_sq": G, "dim": C}),
    ("nadam", {"betas": (0.8, 0.95), "momentum_decay": 1.0}, {"grad_norm_sq": G, "dim": C}),
    (
        "nadam",
        {"betas": (0.9, 0.98), "momentum_decay": 0.0, "decay": "decoupled"},
        {"dim": C},
    ),
    (
        "nadam",
        {"betas": (0.8, 0.95), "momentum_decay": 1.0, "decay": "decoupled"},
        {"dim": C},
    ),
]
SGD = [arguments for name, arguments, _ in COMPLETE if name == "sgd"]
IDS = [f"{name} {arguments}" for name, arguments, _ in COMPLETE]


def turn_of(cross, before, after):
    return math.acos(cross / math.sqrt(before * after))


def sgd_moments(eta, lam, radius, *, momentum=0, dampening=0, nesterov=False, decay="l2"):
    """Covariance of (w, v) under torch.optim.SGD, as 2×2 matrices; w's radius and turn."""
    state, radii, turns = np.diag([radius**2, 0.0]), [radius], []
    for t, (h, wd) in enumerate(zip(eta, lam, strict=True)):
        l2, kept = (wd, 1.0) if decay == "l2" else (0.0, 1 - h * wd)
        kappa = 1.0 if t == 0 else 1 - dampening  # torch clones the first gradient
        gradient = np.array([l2, 0.0, 1.0])  # in terms of w, v and the noise
        buffer = momentum * np.array([0.0, 1.0, 0.0]) + kappa * gradient
        step = gradient if momentum == 0 else buffer
        if nesterov:
            step = gradient + momentum * buffer
        rows = np.array([[kept, 0.0, 0.0] - h * step, buffer])
        whole = np.zeros((3, 3))
        whole[:2, :2], whole[2, 2] = state, G / state[0, 0]
        cross = rows[0] @ whole[:, 0]
        before, state = state[0, 0], rows @ whole @ rows.T
        turns.append(turn_of(cross, before, state[0, 0]))
        radii.append(math.sqrt(state[0, 0]))
    return np.array(radii), np.array(turns)


def adaptive_moments(name, eta, lam, radius, *, mu, smoothing):
    """The same for torch.optim.Adam and RMSprop with L2, the second moment at its mean."""
    state, square, radii, turns = np.diag([radius**2, 0.0]), 0.0, [radius], []
    for t, (h, wd) in enumerate(zip(eta, lam, strict=True), start=1):
        r = state[0, 0]
        square = smoothing * square + (1 - smoothing) * (G / r + wd**2 * r) / C
        gradient = np.array([wd, 0.0, 1.0])
        if name == "adam":
            buffer = mu * np.array([0.0, 1.0, 0.0]) + (1 - mu) * gradient
            step = buffer / (1 - mu**t) / math.sqrt(square / (1 - smoothing**t))
        else:
            step = buffer = mu * np.array([0.0, 1.0, 0.0]) + gradient / math.sqrt(square)
        rows = np.array([[1.0, 0.0, 0.0] - h * step, buffer])
        whole = np.zeros((3, 3))
        whole[:2, :2], whole[2, 2] = state, G / r
        cross = rows[0] @ whole[:, 0]
        state = rows @ whole @ rows.T
        turns.append(turn_of(cross, r, state[0, 0]))
        radii.append(math.sqrt(state[0, 0]))
    return np.array(radii), np.array(turns)


def schedules(scale):
    """A warm-up from 0 and a cosine, with a weight decay that moves too."""
    eta = scale * np.concatenate([np.linspace(0, 1, 20), lr_schedule("cosine", lr=1, steps=180)])
    lam = np.linspace(0.5, 1.0, 200)
    return eta, lam


def test_plain_sgd_is_the_loop_of_its_docstring():
    eta, lam = schedules(0.2)
    expected = [1.5**2]
    for h, wd in zip(eta, lam, strict=True):
        expected.append((1 - h * wd) ** 2 * expected[-1] + h**2 * G / expected[-1])
    run = trajectory("sgd", lr=eta, wd=lam, radius=1.5, grad_norm_sq=G)
    assert run.radius**2 == pytest.approx(np.array(expected), rel=1e-12)


@pytest.mark.parametrize("kind", [*SGD, {"momentum": 0.9, "dampening": 0.9}, {"dampening": 0.5}])
def test_sgd_is_the_covariance_of_torchs_rule_under_any_schedule(kind):
    eta, lam = schedules(0.2)
    run = trajectory("sgd", lr=eta, wd=lam, radius=0.7, grad_norm_sq=G, **kind)
    radius, angle = sgd_moments(eta, lam, 0.7, **kind)
    assert run.radius == pytest.approx(radius, rel=1e-12)
    assert run.angle == pytest.approx(angle, rel=1e-9, abs=1e-7)  # acos loses what atan2 keeps
    assert run.effective_lr == pytest.approx(eta / radius[:-1] ** 2, rel=1e-12)


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
@pytest.mark.parametrize("mu", [0.0, 0.9])
@pytest.mark.parametrize("smoothing", [0.9, 0.999])
def test_adaptive_l2_is_the_covariance_of_torchs_rule_from_the_first_step(name, mu, smoothing):
    eta, lam = schedules(0.02)
    kind = {"betas": (mu, smoothing)} if name == "adam" else {"momentum": mu, "alpha": smoothing}
    run = trajectory(name, lr=eta, wd=lam, radius=0.7, grad_norm_sq=G, dim=C, **kind)
    radius, angle = adaptive_moments(name, eta, lam, 0.7, mu=mu, smoothing=smoothing)
    assert run.radius == pytest.approx(radius, rel=1e-11)
    assert run.angle == pytest.approx(angle, rel=1e-9, abs=1e-7)
    assert run.effective_lr == pytest.approx(eta / radius[:-1], rel=1e-11)


@pytest.mark.parametrize("mu", [0.0, 0.9])
def test_averaged_normalized_gradients_are_their_sum_over_the_past(mu):
    eta, lam = schedules(0.02)
    run = trajectory("normalized", lr=eta, wd=lam, radius=0.7, momentum=mu)
    kept = np.cumprod(np.append(1.0, 1 - eta * lam))
    weights = eta / kept[1:]
    lags = np.abs(np.subtract.outer(np.arange(200), np.arange(200)))
    products = np.outer(weights, weights) * float(mu) ** lags
    walked = [products[:t, :t].sum() for t in range(201)]
    assert run.radius**2 == pytest.approx(kept**2 * (0.7**2 + np.array(walked)), rel=1e-12)


def test_the_fourth_power_relaxes_exponentially():
    lr, wd, steps = 0.1, 1e-3, 20_000
    run = trajectory("sgd", lr=lr, wd=wd, radius=2.0, steps=steps, grad_norm_sq=G)
    rest = float(equilibrium("sgd", lr=lr, wd=wd, grad_norm_sq=G).radius) ** 4
    law = rest + (2.0**4 - rest) * np.exp(-4 * lr * wd * np.arange(steps + 1))
    assert run.radius**4 == pytest.approx(law, rel=5e-4)
    assert law[-1] / law[0] > 6


def test_without_decay_the_fourth_power_grows_by_as_much_each_step():
    run = trajectory("sgd", lr=1e-3, wd=0.0, radius=1.0, steps=10_000, grad_norm_sq=G)
    growth = 1 + 2 * 1e-6 * G * np.arange(10_001)
    assert run.radius**4 == pytest.approx(growth, rel=1e-6)


def test_adamw_has_the_root_mean_square_of_the_sheet():
    lr, wd, steps = 1e-3, 0.1, 30_000
    t = np.arange(steps + 1)
    kept = (1 - lr * wd) ** (2 * t)
    start = 1.1 * math.sqrt(lr * C / (2 * wd))
    run = trajectory("adamw", lr=lr, wd=wd, radius=start, steps=steps, dim=C)
    law = kept * start**2 / C + (1 - kept) * lr / (2 * wd)
    assert run.radius**2 / C == pytest.approx(law, rel=0.01)  # 1/(1 − β₂) steps are not 0
    assert run.radius[-1] ** 2 / C == pytest.approx(law[-1], rel=2e-3)
    free = trajectory("adamw", lr=1e-4, wd=0.0, radius=1.0, steps=1000, dim=C)
    grown = 1 / C + 1e-8 * np.arange(1001)
    assert free.radius**2 / C - 1 / C == pytest.approx(grown - 1 / C, rel=0.01, abs=1e-6)


@pytest.mark.parametrize(("name", "kind", "inputs"), COMPLETE, ids=IDS)
def test_with_constant_settings_a_run_ends_at_the_equilibrium(name, kind, inputs):
    adaptive = name in ("adam", "rmsprop", "nadam") and "decay" not in kind
    lr, wd = (2e-3, 0.5) if adaptive else (0.02, 0.5)
    rest = equilibrium(name, lr=lr, wd=wd, **kind, **inputs)
    run = trajectory(name, lr=lr, wd=wd, radius=2 * rest.radius, steps=6000, **kind, **inputs)
    assert run.radius[-1] == pytest.approx(rest.radius, rel=1e-9)
    assert run.angle[-1] == pytest.approx(rest.angle, rel=1e-9)
    assert run.effective_lr[-1] == pytest.approx(rest.effective_lr, rel=1e-9)


@pytest.mark.parametrize(("name", "kind", "inputs"), COMPLETE, ids=IDS)
def test_steps_of_rate_zero_leave_the_radius_and_turn_nothing(name, kind, inputs):
    eta = np.array([0.0, 0.0, 0.01, 0.0, 0.02, 0.0])
    run = trajectory(name, lr=eta, wd=0.3, radius=1.3, **kind, **inputs)
    still = eta == 0
    assert np.all(run.radius[1:][still] == run.radius[:-1][still])
    assert np.all(run.radius[1:][~still] != run.radius[:-1][~still])
    assert np.all(run.angle[still] == 0)
    assert np.all(run.angle[~still] > 0)
    assert np.all((run.effective_lr == 0) == still)


@pytest.mark.parametrize(("name", "kind", "inputs"), COMPLETE, ids=IDS)
def test_blocks_run_as_if_alone_and_time_comes_first(name, kind, inputs):
    eta = lr_schedule("cosine", lr=0.02, steps=30)
    radii = np.array([0.5, 1.0, 2.0])
    columns = {
        key: value * np.array([[1.0], [3.0]]) for key, value in inputs.items() if key != "shape"
    }
    rest = {key: value for key, value in inputs.items() if key == "shape"}
    run = trajectory(name, lr=eta, wd=0.3, radius=radii, **kind, **columns, **rest)
    shape = (2, 3) if columns else (3,)
    assert (run.radius.shape, run.angle.shape) == ((31, *shape), (30, *shape))
    assert run.effective_lr.shape == run.angle.shape
    for index in np.ndindex(shape):
        own = {key: float(column[index[0], 0]) for key, column in columns.items()}
        alone = trajectory(name, lr=eta, wd=0.3, radius=radii[index[-1]], **kind, **own, **rest)
        for field in ("radius", "angle", "effective_lr"):
            assert np.all(getattr(run, field)[:, *index] == getattr(alone, field)), field


@pytest.mark.parametrize(("name", "kind", "inputs"), COMPLETE, ids=IDS)
def test_the_effective_rate_is_that_of_the_radius_before_the_step(name, kind, inputs):
    eta = lr_schedule("linear", lr=0.02, steps=20)
    run = trajectory(name, lr=eta, wd=0.3, radius=1.0, **kind, **inputs)
    expected = effective_lr(name, lr=eta, radius=run.radius[:-1])
    assert run.effective_lr == pytest.approx(expected, rel=1e-14)


def test_numbers_and_constant_schedules_are_the_same_run():
    numbers = trajectory("sgd", lr=0.1, wd=0.1, radius=1.0, steps=9, grad_norm_sq=G)
    for lr, wd in itertools.product([0.1, [0.1] * 9], [0.1, [0.1] * 9]):
        steps = 9 if np.ndim(lr) + np.ndim(wd) == 0 else None
        run = trajectory("sgd", lr=lr, wd=wd, radius=1.0, steps=steps, grad_norm_sq=G)
        assert np.all(run.radius == numbers.radius)


def unit_noise(rng, w):
    """Noise on the unit sphere at w, orthogonal to it, of mean squared norm G."""
    noise = rng.standard_normal(w.shape)
    noise -= (noise * w).sum(-1, keepdims=True) / (w * w).sum(-1, keepdims=True) * w
    return noise * math.sqrt(G / (w.shape[-1] - 1))


def walk(update, eta, lam, radius, *, chains, dim, seed):
    """Mean of ‖w‖² before each step and its standard error, over chains."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((chains, dim))
    w *= radius / np.linalg.norm(w, axis=-1, keepdims=True)
    seen = []
    for t, (h, wd) in enumerate(zip(eta, lam, strict=True)):
        seen.append((w * w).sum(-1))
        g = unit_noise(rng, w) / np.linalg.norm(w, axis=-1, keepdims=True)
        w = update(t, w, g, h, wd)
    seen = np.array([*seen, (w * w).sum(-1)])
    return seen.mean(1), seen.std(1, ddof=1) / math.sqrt(chains)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_follows_a_simulated_run_with_warm_up_and_cosine(nesterov):
    steps, mu = 300, 0.9
    eta = lr_schedule("cosine", lr=0.05, steps=steps, warmup=30)
    lam = np.full(steps, 0.5)
    buffer = None

    def update(t, w, g, h, wd):
        nonlocal buffer
        g = g + wd * w
        buffer = g if t == 0 else mu * buffer + g
        return w - h * (g + mu * buffer if nesterov else buffer)

    mean, error = walk(update, eta, lam, 1.2, chains=48, dim=400, seed=1)
    run = trajectory(
        "sgd", lr=eta, wd=lam, radius=1.2, momentum=mu, nesterov=nesterov, grad_norm_sq=G
    )
    checked = np.array([1, 2, 3, 5, 10, 20, 40, 80, 150, 220, 300])
    off = np.abs(mean - run.radius**2)[checked]
    assert np.all(off < 3 * error[checked] + 1e-12 + 1e-3 * mean[checked] / 400)
    assert np.all(error[checked] < 0.01 * mean[checked])
    assert run.radius.max() / run.radius.min() > 1.2


def test_adamw_follows_a_simulated_run_with_warm_up_and_cosine():
    steps, (beta1, beta2) = 300, (0.9, 0.99)
    eta = lr_schedule("cosine", lr=0.01, steps=steps, warmup=30)
    lam = np.full(steps, 2.0)
    m = v = 0.0

    def update(t, w, g, h, wd):
        nonlocal m, v
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        corrected = np.sqrt(v / (1 - beta2 ** (t + 1)))
        return (1 - h * wd) * w - h * m / (1 - beta1 ** (t + 1)) / corrected

    mean, error = walk(update, eta, lam, 0.8, chains=48, dim=400, seed=2)
    run = trajectory("adamw", lr=eta, wd=lam, radius=0.8, betas=(beta1, beta2), dim=400)
    checked = np.array([1, 2, 3, 5, 10, 20, 40, 80, 150, 220, 300])
    ratio = run.radius[checked] ** 2 / mean[checked]
    assert np.all(np.abs(ratio - 1) < 3 * error[checked] / mean[checked] + 1e-12), ratio - 1
    assert run.radius.max() / run.radius.min() > 1.2


def test_a_million_steps_take_about_a_second():
    begin = time.process_time()
    run = trajectory("sgd", lr=0.1, wd=5e-3, radius=1.0, steps=10**6, momentum=0.9, grad_norm_sq=G)
    assert time.process_time() - begin < 3  # 0.9 s where it is alone
    assert run.radius.shape == (10**6 + 1,)


def test_an_unknown_optimizer_lists_the_known_ones():
    with pytest.raises(UnknownNameError) as refused:
        trajectory("adagrat", lr=0.1, wd=0.1, radius=1.0, steps=3)
    assert str(refused.value).startswith("Unknown optimizer 'adagrat'. Known: sgd, rmsprop, adam,")


LEFT = (
    "The radius leaves what float64 can hold on the way: the decay or the first steps are too "
    "large for this `radius`, or the units of the arguments do not fit."
)
REFUSALS = [
    ("sgd", {"grad_norm_sq": None}, "`grad_norm_sq` is needed for the run of `sgd`."),
    ("adam", {"dim": None}, "`dim` is needed for the run of `adam`."),
    ("adam", {"dim": 5, "grad_norm_sq": None}, "`grad_norm_sq` is needed for the run of `adam`."),
    ("lion", {}, "`dim` is needed for the run of `lion`."),
    ("muon", {}, "`shape`, (rows, columns) of the matrix, is needed for the run of Muon."),
    ("sgd", {"lr": -0.1}, "`lr` must be zero or positive and finite, got -0.1."),
    ("sgd", {"wd": math.nan}, "`wd` must be zero or positive and finite, got nan."),
    ("sgd", {"lr": math.inf}, "`lr` must be zero or positive and finite, got inf."),
    ("sgd", {"radius": 0.0}, "`radius` must be positive and finite, got 0.0."),
    ("sgd", {"grad_norm_sq": -1.0}, "`grad_norm_sq` must be positive and finite, got -1.0."),
    ("sgd", {"steps": 0}, "`steps` must be a whole number from 1 on, got 0."),
    ("sgd", {"steps": 3.0}, "`steps` must be a whole number from 1 on, got 3.0."),
    (
        "sgd",
        {"steps": None},
        "`steps` is needed, because neither `lr` nor `wd` has an axis of time.",
    ),
    (
        "sgd",
        {"lr": [0.1, 0.1]},
        "`steps` and the lengths of `lr` and `wd` must be the same and not zero, got [2, 3].",
    ),
    (
        "sgd",
        {"lr": [], "steps": None},
        "`lr` must not be empty.",
    ),
    (
        "sgd",
        {"lr": [[0.1]]},
        "`lr` must be a number or have one axis, time; got the shape (1, 1).",
    ),
    (
        "sgd",
        {"lr": [0.1, 20.0, 0.1]},
        "`lr` times `wd` must be below 2 at every step, got 2.0.",
    ),
    ("sgd", {"momentum": 1.0}, "`momentum` must lie in [0, 1), got 1.0."),
    ("adam", {"momentum": 0.9}, "`adam` has no argument `momentum`; it takes `betas`."),
    (
        "sgd",
        {"radius": [1.0, 2.0], "grad_norm_sq": [1.0, 2.0, 3.0]},
        "The shapes do not broadcast against each other: `radius` (2,), `grad_norm_sq` (3,).",
    ),
    ("sgd", {"lr": 1.0, "wd": 1.0, "grad_norm_sq": 1e-300, "radius": 1e-200}, LEFT),
    ("sgd", {"radius": 1e-200}, LEFT),
    ("sgd", {"radius": 1e200}, LEFT),
]


@pytest.mark.parametrize(("name", "arguments", "sentence"), REFUSALS)
def test_each_refusal_is_one_sentence(name, arguments, sentence):
    usual = {"lr": 0.1, "wd": 0.1, "radius": 1.0, "steps": 3}
    if name == "sgd":
        usual["grad_norm_sq"] = G
    with pytest.raises(UsageError) as refused:
        trajectory(name, **(usual | arguments))
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("sgd", "momentum", [0.1, 0.2]),
        ("sgd", "momentum", [0.9]),
        ("sgd", "dampening", [0.1, 0.2]),
        ("rmsprop", "alpha", [0.1, 0.2]),
        ("adamw", "betas", ([0.8, 0.9], 0.99)),
        ("lion", "betas", (0.9, [0.9, 0.99])),
        ("muon", "momentum", [0.8, 0.9]),
        ("normalized", "momentum", [0.8, 0.9]),
    ],
)
def test_momentum_and_betas_must_be_single_numbers(name, argument, value):
    inputs = {"lr": 0.1, "wd": 0.1, "radius": 1.0, "steps": 3}
    inputs |= next(needed for known, _, needed in COMPLETE if known == name)
    with pytest.raises(UsageError, match=rf"^`{argument}(\[\d\])?` must .*\.$"):
        trajectory(name, **inputs, **{argument: value})


def test_no_block_at_all_is_refused_or_comes_back_empty():
    try:
        run = trajectory("sgd", lr=0.1, wd=0.1, radius=[], steps=3, grad_norm_sq=G)
    except UsageError:
        return
    assert run.radius.shape == (4, 0)


EXPONENTS = st.floats(-300, 300)


@settings(deadline=None)  # Muon's first call takes long
@given(st.sampled_from(COMPLETE), EXPONENTS, EXPONENTS, EXPONENTS, EXPONENTS, st.floats(0, 300))
def test_no_magnitude_of_the_inputs_yields_nan_or_inf(
    case, log_lr, log_wd, log_radius, log_g, log_dim
):
    name, kind, inputs = case
    magnitudes = {"grad_norm_sq": 10.0**log_g, "dim": 10.0**log_dim}
    inputs = inputs | {key: value for key, value in magnitudes.items() if key in inputs}
    try:
        run = trajectory(
            name,
            lr=10.0**log_lr,
            wd=10.0**log_wd,
            radius=10.0**log_radius,
            steps=4,
            **kind,
            **inputs,
        )
    except UsageError as refused:
        assert str(refused).endswith(".")  # noqa: PT017
        return
    assert np.all(np.isfinite(run.radius) & (run.radius > 0))
    assert np.all(np.isfinite(run.angle) & (run.angle >= 0) & (run.angle <= math.pi))
    assert np.all(np.isfinite(run.effective_lr) & (run.effective_lr >= 0))
