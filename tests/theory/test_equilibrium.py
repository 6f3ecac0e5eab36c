"""`equilibrium` against what it must equal to the last digits.

SGD: the stationary covariance of weight and buffer, solved with 60 digits from torch's update
rule. Updates of known size: sums over their autocorrelations, term by term. Adam and RMSProp with
L2: the returned radius put back into the two equations that it solves.
"""

import inspect
import itertools
import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from etaeff.errors import UnknownNameError, UsageError
from etaeff.theory import effective_lr, equilibrium

G, C = 3.0, 100.0
KNOWN = "sgd, rmsprop, adam, adamw, lion, muon, normalized, nadam"
X = [1e-12, 1e-8, 1e-4, 0.01, 0.3, 0.97, 1.05]
MOMENTA = [
    {},
    *(
        {"momentum": mu, "dampening": dampening, "nesterov": nesterov}
        for mu, dampening, nesterov in itertools.product(
            [0.3, 0.9, 0.99], [0.0, 0.5], [False, True]
        )
    ),
]
# Every optimiser with each of its decays, and the inputs that all of its quantities need.
COMPLETE = [
    ("sgd", "l2", {"grad_norm_sq": G}),
    ("sgd", "decoupled", {"grad_norm_sq": G}),
    ("rmsprop", "l2", {"grad_norm_sq": G, "dim": C}),
    ("rmsprop", "decoupled", {"dim": C}),
    ("adam", "l2", {"grad_norm_sq": G, "dim": C}),
    ("adam", "decoupled", {"dim": C}),
    ("adamw", "decoupled", {"dim": C}),
    ("lion", "decoupled", {"dim": C}),
    ("muon", "decoupled", {"shape": (20, 60)}),
    ("normalized", "decoupled", {}),
    ("nadam", "l2", {"grad_norm_sq": G, "dim": C}),
    ("nadam", "decoupled", {"dim": C}),
]
RUNNING = (
    "The momentum of NAdam has come to rest at beta1: it begins at half of that, and is within 1 % "
    "after 23,958 steps."
)
ARRAYS = ["radius", "angle", "cosine", "effective_lr", "half_life"]


def sgd_step(x, *, momentum=0, dampening=0, nesterov=False, decay="l2"):
    """torch.optim.SGD with lr = 1, wd = x, as (w, v) → A (w, v) + b n; entries in mpmath."""
    x, mu, kappa = mpmath.mpf(x), mpmath.mpf(momentum), 1 - mpmath.mpf(dampening)
    l2, kept = (x, mpmath.mpf(1)) if decay == "l2" else (mpmath.mpf(0), 1 - x)
    gradient = [l2, mpmath.mpf(0), mpmath.mpf(1)]  # in terms of w, v, n
    if momentum == 0:
        buffer, step = [mpmath.mpf(0)] * 3, gradient
    else:
        old = [0, mu, 0]
        buffer = [o + kappa * g for o, g in zip(old, gradient, strict=True)]
        ahead = [g + mu * b for g, b in zip(gradient, buffer, strict=True)]
        step = ahead if nesterov else buffer
    weight = [kept - step[0], -step[1], -step[2]]
    return mpmath.matrix([weight[:2], buffer[:2]]), [weight[2], buffer[2]]


PAIRS = [(0, 0), (0, 1), (1, 1)]


def second_moments(a, b):
    """The map of (E w², E wv, E v²) in one step: its matrix, and what unit noise adds."""
    linear = mpmath.matrix(3, 3)
    for row, (i, j) in enumerate(PAIRS):
        for p, q in itertools.product(range(2), repeat=2):
            linear[row, PAIRS.index((min(p, q), max(p, q)))] += a[i, p] * a[j, q]
    return linear, mpmath.matrix([b[i] * b[j] for i, j in PAIRS])


def sgd_truth(lr, x, **momentum):
    """Radius, angle and cosine at G, from the 3×3 system of second moments."""
    with mpmath.workdps(60):
        a, b = sgd_step(x, **momentum)
        linear, noise = second_moments(a, b)
        s = mpmath.lu_solve(mpmath.eye(3) - linear, noise)
        radius = (mpmath.mpf(lr) ** 2 * G * s[0]) ** mpmath.mpf("0.25")
        apart = 1 - (a[0, 0] * s[0] + a[0, 1] * s[1]) / s[0]
        return float(radius), float(2 * mpmath.asin(mpmath.sqrt(apart / 2))), float(1 - apart)


def sgd_half_life(x, **momentum):
    """Half-life of the slowest mode of R' = (M s)_0 + b² G/R at its fixed point."""
    with mpmath.workdps(60):
        a, b = sgd_step(x, **momentum)
        linear, noise = second_moments(a, b)
        s = mpmath.lu_solve(mpmath.eye(3) - linear, noise)
        for row in range(3):
            linear[row, 0] -= noise[row] / s[0]  # d/dR of G/R, where G = 1 and R² = s_0
        modes = mpmath.eig(linear, left=False, right=False)
        return float(-mpmath.log(2) / mpmath.log(max(abs(mode) for mode in modes)))


def settles(x, **momentum):
    with mpmath.workdps(30):
        a, _ = sgd_step(x, **momentum)
        return all(abs(z) < 1 for z in mpmath.eig(a, left=False, right=False))


