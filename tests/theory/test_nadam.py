"""NAdam: its laws against torch.optim.NAdam itself, and against its rule as matrices."""

import math

import mpmath
import numpy as np
import pytest
import torch
from support import walks

from etaeff.theory import equilibrium, lr_schedule, trajectory, update_norm

G, C = 2.0, 50.0


def running_momentum(beta1, decay, steps):
    """μ_t and the product of all until then, from the first step to one after the last."""
    mu = [beta1 * (1 - 0.5 * 0.96 ** (t * decay)) for t in range(1, steps + 2)]
    return mu, [math.prod(mu[: t + 1]) for t in range(steps + 1)]


def torch_walk(lr, wd, *, dim, chains, steps, radius=1.0, measured=0, **options):
    """Norms before each step and after the last, and 1 − cosine of each step, chain by chain."""
    rng = np.random.default_rng(4)
    start = rng.standard_normal((chains, dim))
    start *= radius / np.linalg.norm(start, axis=1, keepdims=True)
    w = torch.nn.Parameter(torch.tensor(start))
    rates = np.broadcast_to(lr, steps)
    optimizer = torch.optim.NAdam([w], lr=1.0, weight_decay=wd, eps=1e-30, **options)
    norms, turns = [], []
    for rate in rates.tolist():
        optimizer.param_groups[0]["lr"] = rate
        before = w.detach().clone()
        r = before.norm(dim=1, keepdim=True)
        noise = torch.tensor(rng.standard_normal((chains, dim)))
        noise -= (noise * before).sum(1, keepdim=True) / r**2 * before
        w.grad = noise * math.sqrt(G / (dim - 1)) / r
        optimizer.step()
        after = w.detach()
        cosine = (before * after).sum(1) / r.squeeze(1) / after.norm(dim=1)
        norms.append(r.squeeze(1).numpy())
        turns.append(1 - cosine.numpy())
    return np.array([*norms, w.detach().norm(dim=1).numpy()]), np.array(turns)


@pytest.mark.parametrize(
    ("rates", "options"),
    [
        (walks.pull(0.02), {"betas": (0.5, 0.999)}),
        (walks.SMALL, {"betas": (0.5, 0.99), "decoupled_weight_decay": True}),
        (walks.LARGE, {"betas": (0.9, 0.99), "decoupled_weight_decay": True}),
    ],
)
def test_equilibrium_is_that_of_torchs_optimizer_once_its_momentum_has_settled(rates, options):
    dim, settled, measured = walks.DIM, 1200, 300
    kept = dict(options)
    decay = "decoupled" if kept.pop("decoupled_weight_decay", False) else "l2"
    rest = equilibrium(
        "nadam", **rates, **kept, decay=decay, dim=dim, grad_norm_sq=G, momentum_decay=1.0
    )
    norms, turns = torch_walk(
        rates["lr"],
        rates["wd"],
        dim=dim,
        chains=8,
        steps=settled + measured,
        radius=float(rest.radius),
        momentum_decay=1.0,
        **options,
    )
    radius = walks.Measured.of((norms[settled:] ** 2).mean(0), float(rest.radius), 2)
    chord = walks.Measured.of(turns[settled:].mean(0), math.sqrt(1 - rest.cosine), 2)
    for measured_ratio in (radius, chord):
        assert measured_ratio.error < 0.0015
        off = abs(measured_ratio.ratio - 1)
        assert off < 3 * measured_ratio.error + 2 / dim + 1e-3, str(measured_ratio)


@pytest.mark.parametrize("decoupled", [False, True])
def test_a_run_follows_torchs_optimizer_from_the_first_step_while_its_momentum_runs(decoupled):
    steps, betas = 300, (0.9, 0.99)
    eta = lr_schedule("cosine", lr=0.01, steps=steps, warmup=30)
    wd = 2.0 if decoupled else 0.5
    norms, _ = torch_walk(
        eta,
        wd,
        dim=400,
        chains=48,
        steps=steps,
        radius=0.8,
        betas=betas,
        momentum_decay=0.1,
        decoupled_weight_decay=decoupled,
    )
    decay = "decoupled" if decoupled else "l2"
    run = trajectory(
        "nadam", lr=eta, wd=wd, radius=0.8, betas=betas, momentum_decay=0.1, decay=decay,
        dim=400, grad_norm_sq=G,
    )  # fmt: skip
    squares = norms**2
    checked = np.array([1, 2, 3, 5, 10, 20, 40, 80, 150, 220, 300])
    mean = squares.mean(1)[checked]
    error = squares.std(1, ddof=1)[checked] / math.sqrt(48)
    ratio = run.radius[checked] ** 2 / mean
    # With L2 the second moment is taken at its mean: a few percent while it rests on few
    # gradients, and 0.15 % at a beta2 of 0.99.
    allowed = 1e-12 if decoupled else np.where(checked <= 20, 0.03, 2e-3)
    assert np.all(np.abs(ratio - 1) < 3 * error / mean + allowed), ratio - 1
    assert run.radius.max() / run.radius.min() > 1.1


