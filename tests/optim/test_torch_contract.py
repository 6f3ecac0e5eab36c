"""Torch's own machinery and wrappers: OptimizerInfo, compile, GradScaler, closures, schedulers."""

import copy

import pytest
import torch
from torch import nn
from torch.amp import GradScaler
from torch.nn import Parameter
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from etaeff.errors import UsageError
from etaeff.geometry import Block, param_groups
from etaeff.optim import SphereAdam, SphereLion, SphereMuon, SphereSGD, project_
from etaeff.testing._problem import bits, same, turns

BLOCKS = [Block(("0.weight",), count=4)]
PAIRS = {"SGD": SphereSGD, "AdamW": SphereAdam, "Muon": SphereMuon}

# ------------------------------------------------------------------------- torch's OptimizerInfo
# It needs `expecttest`, which torch does not install.

try:
    from torch.testing._internal import common_optimizers as common
except ModuleNotFoundError as error:
    if error.name != "expecttest":
        raise
    INFOS = {}
else:
    INFOS = {info.name: info for info in common.optim_db if info.name in PAIRS}


def _generated(infos):
    """Each configuration of torch, with each flag that the optimiser knows."""
    for name, info in infos.items():
        for i, config in enumerate(info.optim_inputs_func("cpu")):
            flags = [{}, *({flag: True} for flag in info.supported_impls)]
            for flag in flags:
                on_gpu = config.kwargs.get("capturable")
                rate = isinstance(config.kwargs.get("lr"), torch.Tensor)
                if on_gpu or (rate and flag == {"foreach": True}):
                    continue  # torch refuses these
                what = "-".join([name, str(i), config.desc.replace(" ", "_"), *flag])
                yield pytest.param(name, config.kwargs | flag, id=what)


def _errors(infos):
    for name, info in infos.items():
        for i, config in enumerate(info.optim_error_inputs_func("cpu", torch.float32)):
            yield pytest.param(name, config, id=f"{name}-{i}")


if INFOS:
    generated = pytest.mark.parametrize(("name", "kwargs"), list(_generated(INFOS)))
    errors = pytest.mark.parametrize(("name", "config"), list(_errors(INFOS)))
else:
    absent = pytest.mark.skip(reason="torch's OptimizerInfo needs the package `expecttest`")
    generated = pytest.mark.parametrize(("name", "kwargs"), [pytest.param("SGD", {}, marks=absent)])
    errors = pytest.mark.parametrize(("name", "config"), [pytest.param("SGD", {}, marks=absent)])


def _pair(name, kwargs, dtype=torch.float32):
    """Torch's optimiser and ours without blocks, on equal weights."""
    runs = []
    for make in (getattr(torch.optim, name), PAIRS[name]):
        source = torch.Generator().manual_seed(0)
        params = [Parameter(torch.randn(n, 3, generator=source).to(dtype)) for n in (2, 5)]
        runs.append((params, make(params, **copy.deepcopy(kwargs))))
    return runs


@generated
def test_generated_without_blocks_it_is_torch(name, kwargs):
    theirs, ours = _pair(name, kwargs)
    if kwargs.get("differentiable"):
        theirs, ours = ([[p.detach() for p in own], made] for own, made in (theirs, ours))
    for t in range(20):
        torch.manual_seed(t)
        grads = [torch.randn_like(p) for p in theirs[0]]
        for params, optimizer in (theirs, ours):
            own = [p for group in optimizer.param_groups for p in group["params"]]
            for p, grad in zip(own, grads, strict=True):
                p.requires_grad_(not kwargs.get("differentiable"))
                p.grad = grad.clone()
            optimizer.step()
            assert all(p is q or kwargs.get("differentiable") for p, q in zip(params, own))  # noqa: B905
        assert bits(theirs[0]) == bits(ours[0])
    assert same(theirs[1].state_dict(), ours[1].state_dict())


@generated
def test_generated_state_loads_from_torch_and_back(name, kwargs):
    if kwargs.get("differentiable"):
        pytest.skip("its state is part of a graph")
    theirs, ours = _pair(name, kwargs)
    for t in range(6):
        torch.manual_seed(t)
        grads = [torch.randn_like(p) for p in theirs[0]]
        for params, optimizer in (theirs, ours):
            for p, grad in zip(params, grads, strict=True):
                p.grad = grad.clone()
            optimizer.step()
        saved = [copy.deepcopy(optimizer.state_dict()) for _, optimizer in (theirs, ours)]
        ours[1].load_state_dict(saved[0])
        theirs[1].load_state_dict(saved[1])
    assert bits(theirs[0]) == bits(ours[0])