@pytest.mark.parametrize("kind", [*MOMENTA, {"dampening": 0.5}], ids=str)
@pytest.mark.parametrize("decay", ["l2", "decoupled"])
def test_the_step_that_the_truth_is_built_on_is_that_of_torch(kind, decay):
    x = 0.3
    rule = {"momentum": 0.0, "dampening": 0.0, "nesterov": False} | kind
    columns = []
    for unit in np.eye(3):
        w = torch.tensor([unit[0]], dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=1.0, momentum=rule["momentum"])
        # torch refuses dampening with Nesterov's momentum in __init__, and knows it in `step`.
        optimizer.param_groups[0].update(rule, weight_decay=x if decay == "l2" else 0.0)
        optimizer.state[w]["momentum_buffer"] = torch.tensor([unit[1]], dtype=torch.float64)
        w.grad = torch.tensor([unit[2]], dtype=torch.float64)
        if decay == "decoupled":
            w.data *= 1 - x
        optimizer.step()
        columns.append([w.item(), optimizer.state[w]["momentum_buffer"].item()])
    a, b = sgd_step(x, decay=decay, **kind)
    expected = [[float(a[i, 0]), float(a[i, 1]), float(b[i])] for i in range(2)]
    if rule["momentum"] == 0:  # the buffer is not touched, and not used
        assert np.transpose(columns)[0] == pytest.approx(expected[0], abs=1e-15)
    else:
        assert np.transpose(columns) == pytest.approx(np.array(expected), abs=1e-15)


@pytest.mark.parametrize("kind", MOMENTA, ids=str)
@pytest.mark.parametrize("decay", ["l2", "decoupled"])
def test_sgd_solves_the_stationary_covariance_to_twelve_digits(kind, decay):
    known = 0
    for lr, x in itertools.product([1.0, 1e-3], X):
        if not settles(x, decay=decay, **kind):
            continue
        found = equilibrium("sgd", lr=lr, wd=x / lr, decay=decay, grad_norm_sq=G, **kind)
        radius, angle, cosine = sgd_truth(lr, x, decay=decay, **kind)
        assert found.radius == pytest.approx(radius, rel=1e-12), x
        assert found.angle == pytest.approx(angle, rel=1e-12), x
        assert found.cosine == pytest.approx(cosine, abs=1e-15), x
        assert found.effective_lr == pytest.approx(lr / radius**2, rel=1e-12), x
        known += 1
    assert known >= 10 if kind.get("nesterov") else known == 14


def test_dampening_without_momentum_does_nothing_as_in_torch():
    plain = equilibrium("sgd", lr=0.1, wd=0.1, grad_norm_sq=G)
    damped = equilibrium("sgd", lr=0.1, wd=0.1, grad_norm_sq=G, dampening=0.5)
    assert damped.radius == pytest.approx(plain.radius, rel=1e-14)
    assert damped.angle == pytest.approx(plain.angle, rel=1e-14)
    momenta = equilibrium("sgd", lr=0.1, wd=0.1, grad_norm_sq=G, dampening=0.5, momentum=[0.0, 0.9])
    assert momenta.radius[0] == pytest.approx(plain.radius, rel=1e-14)


@pytest.mark.parametrize("momentum", [1 - 1e-4, 1 - 2**-20])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", ["l2", "decoupled"])
def test_momentum_next_to_one_costs_no_more_digits_than_it_must(momentum, nesterov, decay):
    kind = {"momentum": momentum, "nesterov": nesterov, "decay": decay}
    digits = max(1e-12, 1e-15 / (1 - momentum))  # the rounding of 1 − μ(1 − x)
    for x in [1e-12, 1e-8]:
        found = equilibrium("sgd", lr=1.0, wd=x, grad_norm_sq=G, **kind)
        radius, angle, _ = sgd_truth(1.0, x, **kind)
        assert found.radius == pytest.approx(radius, rel=digits)
        assert found.angle == pytest.approx(angle, rel=digits)


@pytest.mark.parametrize(
    ("mu", "x"), list(itertools.product([0.0, 0.5, 0.9], [1e-9, 1e-3, 0.1, 0.8]))
)
def test_the_exact_rows_of_the_table(mu, x):
    lr, wd, a = 0.5, 2 * x, 1 - x
    ball = equilibrium("sgd", lr=lr, wd=wd, momentum=mu, grad_norm_sq=G)
    fourth = lr * G / (wd * (1 - mu) * (2 - x / (1 + mu)))
    assert ball.radius**4 == pytest.approx(fourth, rel=1e-12)
    assert ball.cosine == pytest.approx(1 - x / (1 + mu), rel=1e-14)
    for name, argument in (("sgd", {"decay": "decoupled"}), ("normalized", {})):
        found = equilibrium(name, lr=lr, wd=wd, momentum=mu, **argument)
        assert found.cosine == pytest.approx((a + mu) / (1 + a * mu), rel=1e-14)
    moved = lr * math.sqrt((1 + a * mu) / (x * (1 + a) * (1 - mu + x * mu)))
    assert found.radius == pytest.approx(moved, rel=1e-12)