@pytest.mark.parametrize("betas", [(0.0, 0.9), (0.9, 0.9), (0.9, 0.999)])
@pytest.mark.parametrize("momentum_decay", [0.0, 4e-3, 0.5])
def test_a_run_with_l2_is_the_covariance_of_torchs_rule_at_the_mean_second_moment(
    betas, momentum_decay
):
    beta1, beta2 = betas
    eta = 0.02 * np.concatenate([np.linspace(0, 1, 20), lr_schedule("cosine", lr=1, steps=80)])
    lam = np.linspace(0.5, 1.0, 100)
    mu, product = running_momentum(beta1, momentum_decay, 100)
    state, square, radii, turns = np.diag([0.7**2, 0.0]), 0.0, [0.7], []
    for t, (h, wd) in enumerate(zip(eta, lam, strict=True)):
        r = state[0, 0]
        square = beta2 * square + (1 - beta2) * (G / r + wd**2 * r) / C
        gradient = np.array([wd, 0.0, 1.0])  # in terms of w, the average, and the noise
        average = beta1 * np.array([0.0, 1.0, 0.0]) + (1 - beta1) * gradient
        step = (1 - mu[t]) / (1 - product[t]) * gradient
        step = step + mu[t + 1] / (1 - product[t + 1]) * average
        step = step / math.sqrt(square / (1 - beta2 ** (t + 1)))
        rows = np.array([[1.0, 0.0, 0.0] - h * step, average])
        whole = np.zeros((3, 3))
        whole[:2, :2], whole[2, 2] = state, G / r
        cross = rows[0] @ whole[:, 0]
        state = rows @ whole @ rows.T
        turns.append(math.acos(cross / math.sqrt(r * state[0, 0])))
        radii.append(math.sqrt(state[0, 0]))
    run = trajectory(
        "nadam", lr=eta, wd=lam, radius=0.7, betas=betas, momentum_decay=momentum_decay,
        dim=C, grad_norm_sq=G,
    )  # fmt: skip
    assert run.radius == pytest.approx(np.array(radii), rel=1e-11)
    assert run.angle == pytest.approx(np.array(turns), rel=1e-9, abs=1e-7)


@pytest.mark.parametrize("lr", [1e-20, 1e-6, 1e-3, 1.0])
@pytest.mark.parametrize("x", [1e-12, 1e-4, 0.3])
def test_the_radius_with_l2_solves_both_of_its_equations(lr, x):
    wd, dim, beta1 = x / lr, 1e4, 0.9
    rest = equilibrium("nadam", lr=lr, wd=wd, dim=dim, grad_norm_sq=G)
    with mpmath.workdps(120):
        r, lam, mu = mpmath.mpf(float(rest.radius)), mpmath.mpf(wd), mpmath.mpf(beta1)
        h = lr / mpmath.sqrt((G / r**2 + lam**2 * r**2) / dim)  # the rate that this radius gives
        kappa = 1 - mu
        gradient, average = [h * lam, mpmath.mpf(0)], [kappa * h * lam, mu]
        a = mpmath.matrix([[1 - kappa * gradient[0] - mu * average[0], -mu * average[1]], average])
        b = [-(kappa + mu * kappa), kappa]
        # Variance of w for noise 1, with the average in units of h: the 3 × 3 system of moments.
        linear, noise, pairs = mpmath.matrix(3, 3), mpmath.matrix(3, 1), [(0, 0), (0, 1), (1, 1)]
        for row, (i, j) in enumerate(pairs):
            noise[row] = b[i] * b[j]
            for p in range(2):
                for q in range(2):
                    linear[row, pairs.index((min(p, q), max(p, q)))] += a[i, p] * a[j, q]
        variance = mpmath.lu_solve(mpmath.eye(3) - linear, noise)[0]
        assert float(h**2 * G * variance / r**4) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("beta1", [0.5, 0.9])
def test_slow_turns_are_nesterovs_share_of_adams(beta1):
    share = 1 + 2 * beta1 - 2 * beta1**3
    for decay in ("l2", "decoupled"):
        given = {"lr": 1e-3, "wd": 1e-3, "betas": (beta1, 1 - 1e-9), "decay": decay, "dim": C}
        one, other = (equilibrium(name, **given, grad_norm_sq=G) for name in ("nadam", "adam"))
        assert (one.angle / other.angle) ** 2 == pytest.approx(share, rel=1e-3)
        assert one.radius == pytest.approx(other.radius, rel=1e-3)


def test_without_momentum_it_is_adam():
    for decay in ("l2", "decoupled"):
        given = {"lr": 1e-3, "wd": 0.1, "betas": (0.0, 0.99), "decay": decay, "dim": C}
        one, other = (equilibrium(name, **given, grad_norm_sq=G) for name in ("nadam", "adam"))
        for field in ("radius", "angle", "cosine", "effective_lr", "half_life"):
            assert getattr(one, field) == pytest.approx(getattr(other, field), rel=1e-10), field
        assert one.notes == ()


def test_the_length_of_its_update_is_that_of_its_weights_of_old_gradients():
    beta1, beta2 = 0.9, 1 - 1e-9  # the limit of a still second moment
    for decay, mu in ((0.0, beta1 / 2), (4e-3, beta1)):
        weights = mu * (1 - beta1) * beta1 ** np.arange(2000)
        weights[0] += 1 - mu
        found = update_norm("nadam", betas=(beta1, beta2), momentum_decay=decay, dim=C)
        assert found**2 == pytest.approx(C * (weights**2).sum(), rel=1e-8)


def test_a_negative_momentum_decay_is_refused():
    with pytest.raises(ValueError, match=r"^`momentum_decay` must be zero or positive and finite,"):
        equilibrium("nadam", lr=0.1, wd=0.1, momentum_decay=-1.0)


def test_a_run_has_one_momentum_decay():
    with pytest.raises(ValueError, match=r"^`momentum_decay` must be one number, got array"):
        trajectory(
            "nadam", lr=0.1, wd=0.1, radius=1.0, steps=3, momentum_decay=[0.0, 0.1], dim=C,
            grad_norm_sq=G,
        )  # fmt: skip