@errors
@pytest.mark.filterwarnings("always")
def test_generated_errors_are_torch_s(name, config):
    def run(make):
        given = config.optimizer_error_input
        params = [Parameter(torch.randn(1, 1))] if given.params is None else given.params
        optimizer = make(params, **given.kwargs)
        if config.error_on == common.OptimizerErrorEnum.STEP_ERROR:
            optimizer.step()

    catch = pytest.warns if issubclass(config.error_type, Warning) else pytest.raises
    for make in (getattr(torch.optim, name), PAIRS[name]):
        with catch(config.error_type, match=config.error_regex):
            run(make)


def test_signatures_begin_with_torch_s():
    import inspect

    for name, ours in PAIRS.items():
        theirs = inspect.signature(getattr(torch.optim, name)).parameters
        own = inspect.signature(ours).parameters
        for key, parameter in theirs.items():
            assert key in own, (name, key)
            assert own[key].default == parameter.default, (name, key)


@pytest.mark.parametrize("make", [SphereSGD, SphereAdam], ids=["sgd", "adam"])
def test_what_torch_refuses_is_refused_on_spheres_too(make):
    """And no weight is at its radius then."""
    weight = Parameter(torch.ones(4, 3))
    groups = param_groups({"w": weight}, [Block(("w",))], lr=0.1)
    with pytest.raises(RuntimeError, match="cannot be `True` together"):
        make(groups, fused=True, foreach=True)
    with pytest.raises(RuntimeError, match="does not support `differentiable`"):
        make(groups, fused=True, differentiable=True)
    with pytest.raises(ValueError, match="Invalid"):
        make(groups, lr=-0.1)
    assert torch.equal(weight, torch.ones(4, 3))


@pytest.mark.parametrize("flag", ["amsgrad", "fused", "capturable", "differentiable"])
def test_one_second_moment_per_block_refuses_what_needs_entries(flag):
    groups = param_groups({"w": Parameter(torch.ones(4, 3))}, [Block(("w",))], lr=0.1)
    with pytest.raises(UsageError, match=f"`{flag}` needs a second moment per entry"):
        SphereAdam(groups, second_moment="block", **{flag: True})


# -------------------------------------------------------------------------------------- compiling

SOON = [  # some seconds each
    (SphereSGD, "angle", {}, float),
    (SphereAdam, "equilibrium", {}, float),
    (SphereAdam, "projected", {"second_moment": "block"}, torch.tensor),
    (SphereAdam, "projected", {"tangent": True, "fused": True}, torch.tensor),
]
LATE = [
    (make, mode, {}, rate)
    for make in (SphereSGD, SphereAdam, SphereLion, SphereMuon)
    for mode in ("projected", "angle", "equilibrium")
    for rate in (float, torch.tensor)
    if (make, mode, {}, rate) not in SOON
]


@pytest.mark.filterwarnings("ignore:.torch.jit.:DeprecationWarning")  # Dynamo's own
@pytest.mark.parametrize(
    ("make", "mode", "options", "rate"),
    [*SOON, *(pytest.param(*row, marks=pytest.mark.long) for row in LATE)],
)
def test_compiled_steps_are_the_plain_ones_and_a_new_rate_compiles_nothing(
    make, mode, options, rate
):
    torch._dynamo.reset()
    torch.manual_seed(0)
    start, grads = torch.randn(4, 3), torch.randn(8, 4, 3)
    found = []
    for compiled in (False, True):
        weight, lr = Parameter(start.clone()), rate(0.1)
        groups = param_groups(
            {"w": weight}, [Block(("w",), count=4)], lr=lr, weight_decay=0.1, mode=mode
        )
        optimizer = make(groups, **options)
        run = torch.compile(optimizer.step, backend="eager") if compiled else optimizer.step
        for t, grad in enumerate(grads):
            weight.grad = grad.clone() if weight.grad is None else weight.grad.copy_(grad)
            if isinstance(lr, torch.Tensor):
                lr.fill_(0.1 / (t + 1))
            else:  # compiled anew at the second one, as torch's are
                optimizer.param_groups[0]["lr"] = 0.1 / (t + 1)
            if compiled and t >= 3:
                with torch.compiler.set_stance("fail_on_recompile"):
                    run()
            else:
                run()
        found.append(weight.detach())
    # Traced, Adam's corrections of bias are tensors in float32.
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-5)
    assert not torch.allclose(found[0], start, rtol=0, atol=1e-2)


# ------------------------------------------------------------------------ scaler, closures, hooks