FIRST_ORDER = {
    "heavy ball": (
        {"momentum": 0.9},
        lambda x: 2 * x / 1.9,
        lambda eta, lam: (eta * G / (2 * lam * 0.1)) ** 0.25,
    ),
    "nesterov": (
        {"momentum": 0.9, "nesterov": True},
        lambda x: 2 * x * (1 + 1.8 - 2 * 0.9**3) / 1.9,
        lambda eta, lam: (eta * G / (2 * lam * 0.1)) ** 0.25,
    ),
    "decoupled": (
        {"momentum": 0.9, "decay": "decoupled"},
        lambda x: 2 * x * 0.1 / 1.9,
        lambda eta, lam: (eta * G / (2 * lam * 0.01)) ** 0.25,
    ),
}


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_first_order_formulas_are_limits_whose_error_falls_as_x(name):
    kind, angle_sq, radius = FIRST_ORDER[name]

    def errors(x):
        found = equilibrium("sgd", lr=0.1, wd=x / 0.1, grad_norm_sq=G, **kind)
        return np.array([found.angle**2 / angle_sq(x) - 1, found.radius / radius(0.1, x / 0.1) - 1])

    coarse, fine = errors(1e-4), errors(1e-5)
    assert np.all(np.abs(errors(1e-13)) < 1e-11)
    # Heavy ball's angle: 2x/(1 + μ) is 2(1 − cos), which is angle² up to angle⁴/12.
    assert coarse / fine == pytest.approx([10, 10], rel=0.01)


@pytest.mark.parametrize("name", FIRST_ORDER)
@pytest.mark.parametrize("x", [1e-300, 1e-200, 1e-100, 1e-30])
def test_no_digit_is_lost_at_tiny_x(name, x):
    kind, angle_sq, radius = FIRST_ORDER[name]
    found = equilibrium("sgd", lr=1.0, wd=x, grad_norm_sq=G, **kind)
    assert found.angle == pytest.approx(math.sqrt(angle_sq(x)), rel=1e-13)
    assert found.radius == pytest.approx(radius(1.0, x), rel=1e-12)
    share = 1 if "decay" in kind else 10
    assert found.half_life == pytest.approx(math.log(2) / (4 * x * share), rel=1e-6)


def known_size_truth(x, weights, *, sign=False):
    """E‖w‖² and cosine for w' = (1 − x)w − u, u = Σ weights_j n_{t−j} of norm 1 (or its sign)."""
    padded = np.fft.rfft(weights, 4 * len(weights))
    rho = np.fft.irfft(np.abs(padded) ** 2, 4 * len(weights))[: len(weights)]
    rho /= rho[0]
    if sign:
        rho = 2 / np.pi * np.arcsin(np.clip(rho, -1, 1))
        rho[0] = 1
    a = 1 - x
    # w = −Σ a^j u_{t−1−j}: Σ_jk a^j a^k ρ_|j−k|, and ⟨w, u⟩ = −Σ a^j ρ_{j+1}.
    inner = (a ** np.arange(len(rho) - 1) * rho[1:]).sum()
    variance = (1 + 2 * a * inner) / (1 - a * a)
    return variance, a + inner / variance


def test_the_sum_over_autocorrelations_is_the_double_sum():
    x, weights = 0.2, 0.1 * 0.9 ** np.arange(400)
    variance, _ = known_size_truth(x, weights)
    j = np.arange(300)
    powers = 0.8**j
    double = powers @ 0.9 ** np.abs(j[:, None] - j) @ powers
    assert variance == pytest.approx(double, rel=1e-12)


def average(mu, length):
    return (1 - mu) * mu ** np.arange(length)


def mixture(beta1, beta2, length):
    """Lion's: β₁ of the old average and 1 − β₁ of the gradient."""
    return np.append(1 - beta1, beta1 * average(beta2, length - 1))


LARGE_X = [1e-4, 0.01, 0.1, 0.5, 0.9]


@pytest.mark.parametrize("x", LARGE_X)
@pytest.mark.parametrize("betas", [(0.9, 0.99), (0.95, 0.98), (0.9, 0.9), (0.0, 0.0), (0.9, 0.0)])
def test_lion_is_the_sum_of_arcsines(betas, x):
    found = equilibrium("lion", lr=0.5, wd=2 * x, betas=betas, dim=C)
    variance, cosine = known_size_truth(x, mixture(*betas, 20_000), sign=True)
    assert found.radius == pytest.approx(0.5 * math.sqrt(C * variance), rel=1e-10)
    assert 1 - found.cosine == pytest.approx(1 - cosine, rel=1e-9)


def test_lion_keeps_five_digits_where_its_sign_hardly_changes():
    found = equilibrium("lion", lr=1.0, wd=1e-3, betas=(0.999, 0.999), dim=C)
    variance, cosine = known_size_truth(1e-3, mixture(0.999, 0.999, 60_000), sign=True)
    assert found.radius == pytest.approx(math.sqrt(C * variance), rel=2e-5)
    assert 1 - found.cosine == pytest.approx(1 - cosine, rel=2e-5)


def test_lions_closed_form_is_four_percent_high_and_its_angle_three_percent_low():
    x, (beta1, beta2) = 1e-3, (0.9, 0.99)
    f = (1 - beta1) ** 2 + beta1**2 * (1 - beta2) / (1 + beta2)
    found = equilibrium("lion", lr=1.0, wd=x, betas=(beta1, beta2), dim=C)
    assert math.sqrt(C / (math.pi * x * f)) / found.radius == pytest.approx(1.04, abs=0.005)
    assert math.sqrt(math.pi * x * f) / found.angle == pytest.approx(0.97, abs=0.005)


