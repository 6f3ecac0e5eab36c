"""The contract for the optimisers of etaeff, against references written like the papers."""

import math

import numpy as np
import pytest
import torch
from torch.nn import Parameter
from torch.optim._muon import _zeropower_via_newtonschulz

from etaeff.geometry import Block, param_groups
from etaeff.optim import SphereAdam, SphereLion, SphereMuon, SphereSGD
from etaeff.testing import OptimizerCase, SphereOptimizerContract
from etaeff.testing._problem import Run, bits, turns
from etaeff.theory import equilibrium

NS = (3.4445, -4.7750, 2.0315)


def sgd(momentum=0.0, dampening=0.0, nesterov=False):
    """Sutskever et al. 2013 with torch's dampening; the first buffer is the gradient."""

    def direction(grads):
        b = grads[0]
        for g in grads[1:]:
            b = momentum * b + (1 - dampening) * g
        if momentum == 0:
            return grads[-1]
        return grads[-1] + momentum * b if nesterov else b

    return direction


def adam(amsgrad=False, by_row=False, betas=(0.9, 0.999), eps=1e-8):
    """Kingma & Ba 2015, algorithm 1; `by_row`: Roburin et al. 2020."""

    def direction(grads):
        m = v = largest = np.zeros_like(grads[0])
        for g in grads:
            square = np.mean(g**2, axis=1, keepdims=True) + 0 * g if by_row else g**2
            m = betas[0] * m + (1 - betas[0]) * g
            v = betas[1] * v + (1 - betas[1]) * square
            largest = np.maximum(largest, v)
        t = len(grads)
        v_hat = (largest if amsgrad else v) / (1 - betas[1] ** t)
        return m / (1 - betas[0] ** t) / (np.sqrt(v_hat) + eps)

    return direction


def lion(grads, betas=(0.9, 0.99)):
    """Chen et al. 2023, algorithm 2."""
    m = np.zeros_like(grads[0])
    for g in grads:
        c = betas[0] * m + (1 - betas[0]) * g
        m = betas[1] * m + (1 - betas[1]) * g
    return np.sign(c)


def muon(nesterov, momentum=0.95):
    """torch.optim.Muon; its Newton-Schulz steps run in bfloat16, and are torch's own here."""

    def direction(grads):
        b = np.zeros_like(grads[0])
        for g in grads:
            b = momentum * b + (1 - momentum) * g
        update = (1 - momentum) * g + momentum * b if nesterov else b
        o = _zeropower_via_newtonschulz(torch.from_numpy(update), NS, 5, 1e-7)
        return math.sqrt(max(1, g.shape[0] / g.shape[1])) * o.double().numpy()

    return direction


def sgd_case(name, **kwargs):
    def angle(lr, wd):
        return float(equilibrium("sgd", lr=lr, wd=wd, **kwargs).angle)

    return OptimizerCase(
        name, SphereSGD, kwargs, free=torch.optim.SGD, direction=sgd(**kwargs), angle=angle
    )


def law(name, **kwargs):
    return lambda lr, wd: float(equilibrium(name, lr=lr, wd=wd, **kwargs).angle)


CASES = (
    sgd_case("sgd"),
    sgd_case("sgd-momentum", momentum=0.9),
    sgd_case("sgd-nesterov", momentum=0.9, nesterov=True),
    sgd_case("sgd-dampening", momentum=0.8, dampening=0.3),
    OptimizerCase(
        "adam", SphereAdam, free=torch.optim.AdamW, direction=adam(), angle=law("adamw")
    ),
    OptimizerCase(
        "adam-amsgrad", SphereAdam, {"amsgrad": True, "betas": (0.9, 0.5)},
        free=torch.optim.AdamW, direction=adam(amsgrad=True, betas=(0.9, 0.5)),
        angle=law("adamw", betas=(0.9, 0.5)),
    ),
    OptimizerCase(
        "adam-block", SphereAdam, own={"second_moment": "block"},
        free=torch.optim.AdamW, direction=adam(by_row=True), angle=law("adamw"),
    ),
    OptimizerCase("lion", SphereLion, direction=lion, angle=law("lion")),
    OptimizerCase(
        "muon", SphereMuon, free=torch.optim.Muon, direction=muon(nesterov=True),
        angle=law("muon", shape=(4, 6)),
    ),
    OptimizerCase(
        "muon-plain", SphereMuon, {"nesterov": False}, free=torch.optim.Muon,
        direction=muon(nesterov=False), angle=law("muon", shape=(4, 6), nesterov=False),
    ),
)  # fmt: skip
MAIN = [case for case in CASES if case.name in ("sgd-momentum", "adam", "adam-block", "lion")]
by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
by_main_name = pytest.mark.parametrize("case", MAIN, ids=lambda case: case.name)
IMPLEMENTATIONS = {
    "single": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}


class TestContract(SphereOptimizerContract):
    cases = CASES


class TestTangentContract(SphereOptimizerContract):
    """Without the radial parts of gradient and momentum nothing of the contract may change."""

    cases = tuple(
        OptimizerCase(
            f"{case.name}-tangent", case.optimizer, case.kwargs, {**case.own, "tangent": True},
            free=case.free, modes=("projected", "angle"),
        )
        for case in MAIN[:3]
    )  # fmt: skip
    dtypes = (torch.float32,)
    many = 60


class TestImplementations(SphereOptimizerContract):
    """Torch's other code paths do the same, also on spheres."""

    cases = tuple(
        OptimizerCase(
            f"{case.name}-{name}", case.optimizer, {**case.kwargs, **flags}, case.own,
            free=case.free, modes=("projected",), direction=case.direction,
        )
        for case in MAIN if case.free
        for name, flags in IMPLEMENTATIONS.items()
        if name != "single" and (case.name, name) != ("adam-block", "fused")
    )  # fmt: skip
    dtypes = (torch.float32,)
    many = 60