def _model(seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.Linear(4, 1))
    return model.to(dtype)


def _loss(model, seed):
    source = torch.Generator().manual_seed(seed)
    data = torch.randn(8, 3, generator=source, dtype=torch.float64)
    return (model(data.to(model[0].weight.dtype)) - 1).square().mean()


def _sphere(model, name, radius="unit", **kwargs):
    groups = param_groups(model, BLOCKS, lr=0.05, radius=radius)
    if name == "sgd":
        return SphereSGD(groups, momentum=0.9, **kwargs)
    if name == "lion":
        return SphereLion(groups, **kwargs)
    return SphereAdam(groups, second_moment=name.removeprefix("adam-"), **kwargs)


@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
@pytest.mark.parametrize("name", ["sgd", "adam-entry", "adam-block", "lion"])
def test_the_scaler_skips_steps_with_infinite_gradients(name, fused):
    """And scales the others back: they are those of a run without it."""
    if fused and name in ("lion", "adam-block"):
        pytest.skip("no fused kernel")
    flags = {"fused": True} if fused else {}
    plain, scaled = _model(), _model()
    plain_optimizer, optimizer = _sphere(plain, name, **flags), _sphere(scaled, name, **flags)
    scaler = GradScaler("cpu", init_scale=2.0**10)
    # Torch's fused SGD takes an unwritten buffer for begun if its first step is skipped.
    skipped = (3,) if fused and name == "sgd" else (0, 3)
    for t in range(6):
        optimizer.zero_grad()
        scaler.scale(_loss(scaled, t)).backward()
        before = bits(list(scaled.parameters()))
        if t in skipped:
            scaled[0].weight.grad[1, 1] = float("inf")
        scaler.step(optimizer)
        scaler.update()
        if t in skipped:
            assert bits(list(scaled.parameters())) == before
            continue
        assert bits(list(scaled.parameters())) != before
        plain_optimizer.zero_grad()
        _loss(plain, t).backward()
        plain_optimizer.step()
    for p, q in zip(plain.parameters(), scaled.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adam-entry", "adam-block", "lion"])
def test_closures_are_called_once_with_gradients_on(name):
    model, called = _model(), []
    optimizer = _sphere(model, name)

    def closure():
        called.append(torch.is_grad_enabled())
        optimizer.zero_grad()
        loss = _loss(model, 0)
        loss.backward()
        return loss

    losses = [float(optimizer.step(closure).detach()) for _ in range(30)]
    assert called == [True] * 30
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["sgd", "adam-entry", "lion"])
def test_hooks_of_torch_run(name):
    model, seen = _model(), []
    optimizer = _sphere(model, name)
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    optimizer.register_load_state_dict_post_hook(lambda *_: seen.append("loaded"))
    _loss(model, 0).backward()
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == ["before", "after", "loaded"]


# ------------------------------------------------------------------------------------ checkpoints


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("saved", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["sgd", "adam-entry", "adam-block", "lion"])
def test_a_checkpoint_of_another_dtype_goes_on(name, saved, dtype):
    """Moments follow the weight, in at least float32; radii keep all their digits."""
    model, other = _model(dtype=saved), _model(dtype=dtype)
    optimizers = [_sphere(own, name, radius="keep") for own in (model, other)]
    for t in range(3):
        _loss(model, t).backward()
        optimizers[0].step()
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    before, state = (own.state[m[0].weight] for own, m in zip(optimizers, (model, other)))  # noqa: B905
    assert same(state["radius"], before["radius"])
    assert state["radius"].dtype == torch.float64
    wide = torch.float32 if dtype == torch.bfloat16 else dtype
    assert state["momentum_buffer" if name == "sgd" else "exp_avg"].dtype == wide
    if name.startswith("adam"):
        own = torch.float64 if name == "adam-block" else wide
        assert state["exp_avg_sq"].dtype == own
    _loss(other, 3).backward()
    optimizers[1].step()
    norms = other[0].weight.double().norm(dim=1)
    torch.testing.assert_close(norms, before["radius"], rtol=1e-2, atol=0)


def test_what_a_hook_makes_of_a_checkpoint_is_loaded():
    model, seen = _model(), []
    optimizer = _sphere(model, "sgd")
    _loss(model, 0).backward()
    optimizer.step()
    saved = copy.deepcopy(optimizer.state_dict())
    renamed = copy.deepcopy(saved)
    renamed["param_groups"][0]["blocks"] = []
    renamed["state"][0]["radius"] = renamed["state"][0]["radius"] / 3

    def before(_, found):
        assert found["param_groups"][0]["blocks"] == []
        return saved

    def after(_):
        seen.append(optimizer.state[model[0].weight]["radius"].dtype)

    optimizer.register_load_state_dict_pre_hook(before)
    optimizer.register_load_state_dict_post_hook(after)
    optimizer.load_state_dict(renamed)
    assert seen == [torch.float64]
    assert same(optimizer.state_dict()["state"], saved["state"])
    assert len(optimizer._optimizer_load_state_dict_pre_hooks) == 1
    assert len(optimizer._optimizer_load_state_dict_post_hooks) == 1