@pytest.mark.parametrize("x", LARGE_X)
@pytest.mark.parametrize("mu", [0.0, 0.5, 0.9])
def test_averages_of_known_size_are_the_sum_over_their_past(mu, x):
    variance, cosine = known_size_truth(x, average(mu, 20_000))
    nearly_one = 1 - 1e-13  # where Adam's second moment is at its mean
    size = (1 - mu) / (1 + mu)
    for name, arguments, norm_sq in (
        ("normalized", {"momentum": mu}, 1.0),
        ("adamw", {"betas": (mu, nearly_one), "dim": C}, C * size),
        ("adam", {"betas": (mu, nearly_one), "dim": C, "decay": "decoupled"}, C * size),
        (
            "rmsprop",
            {"momentum": mu, "alpha": nearly_one, "dim": C, "decay": "decoupled"},
            C / (1 - mu**2),
        ),
    ):
        found = equilibrium(name, lr=0.5, wd=2 * x, **arguments)
        assert found.radius == pytest.approx(0.5 * math.sqrt(norm_sq * variance), rel=1e-11), name
        assert 1 - found.cosine == pytest.approx(1 - cosine, rel=1e-10), name


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("x", LARGE_X)
def test_muon_of_a_wide_matrix_remembers_as_its_average_does(nesterov, x):
    mu = 0.95
    weights = average(mu, 20_000)
    if nesterov:
        weights = mu * weights
        weights[0] += 1 - mu
    _, cosine = known_size_truth(x, weights)
    found = equilibrium("muon", lr=1.0, wd=x, momentum=mu, nesterov=nesterov)
    assert 1 - found.cosine == pytest.approx(1 - cosine, rel=1e-10)
    wide = equilibrium("muon", lr=1.0, wd=x, momentum=mu, nesterov=nesterov, shape=(4, 400_000))
    assert wide.angle == pytest.approx(found.angle, rel=1e-2)


def test_muon_adjusts_its_rate_to_the_shape():
    def radius(shape, adjust):
        return equilibrium("muon", lr=0.1, wd=0.1, shape=shape, adjust_lr_fn=adjust).radius

    for rows, columns in [(64, 16), (16, 64)]:
        expected = 0.2 * math.sqrt(64) / math.sqrt(max(1, rows / columns))
        shape = (rows, columns)
        ratio = radius(shape, "match_rms_adamw") / radius(shape, "original")
        assert ratio == pytest.approx(expected, rel=1e-12)
        assert radius(shape, None) == radius(shape, "original")
    turned = radius((64, 16), "match_rms_adamw") / radius((16, 64), "match_rms_adamw")
    assert turned == pytest.approx(1, rel=1e-12)


def test_adamw_tends_to_the_row_of_the_table_as_beta2_tends_to_one():
    found = equilibrium("adamw", lr=1e-4, wd=1e-6, betas=(0.9, 1 - 1e-12), dim=C)
    assert found.radius == pytest.approx(math.sqrt(1e-4 * C / 2e-6), rel=1e-8)
    assert found.angle == pytest.approx(math.sqrt(2e-10 * 0.1 / 1.9), rel=1e-8)


def shape_of_adaptive(name, mu):
    """Arguments, and the rates that stand for h in heavy ball's law of radius and of angle."""
    if name == "adam":
        return {"betas": (mu, 0.999)}, 1.0, 1 - mu
    return {"momentum": mu, "alpha": 0.99}, 1 / (1 - mu), 1.0


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
@pytest.mark.parametrize("mu", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("lr", [1e-12, 1e-6, 1e-3, 0.05])
def test_adaptive_l2_rests_where_its_step_length_and_radius_agree(name, mu, lr):
    wd = 0.02
    arguments, share, weight = shape_of_adaptive(name, mu)
    found = equilibrium(name, lr=lr, wd=wd, dim=C, grad_norm_sq=G, **arguments)
    r = float(found.radius)
    h = lr / math.sqrt((G / r**2 + wd**2 * r**2) / C)
    turn = weight * h * wd / (1 + mu)  # 1 − cosine of heavy ball
    assert r**4 == pytest.approx(share * h * G / (wd * (2 - turn)), rel=1e-12)
    assert found.angle == pytest.approx(2 * math.asin(math.sqrt(turn / 2)), rel=1e-12)
    assert found.effective_lr == pytest.approx(lr / r, rel=1e-12)


def test_adam_with_l2_tends_to_its_cube_law():
    def error(lr):
        found = equilibrium("adam", lr=lr, wd=1e-4, dim=C, grad_norm_sq=G)
        radius = (lr * math.sqrt(C * G) / 2e-4) ** (1 / 3)
        angle = math.sqrt(0.1 / 1.9) * (2 * lr**2 * 1e-4 * C / math.sqrt(G)) ** (1 / 3)
        return np.array([found.radius / radius - 1, found.angle / angle - 1])

    assert np.all(np.abs(error(1e-12)) < 1e-9)
    # What is left out is of the order of the angle squared.
    assert error(1e-3) / error(1e-4) == pytest.approx([10 ** (4 / 3)] * 2, rel=0.02)


@pytest.mark.parametrize("decay", ["l2", "decoupled"])
@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.5, "dampening": 0.5},
    ],
    ids=str,
)
def test_the_half_life_of_sgd_is_that_of_its_slowest_mode(kind, decay):
    for x in [1e-12, 1e-8, 1e-5, 1e-3, 0.03, 0.2]:
        found = equilibrium("sgd", lr=1.0, wd=x, decay=decay, **kind)
        assert found.half_life == pytest.approx(sgd_half_life(x, decay=decay, **kind), rel=1e-6), x


def test_the_half_life_at_high_momentum_and_little_decay_keeps_its_digits():
    kind = {"momentum": 0.9999}
    found = equilibrium("sgd", lr=1.0, wd=1e-12, **kind)
    assert found.half_life == pytest.approx(sgd_half_life(1e-12, **kind), rel=1e-3)