@by_name
def test_free_lion_and_the_others_go_like_the_paper(case):
    """The free group of the contract's problem, in float64, with decoupled decay or L2."""
    run = Run(case, "projected", torch.float64, lr=0.05)
    w, seen, free = run.other.detach().numpy().copy(), [], run.other
    l2 = case.optimizer is SphereSGD
    direction = adam() if case.name == "adam-block" else case.direction  # free: entry by entry
    for _ in range(5):
        before = w
        run.steps(1)
        seen.append(free.grad.numpy() + (0.1 * before if l2 else 0))
        w = (before if l2 else (1 - 0.05 * 0.1) * before) - 0.05 * direction(seen)
        assert np.abs(free.detach().numpy() - w).max() < 1e-12


@pytest.mark.long
@pytest.mark.parametrize("mode", ["projected", "angle", "equilibrium"])
@by_name
def test_norms_after_ten_thousand_steps(case, mode):
    run = Run(case, mode)
    run.steps(10_000)
    assert run.off_radius() < 5e-7


@pytest.mark.parametrize("entries", [3, 1_000, 100_000])
@pytest.mark.parametrize("mode", ["projected", "angle", "equilibrium"])
@by_main_name
def test_norms_whatever_the_size(case, mode, entries):
    _keeps_norms(case, mode, entries, steps=30)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["projected", "angle"])
@pytest.mark.parametrize("case", MAIN[:2], ids=lambda case: case.name)
def test_norms_of_fifty_million_entries(case, mode):
    _keeps_norms(case, mode, 50_000_000, steps=3)


def _keeps_norms(case, mode, entries, steps):
    torch.manual_seed(0)
    weight = Parameter(torch.randn(2, entries // 2) if entries > 3 else torch.randn(3))
    optimizer = case.optimizer(
        param_groups({"w": weight}, [Block(("w",))], lr=0.05, weight_decay=0.1, mode=mode),
        **case.kwargs, **case.own,
    )  # fmt: skip
    for _ in range(steps):
        weight.grad = torch.randn_like(weight)
        optimizer.step()
    norm = torch.linalg.vector_norm(weight.detach(), dtype=torch.float64)
    assert abs(float(norm) - 1) < 5e-7


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[] if case is MAIN[0] else pytest.mark.long) for case in MAIN],
    ids=[case.name for case in MAIN],
)
def test_bfloat16_follows_float32_for_1500_steps_where_rounding_to_the_nearest_does_not(case):
    torch.manual_seed(0)
    start, grad = torch.randn(8, 64).bfloat16(), torch.randn(8, 64).bfloat16()

    def made(weight):
        groups = param_groups({"w": weight}, [Block(("w",), count=8)], lr=1e-3, mode="angle")
        weight.grad = grad.to(weight.dtype)
        return case.optimizer(groups, **case.kwargs, **case.own)

    wide, nearest = Parameter(start.float()), Parameter(start.float())
    chance = Parameter(start.clone())
    optimizers = [made(weight) for weight in (wide, chance, nearest)]
    for _ in range(1_500):
        for optimizer in optimizers:
            optimizer.step()
        with torch.no_grad():
            nearest.copy_(nearest.bfloat16())

    def gap(weight):
        cos = torch.cosine_similarity(wide.detach(), weight.detach().float(), dim=1)
        return float((1 - cos).max())

    assert float(turns(start, wide).min()) > 1.0
    assert gap(chance) < 0.01
    assert gap(nearest) > 0.1


@by_name
def test_state_of_bfloat16_is_wide(case):
    run = Run(case, "projected", torch.bfloat16)
    run.steps(2)
    state = run.optimizer.state[run.weight]
    assert state["radius"].dtype == torch.float64
    moments = [key for key in ("momentum_buffer", "exp_avg", "exp_avg_sq") if key in state]
    assert moments or case.name == "sgd"
    assert {state[key].dtype for key in moments} <= {torch.float32, torch.float64}


@pytest.mark.parametrize("flags", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
@by_name
def test_no_blocks_is_torch_bit_for_bit(case, flags):
    """On each of torch's code paths, with its arguments; 20 steps."""
    if case.free is None or (case.optimizer is SphereMuon and flags != {"foreach": False}):
        pytest.skip("torch has no such optimiser or path")
    flags = {} if case.optimizer is SphereMuon else flags
    torch.manual_seed(0)
    start = [torch.randn(4, 3), torch.randn(2, 5)]
    runs = []
    for make, own in ((case.optimizer, case.own), (case.free, {})):
        params = [Parameter(p.clone()) for p in start]
        groups = [{"params": params[:1], "lr": 0.3}, {"params": params[1:], "weight_decay": 0.2}]
        runs.append((params, make(groups, lr=0.01, **case.kwargs, **own, **flags)))
    for _ in range(20):
        grads = [torch.randn_like(p) for p in start]
        for params, optimizer in runs:
            for p, g in zip(params, grads, strict=True):
                p.grad = g.clone()
            optimizer.step()
    (mine, sphere), (theirs, free) = runs
    assert bits(mine) == bits(theirs)
    assert sphere.state_dict()["param_groups"] == free.state_dict()["param_groups"]
    left, right = sphere.state_dict()["state"], free.state_dict()["state"]
    assert [list(s) for s in left.values()] == [list(s) for s in right.values()]
    for i, state in left.items():
        assert all(torch.equal(torch.as_tensor(v), torch.as_tensor(right[i][k]))
                   for k, v in state.items() if v is not None)  # fmt: skip