@pytest.mark.parametrize("name", ["sgd", "adam-entry", "adam-block", "lion"])
def test_rounding_by_chance_depends_on_the_state_alone(name):
    """Replicas with other seeds stay equal, a resumed run is the unbroken one, no draw is taken."""
    runs = []
    for seed in (1, 2, 3):
        model = _model(dtype=torch.bfloat16)
        optimizer = _sphere(model, name)
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        for t in range(6):
            if seed == 3 and t == 3:
                saved = copy.deepcopy(optimizer.state_dict())
                optimizer = _sphere(model, name, radius="keep")
                optimizer.load_state_dict(saved)
            optimizer.zero_grad()
            _loss(model, t).backward()
            optimizer.step()
        assert torch.equal(torch.get_rng_state(), before)
        runs.append((bits(list(model.parameters())), optimizer.state_dict()))
    for weights, state in runs[1:]:
        assert weights == runs[0][0]
        assert same(state["state"], runs[0][1]["state"])
    state = runs[0][1]["state"]
    assert int(state[0]["roundings"]) == 6
    assert "roundings" not in state[1]  # it is on no sphere


# --------------------------------------------------------------------- schedulers, averages, sums

CLASSES = {
    "sgd": lambda groups: SphereSGD(groups, momentum=0.9),
    "adam": SphereAdam,
    "adam-block": lambda groups: SphereAdam(groups, second_moment="block"),
    "lion": SphereLion,
}
every = pytest.mark.parametrize("make", CLASSES.values(), ids=CLASSES)


@pytest.mark.parametrize(
    "schedule",
    [
        lambda optimizer: CosineAnnealingLR(optimizer, T_max=6),
        lambda optimizer: LinearLR(optimizer, start_factor=0.1, total_iters=3),
        lambda optimizer: OneCycleLR(optimizer, max_lr=0.2, total_steps=7, cycle_momentum=False),
    ],
    ids=["cosine", "linear", "one cycle"],
)
@every
def test_schedulers_set_the_angle(make, schedule):
    model = _model()
    optimizer = make(param_groups(model, [Block(("0.weight",), count=4)], lr=0.1, mode="angle"))
    scheduler = schedule(optimizer)
    seen = set()
    for _ in range(6):
        before, lr = model[0].weight.detach().clone(), scheduler.get_last_lr()[0]
        optimizer.zero_grad()
        model(torch.randn(8, 3)).square().mean().backward()
        optimizer.step()
        scheduler.step()
        assert float((turns(before, model[0].weight) - lr).abs().max()) < 1e-6
        seen.add(lr)
    assert len(seen) > 2


@pytest.mark.parametrize("ema", [False, True])
def test_averages_are_put_back(ema):
    model = _model()
    blocks = [Block(("0.weight",), count=4)]
    optimizer = SphereSGD(param_groups(model, blocks, lr=0.5), momentum=0.9)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9) if ema else None)
    for _ in range(10):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).square().mean().backward()
        optimizer.step()
        average.update_parameters(model)
    inside = average.module[0].weight.detach().clone()
    assert float(inside.norm(dim=1).max()) < 1 - 1e-5
    (radii,) = project_(average.module, blocks)
    assert radii.tolist() == [1.0] * 4
    torch.testing.assert_close(average.module[0].weight, nn.functional.normalize(inside, dim=1))


@every
def test_accumulated_gradients_are_those_of_the_whole_batch(make):
    whole, parts = _model(), _model()
    whole[1], parts[1] = nn.Identity(), nn.Identity()
    data = torch.randn(8, 3)
    for model in (whole, parts):
        model.double()
    data = data.double()
    for model, chunks in ((whole, 1), (parts, 4)):
        optimizer = make(param_groups(model, [Block(("0.weight",), count=4)], lr=0.1))
        for _ in range(3):
            optimizer.zero_grad()
            for chunk in data.chunk(chunks):
                (model(chunk).square().sum() / 8).backward()
            optimizer.step()
    torch.testing.assert_close(whole[0].weight, parts[0].weight, rtol=0, atol=1e-9)