@pytest.mark.parametrize("x", [1e-300, 1e-12, 0.3, 0.9, 1.5, 1.9])
@pytest.mark.parametrize("name", ["lion", "muon", "normalized"])
def test_the_half_life_of_known_updates_is_that_of_the_decay(name, x):
    expected = math.log(2) / (-2 * (math.log1p(-x) if x < 1 else math.log(x - 1)))
    assert equilibrium(name, lr=1.0, wd=x).half_life == pytest.approx(expected, rel=1e-12)


def adaptive_step(state, name, mu, smoothing, lr, wd, decay="l2"):
    """‖w‖², ⟨w, v⟩, ‖v‖² and the mean square of Adam's or RMSProp's gradient, one step on."""
    r, m, v, square = state
    l2, kept = (wd, 1.0) if decay == "l2" else (0.0, 1 - lr * wd)
    noise = G / r
    square = smoothing * square + (1 - smoothing) * (noise + l2**2 * r) / C
    # RMSProp divides what enters its buffer, Adam what leaves it.
    kappa, h = (1 - mu, lr * square**-0.5) if name == "adam" else (square**-0.5, lr)
    v = mu**2 * v + 2 * mu * kappa * l2 * m + kappa**2 * (l2**2 * r + noise)
    inner = mu * m + kappa * l2 * r
    return kept**2 * r - 2 * h * kept * inner + h**2 * v, kept * inner - h * v, v, square


@pytest.mark.parametrize("decay", ["l2", "decoupled"])
@pytest.mark.parametrize(
    ("name", "mu", "smoothing"),
    [("adam", 0.9, 0.99), ("adam", 0.5, 0.9), ("rmsprop", 0.0, 0.99), ("rmsprop", 0.9, 0.95)],
)
def test_the_half_life_of_adaptive_updates_is_measured_on_their_recursion(
    name, mu, smoothing, decay
):
    wd = 0.05 if decay == "l2" else 2.0
    lr = 2e-3 if name == "adam" else 2e-3 * (1 - mu)
    kind = {"betas": (mu, smoothing)} if name == "adam" else {"momentum": mu, "alpha": smoothing}
    found = equilibrium(name, lr=lr, wd=wd, decay=decay, dim=C, grad_norm_sq=G, **kind)
    steps = round(4 * found.half_life)
    state = (found.radius**2, 0.0, 0.0, 1.0)
    for _ in range(15 * steps):
        state = adaptive_step(state, name, mu, smoothing, lr, wd, decay)
    # With decoupled decay the library also knows what a finite β₂ does to the noise.
    assert state[0] == pytest.approx(found.radius**2, rel=1e-12 if decay == "l2" else 0.1)
    rest, deviations = state[0], []
    state = (rest * (1 + 1e-4), *state[1:])
    for _ in range(2 * steps):
        state = adaptive_step(state, name, mu, smoothing, lr, wd, decay)
        deviations.append(state[0] - rest)
    slope = math.log(deviations[steps] / deviations[-1]) / (steps - 1)
    assert found.half_life == pytest.approx(math.log(2) / slope, rel=1e-3)


def test_where_the_radius_never_settles_no_half_life_is_told():
    """β₂ = 0 and steps as long as the weight: the radius leaps between two values for ever."""
    lr, wd, state = 1.0, 0.05, (5.0, 0.0, 0.0, 1.0)
    late = []
    for _ in range(3000):
        state = adaptive_step(state, "adam", 0.0, 0.0, lr, wd)
        late.append(state[0])
    assert late[-1] == pytest.approx(late[-3], rel=1e-9)
    assert late[-1] != pytest.approx(late[-2], rel=0.1)
    try:
        found = equilibrium("adam", lr=lr, wd=wd, dim=C, grad_norm_sq=G, betas=(0.0, 0.0))
    except UsageError:
        return
    assert found.half_life is None or 0 < found.half_life < np.inf


@pytest.mark.parametrize("decay", ["l2", "decoupled"])
@pytest.mark.parametrize("x", [1 - 1e-12, 1.0, 1 + 1e-12])
def test_a_radius_that_hops_for_ever_has_no_negative_half_life(x, decay):
    try:  # at x = 1 a step of SGD maps R to G/R, and that to R again
        found = equilibrium("sgd", lr=1.0, wd=x, grad_norm_sq=1.0, decay=decay)
    except UsageError:
        return
    assert found.half_life is None or 0 < found.half_life < np.inf


@pytest.mark.parametrize(
    ("x", "regime"),
    [(0.0099, "slow"), (0.0101, "fast"), (0.4999, "fast"), (0.5001, "erratic"), (1.9, "erratic")],
)
def test_the_regime_follows_the_turn_of_a_step(x, regime):
    assert equilibrium("sgd", lr=1.0, wd=x).regime == regime


def test_the_regime_of_many_settings_is_that_of_the_fastest():
    assert equilibrium("sgd", lr=1.0, wd=[1e-4, 0.3, 1e-3]).regime == "fast"


@pytest.mark.parametrize(("name", "decay", "inputs"), COMPLETE)
def test_with_all_inputs_nothing_is_missing(name, decay, inputs):
    found = equilibrium(name, lr=1e-3, wd=0.1, decay=decay, **inputs)
    for field in ARRAYS:
        value = getattr(found, field)
        assert isinstance(value, np.float64), field
        assert math.isfinite(value), field
    assert found.notes == ((RUNNING,) if name == "nadam" else ())
    assert found.regime == "slow"
    assert found.cosine == pytest.approx(math.cos(found.angle), abs=1e-15)
    rate = effective_lr(name, lr=1e-3, radius=found.radius)
    assert found.effective_lr == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(("name", "decay", "inputs"), COMPLETE)
def test_what_is_missing_is_none_and_the_notes_name_it(name, decay, inputs):
    for missing in inputs:
        rest = {key: value for key, value in inputs.items() if key != missing}
        found = equilibrium(name, lr=1e-3, wd=0.1, decay=decay, **rest)
        assert (found.radius, found.effective_lr) == (None, None)
        assert [note for note in found.notes[1:] if note != RUNNING] == []
        assert f"`{missing}`" in found.notes[0]
        assert found.notes[0].endswith(".")
        assert not any(f"`{given}`" in found.notes[0] for given in rest)
        if decay == "l2" and name != "sgd":
            assert [getattr(found, field) for field in (*ARRAYS, "regime")] == [None] * 6
        else:
            whole = equilibrium(name, lr=1e-3, wd=0.1, decay=decay, **inputs)
            assert found.half_life == whole.half_life
            if name != "muon":
                assert (found.angle, found.cosine) == (whole.angle, whole.cosine)


def test_adam_without_any_input_names_both():
    (note,) = equilibrium("adam", lr=1e-3, wd=0.1).notes
    assert "`dim`" in note
    assert "`grad_norm_sq`" in note


def test_a_small_beta2_and_what_torch_refuses_are_noted():
    for name, arguments in (
        ("adamw", {"betas": (0.9, 0.5)}),
        ("rmsprop", {"alpha": 0.5, "decay": "decoupled"}),
    ):
        (note,) = equilibrium(name, lr=1e-3, wd=0.1, dim=C, **arguments).notes
        assert "first order" in note
    (note,) = equilibrium(
        "sgd", lr=0.1, wd=0.1, momentum=0.9, nesterov=True, dampening=0.5, grad_norm_sq=G
    ).notes
    assert note == "torch.optim.SGD refuses Nesterov momentum with dampening."


@pytest.mark.parametrize("name", KNOWN.split(", "))
@pytest.mark.parametrize("decay", ["l2", "decoupled"])
def test_every_optimizer_and_decay_is_known_or_refused_by_name(name, decay):
    if any((name, decay) == complete[:2] for complete in COMPLETE):
        equilibrium(name, lr=1e-3, wd=0.1, decay=decay)
        return
    with pytest.raises(UsageError) as refused:
        equilibrium(name, lr=1e-3, wd=0.1, decay=decay)
    other = ' For L2 with Adam, name "adam".' if name == "adamw" else ""
    assert str(refused.value) == (
        f'`{name}` is known with decay "decoupled" only: no law is derived for L2 inside its '
        f"gradient.{other}"
    )


def test_the_defaults_are_those_of_torch():
    for name, spelled in {
        "sgd": {"momentum": 0.0, "dampening": 0.0, "nesterov": False, "decay": "l2"},
        "rmsprop": {"alpha": 0.99, "momentum": 0.0, "decay": "l2"},
        "adam": {"betas": (0.9, 0.999), "decay": "l2"},
        "adamw": {"betas": (0.9, 0.999), "decay": "decoupled"},
        "lion": {"betas": (0.9, 0.99), "decay": "decoupled"},
        "muon": {"momentum": 0.95, "nesterov": True, "adjust_lr_fn": "original"},
        "normalized": {"momentum": 0.0, "decay": "decoupled"},
        "nadam": {"betas": (0.9, 0.999), "momentum_decay": 4e-3, "decay": "l2"},
    }.items():
        inputs = next(inputs for known, _, inputs in COMPLETE if known == name)
        implicit = equilibrium(name, lr=1e-3, wd=0.1, **inputs)
        assert implicit == equilibrium(name, lr=1e-3, wd=0.1, **inputs, **spelled)
    torch_classes = {
        "sgd": torch.optim.SGD,
        "rmsprop": torch.optim.RMSprop,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "muon": torch.optim.Muon,
        "nadam": torch.optim.NAdam,
    }
    for name, own in {
        "sgd": {"momentum": 0, "dampening": 0, "nesterov": False},
        "rmsprop": {"alpha": 0.99, "momentum": 0},
        "adam": {"betas": (0.9, 0.999)},
        "adamw": {"betas": (0.9, 0.999)},
        "muon": {"momentum": 0.95, "nesterov": True},
        "nadam": {"betas": (0.9, 0.999), "momentum_decay": 4e-3},
    }.items():
        signature = inspect.signature(torch_classes[name]).parameters
        assert {key: signature[key].default for key in own} == own


BROADCAST = [
    ("sgd", {"momentum": np.array([0.0, 0.9]), "grad_norm_sq": np.array([[1.0], [2.0], [3.0]])}),
    ("sgd", {"momentum": np.array([0.5, 0.9]), "nesterov": True, "dampening": np.array([[0.1]])}),
    ("sgd", {"momentum": np.array([0.5, 0.9]), "decay": "decoupled"}),
    ("adam", {"dim": np.array([10.0, 20.0]), "grad_norm_sq": np.array([[1.0], [2.0]])}),
    ("rmsprop", {"dim": C, "grad_norm_sq": G, "alpha": np.array([0.9, 0.99]), "momentum": 0.5}),
    ("rmsprop", {"dim": C, "decay": "decoupled", "momentum": np.array([0.0, 0.9])}),
    ("adamw", {"betas": (np.array([0.8, 0.9]), np.array([[0.99], [0.999]])), "dim": C}),
    ("lion", {"betas": (np.array([0.8, 0.9]), np.array([[0.99], [0.999]])), "dim": C}),
    ("muon", {"momentum": np.array([0.8, 0.9]), "shape": (8, 16)}),
    ("normalized", {"momentum": np.array([0.8, 0.9])}),
]


@pytest.mark.parametrize(("name", "arguments"), BROADCAST)
def test_arrays_give_what_their_elements_give_one_by_one(name, arguments):
    lr, wd = np.array([1e-3, 1e-2]), np.array([[[0.1]], [[0.2]]])

    def leaves(value):
        return value if isinstance(value, tuple) and not isinstance(value[0], int) else (value,)

    arrays = [v for value in arguments.values() for v in leaves(value) if isinstance(v, np.ndarray)]
    shape = np.broadcast_shapes(lr.shape, wd.shape, *(a.shape for a in arrays))
    whole = equilibrium(name, lr=lr, wd=wd, **arguments)

    def at(value, index):
        if isinstance(value, tuple) and isinstance(value[0], np.ndarray):
            return tuple(at(v, index) for v in value)
        if isinstance(value, np.ndarray):
            return float(np.broadcast_to(value, shape)[index])
        return value

    for index in np.ndindex(shape):
        one = equilibrium(
            name,
            lr=at(lr, index),
            wd=at(wd, index),
            **{key: at(value, index) for key, value in arguments.items()},
        )
        for field in ARRAYS:
            if getattr(one, field) is not None:
                many = np.broadcast_to(getattr(whole, field), shape)
                assert many[index] == pytest.approx(getattr(one, field), rel=1e-12), field
    for field in ARRAYS:
        if getattr(whole, field) is not None:
            assert getattr(whole, field).shape == shape, field


POSITIVE = [0.0, -1.0, math.inf, math.nan, [1.0, 0.0]]
FRACTIONS = [1.0, -0.1, math.nan, [0.5, 1.0]]


@pytest.mark.parametrize("value", POSITIVE)
@pytest.mark.parametrize("name", ["lr", "wd", "dim", "grad_norm_sq"])
def test_what_must_be_positive_is_refused_otherwise(name, value):
    with pytest.raises(UsageError) as refused:
        equilibrium("adam", **({"lr": 0.1, "wd": 0.1} | {name: value}))
    why = " Without decay the norm only grows, and there is no equilibrium." if name == "wd" else ""
    assert str(refused.value) == f"`{name}` must be positive and finite, got {value!r}.{why}"


@pytest.mark.parametrize("value", FRACTIONS)
@pytest.mark.parametrize(
    ("optimizer", "name"),
    [
        ("sgd", "momentum"),
        ("sgd", "dampening"),
        ("rmsprop", "alpha"),
        ("rmsprop", "momentum"),
        ("muon", "momentum"),
        ("normalized", "momentum"),
        ("adamw", "betas[0]"),
        ("lion", "betas[1]"),
    ],
)
def test_what_must_lie_in_zero_to_one_is_refused_otherwise(optimizer, name, value):
    given = {name: value}
    if name.startswith("betas"):
        given = {"betas": (value, 0.9) if name == "betas[0]" else (0.9, value)}
    with pytest.raises(UsageError) as refused:
        equilibrium(optimizer, lr=0.1, wd=0.1, **given)
    assert str(refused.value) == f"`{name}` must lie in [0, 1), got {value!r}."


ONE_TOO_LARGE = (
    "`lr` times `wd` must be below 2, got 2.0: past it the decay alone makes the weight grow, and "
    "there is no equilibrium."
)
REFUSALS = [
    ("sgd", {"lr": "fast"}, "`lr` must be a number or an array of them, got 'fast'."),
    ("sgd", {"wd": 2.0, "lr": 1.0}, ONE_TOO_LARGE),
    (
        "sgd",
        {"lr": 1.0, "wd": 1.9, "momentum": 0.9, "nesterov": True},
        "`lr` times `wd` is 1.9, too large for this momentum: the decay alone makes the weight "
        "oscillate without bound, and there is no equilibrium.",
    ),
    ("adamw", {"betas": 0.9}, "`betas` must be a pair of numbers in [0, 1), got 0.9."),
    ("adamw", {"betas": (0.9,)}, "`betas` must be a pair of numbers in [0, 1), got (0.9,)."),
    ("adamw", {"momentum": 0.9}, "`adamw` has no argument `momentum`; it takes `betas`."),
    ("lion", {"nesterov": False}, "`lion` has no argument `nesterov`; it takes `betas`."),
    (
        "sgd",
        {"betas": (0.9, 0.99)},
        "`sgd` has no argument `betas`; it takes `momentum`, `dampening`, `nesterov`.",
    ),
    ("sgd", {"decay": "L2"}, '`decay` must be "l2" or "decoupled", got \'L2\'.'),
    ("sgd", {"nesterov": 1}, "`nesterov` must be True or False, got 1."),
    ("muon", {"shape": 5}, "`shape` must be (rows, columns) of a matrix, got 5."),
    ("muon", {"shape": (5, 0)}, "`shape[1]` must be a whole number from 1 on, got 0."),
    ("muon", {"shape": (5.0, 2)}, "`shape[0]` must be a whole number from 1 on, got 5.0."),
    (
        "sgd",
        {"lr": [0.1, 0.2], "wd": [0.1, 0.2, 0.3]},
        "The shapes do not broadcast against each other: `lr` (2,), `wd` (3,).",
    ),
    (
        "adamw",
        {"lr": [0.1, 0.2], "betas": ([0.9, 0.9, 0.9], 0.99)},
        "The shapes do not broadcast against each other: `betas[0]` (3,), `lr` (2,).",
    ),
    (
        "sgd",
        {"lr": 1e-200, "wd": 1e-200},
        "`lr` times `wd` must be at least 2.3e-308, the smallest number that float64 holds in "
        "full, got 0.0.",
    ),
    (
        "adamw",
        {"lr": 1e300, "wd": 1e-300, "dim": 1e100},
        "The radius lies outside what float64 can hold. Check the units of the arguments.",
    ),
]


@pytest.mark.parametrize(("optimizer", "arguments", "sentence"), REFUSALS)
def test_each_refusal_is_one_sentence(optimizer, arguments, sentence):
    with pytest.raises(UsageError) as refused:
        equilibrium(optimizer, **({"lr": 0.1, "wd": 0.1} | arguments))
    assert str(refused.value) == sentence


def test_an_unknown_optimizer_lists_the_known_ones():
    sentence = f"Unknown optimizer 'muom'. Known: {KNOWN}. Did you mean 'muon'?"
    with pytest.raises(UnknownNameError) as refused:
        equilibrium("muom", lr=0.1, wd=0.1)
    assert str(refused.value) == sentence


@pytest.mark.parametrize("shape", [None, (5, 4)])
def test_an_unknown_adjustment_of_muons_rate_is_refused_with_or_without_a_shape(shape):
    with pytest.raises(UnknownNameError) as refused:
        equilibrium("muon", lr=0.1, wd=0.1, shape=shape, adjust_lr_fn="originel")
    assert str(refused.value) == (
        "Unknown adjust_lr_fn 'originel'. Known: original, match_rms_adamw. Did you mean "
        "'original'?"
    )


@pytest.mark.parametrize("empty", ["lr", "wd"])
def test_arrays_without_elements_are_refused_or_come_back_empty(empty):
    try:
        found = equilibrium("sgd", **({"lr": 0.1, "wd": 0.1} | {empty: []}))
    except UsageError:
        return
    assert found.angle.shape == (0,)


EXPONENTS = st.floats(-299, 299)


@settings(deadline=None)  # Muon's first call takes long
@given(
    st.sampled_from(COMPLETE),
    EXPONENTS,
    st.floats(-300, 0.3),
    st.floats(0, 300),
    EXPONENTS,
    st.sampled_from([0.0, 0.5, 0.9]),
)
def test_no_magnitude_of_the_inputs_yields_nan_or_inf(case, log_lr, log_x, log_dim, log_g, mu):
    name, decay, inputs = case
    assume(-299 < log_x - log_lr < 299)
    lr, wd, dim, g = 10.0**log_lr, 10.0 ** (log_x - log_lr), 10.0**log_dim, 10.0**log_g
    inputs = dict(inputs)
    inputs |= {key: value for key, value in (("dim", dim), ("grad_norm_sq", g)) if key in inputs}
    given_momentum = (
        {"betas": (mu, 0.99)} if name in ("adam", "adamw", "lion", "nadam") else {"momentum": mu}
    )
    try:
        found = equilibrium(name, lr=lr, wd=wd, decay=decay, **inputs, **given_momentum)
    except UsageError as refused:
        assert str(refused).endswith(".")  # noqa: PT017
        return
    for field in ("radius", "angle", "effective_lr", "half_life"):
        assert 0 <= getattr(found, field) < math.inf, field
    assert -1 <= found.cosine <= 1
    assert found.angle <= math.pi
    if name == "sgd" and decay == "l2":
        with mpmath.workdps(40):
            eta, x = mpmath.mpf(lr), mpmath.mpf(lr) * mpmath.mpf(wd)
            size = eta * g / (mpmath.mpf(wd) * (1 - mu) * (2 - x / (1 + mu)))
            assert float(found.radius / size ** mpmath.mpf("0.25")) == pytest.approx(1, rel=1e-12)
            assert found.effective_lr == pytest.approx(float(eta / mpmath.sqrt(size)), rel=1e-12)


def test_what_swings_without_end_is_refused_with_a_reason():
    with pytest.raises(UsageError) as refused:
        equilibrium("adam", lr=1.0, wd=0.05, dim=C, grad_norm_sq=G, betas=(0.0, 0.0))
    assert str(refused.value) == (
        "The decay is so strong that a disturbed norm swings without end: there is no equilibrium "
        "that holds."
    )


@given(
    st.sampled_from(["adam", "rmsprop"]),
    st.floats(-280, 20),
    st.floats(-30, 0.2),
    st.floats(0, 60),
    st.floats(-60, 60),
)
def test_adaptive_l2_is_right_wherever_it_answers(name, log_lr, log_x, log_dim, log_g):
    lr, wd, dim, g = 10.0**log_lr, 10.0 ** (log_x - log_lr), 10.0**log_dim, 10.0**log_g
    try:
        found = equilibrium(name, lr=lr, wd=wd, dim=dim, grad_norm_sq=g)
    except UsageError:
        assume(False)
    mu = 0.9 if name == "adam" else 0.0
    with mpmath.workdps(40):
        r, lam = mpmath.mpf(float(found.radius)), mpmath.mpf(wd)
        h = lr / mpmath.sqrt((g / r**2 + lam**2 * r**2) / dim)
        turn = (1 - mu) * h * lam / (1 + mu)
        assume(turn < 1.9)  # beyond, 2 − turn has no digits
        assert float(r**4 * lam * (2 - turn) / (h * g)) == pytest.approx(1, rel=1e-10)
