"""Torch's own machinery and wrappers: OptimizerInfo, compile, GradScaler, closures, constrain_."""

import copy

import pytest
import torch
from torch import nn
from torch.amp import GradScaler
from torch.nn import Parameter
from torch.optim.lr_scheduler import StepLR

from etaeff.errors import UnknownNameError, UsageError
from etaeff.geometry import Block, param_groups
from etaeff.optim import SphereAdam, SphereLion, SphereMuon, SphereSGD, constrain_
from etaeff.testing._problem import bits, same

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
    def groups():
        return param_groups({"w": Parameter(torch.ones(4, 3))}, [Block(("w",))], lr=0.1)

    with pytest.raises(RuntimeError, match="cannot be `True` together"):
        make(groups(), fused=True, foreach=True)
    with pytest.raises(RuntimeError, match="does not support `differentiable`"):
        make(groups(), fused=True, differentiable=True)
    with pytest.raises(ValueError, match="Invalid"):
        make(groups(), lr=-0.1)


# -------------------------------------------------------------------------------------- compiling

SOON = [(SphereSGD, "projected"), (SphereAdam, "angle")]  # some seconds each


@pytest.mark.filterwarnings("ignore:.torch.jit.:DeprecationWarning")  # Dynamo's own
@pytest.mark.parametrize(
    ("make", "step"),
    [
        pytest.param(make, step, marks=[] if (make, step) in SOON else pytest.mark.long)
        for make in (SphereSGD, SphereAdam, SphereLion, SphereMuon)
        for step in ("projected", "angle")
    ],
)
def test_compiled_steps_are_the_plain_ones_and_a_new_rate_compiles_nothing(make, step):
    torch._dynamo.reset()
    torch.manual_seed(0)
    start, grads = torch.randn(4, 3), torch.randn(8, 4, 3)
    found = []
    for compiled in (False, True):
        weight, lr = Parameter(start.clone()), torch.tensor(0.1)
        optimizer = make(param_groups({"w": weight}, [Block(("w",), count=4)], lr=lr, step=step))
        run = torch.compile(optimizer.step, backend="eager") if compiled else optimizer.step
        for t, grad in enumerate(grads):
            weight.grad = grad.clone() if weight.grad is None else weight.grad.copy_(grad)
            lr.fill_(0.1 / (t + 1))
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


def _sphere(model, name, **kwargs):
    groups = param_groups(model, BLOCKS, lr=0.05)
    if name == "sgd":
        return SphereSGD(groups, momentum=0.9, **kwargs)
    if name == "lion":
        return SphereLion(groups, **kwargs)
    return SphereAdam(groups, second_moment=name.removeprefix("adam-"), **kwargs)


@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
@pytest.mark.parametrize("name", ["sgd", "adam-entry", "adam-block", "lion"])
def test_the_scaler_skips_steps_with_infinite_gradients(name, fused):
    """And scales the others back: they are those of a run without it."""
    if fused and name == "lion":
        pytest.skip("Lion has no fused kernel")
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


# -------------------------------------------------------------------------------------- constrain_

ANY = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "sgd fused": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, foreach=False),
    "adamw foreach": lambda p: torch.optim.AdamW(p, lr=0.01, foreach=True),
    "adamw fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=0.1),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
}
by_any = pytest.mark.parametrize("make", ANY.values(), ids=ANY)


def _off(model, radius=1.0):
    norms = model[0].weight.detach().double().norm(dim=1)
    return float((norms / radius - 1).abs().max())


@pytest.mark.parametrize("radius", ["unit", "keep", 2.5])
@by_any
def test_any_optimizer_stays_on_spheres_until_it_is_let_go(make, radius):
    model = _model()
    kept = model[0].weight.detach().double().norm(dim=1)
    wanted = kept if radius == "keep" else 1.0 if radius == "unit" else radius
    optimizer = make(model.parameters())
    handle = constrain_(model, optimizer, BLOCKS, radius=radius)
    assert _off(model, wanted) < 5e-7
    before = model[0].weight.detach().clone()
    for t in range(50):
        optimizer.zero_grad()
        _loss(model, t).backward()
        optimizer.step()
        assert _off(model, wanted) < 5e-7
    assert not torch.allclose(model[0].weight, before, atol=1e-2)
    handle.remove()
    for t in range(5):
        optimizer.zero_grad()
        _loss(model, t).backward()
        optimizer.step()
    assert _off(model, wanted) > 1e-5


@pytest.mark.parametrize("name", [name for name in ANY if name != "adafactor"])
def test_a_rate_of_zero_changes_no_bit_under_any_optimizer(name):
    model = _model()
    optimizer = ANY[name](model.parameters())
    constrain_(model, optimizer, BLOCKS)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = bits(list(model.parameters()))
    for t in range(20):
        optimizer.zero_grad()
        _loss(model, t).backward()
        optimizer.step()
    assert bits(list(model.parameters())) == before


@by_any
def test_a_skipped_step_changes_no_bit_under_any_optimizer(make):
    model = _model()
    optimizer = make(model.parameters())
    constrain_(model, optimizer, BLOCKS)
    scaler = GradScaler("cpu")
    for bad in (False, True):
        before = bits(list(model.parameters()))
        optimizer.zero_grad()
        scaler.scale(_loss(model, 0)).backward()
        if bad:
            model[0].weight.grad[0, 0] = float("inf")
        scaler.step(optimizer)
        scaler.update()
        assert (bits(list(model.parameters())) == before) == bad
        assert _off(model) < 5e-7


def test_lbfgs_and_its_closure():
    model = _model()
    model[1] = nn.Identity()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    constrain_(model, optimizer, BLOCKS)

    def closure():
        optimizer.zero_grad()
        loss = _loss(model, 0)
        loss.backward()
        return loss

    losses = [float(optimizer.step(closure).detach()) for _ in range(10)]
    assert losses[-1] < losses[0]
    assert _off(model) < 5e-7


def test_schedulers_and_wrappers_reach_the_optimizer_inside():
    class Wrapper:
        def __init__(self, optimizer):
            self.optimizer = optimizer

    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    constrain_(model, Wrapper(optimizer), BLOCKS)
    scheduler = StepLR(optimizer, step_size=1)
    for t in range(3):
        _loss(model, t).backward()
        optimizer.step()
        scheduler.step()
        assert _off(model) < 5e-7
    with pytest.raises(UsageError, match=r"torch\.optim\.Optimizer, got Linear"):
        constrain_(model, model[0], BLOCKS)


def test_what_cannot_be_constrained_is_refused():
    model = _model()
    before = bits(list(model.parameters()))
    head = torch.optim.SGD(model[2].parameters(), lr=0.1)
    with pytest.raises(UsageError, match=r"does not step '0\.weight'"):
        constrain_(model, head, BLOCKS)
    everything = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(UnknownNameError, match=r"0\.wieght"):
        constrain_(model, everything, [Block(("0.wieght",))])
    with pytest.raises(UsageError, match="`radius`"):
        constrain_(model, everything, BLOCKS, radius=-1.0)
    assert bits(list(model.parameters())) == before
    with torch.no_grad():
        model[0].weight[2] = 0
    with pytest.raises(UsageError, match=r"Piece 2 of 4 of '0\.weight' has norm 0"):
        constrain_(model, everything, BLOCKS)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (lambda g: SphereSGD(g), lambda p: torch.optim.SGD(p, lr=0.05)),
        (
            lambda g: SphereSGD(g, momentum=0.9, nesterov=True),
            lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
        ),
        (lambda g: SphereAdam(g), lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.0)),
        (lambda g: SphereAdam(g), lambda p: torch.optim.Adam(p, lr=0.05)),
    ],
    ids=["sgd", "nesterov", "adamw", "adam"],
)
def test_projected_steps_are_the_constrained_free_optimizers(mine, theirs):
    ours, other = _model(dtype=torch.float64), _model(dtype=torch.float64)
    first = mine(param_groups(ours, BLOCKS, lr=0.05))
    second = theirs(other.parameters())
    constrain_(other, second, BLOCKS)
    for t in range(30):
        for model, optimizer in ((ours, first), (other, second)):
            optimizer.zero_grad()
            _loss(model, t).backward()
            optimizer.step()
    for p, q in zip(ours.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("lr", "wd"), [(0.1, 0.5), (0.5, 0.1), (1.0, 0.9)])
def test_decay_of_a_projected_step_is_another_rate(lr, wd):
    """Plain SGD: λ at η is λ = 0 at η/(1 − ηλ); van Laarhoven 2017, section 5.5."""
    decayed, free = _model(dtype=torch.float64), _model(dtype=torch.float64)
    weight = decayed[0].weight
    first = torch.optim.SGD([{"params": [weight], "lr": lr, "weight_decay": wd}])
    constrain_(decayed, first, BLOCKS)
    names = {"0.weight": free[0].weight}
    second = SphereSGD(param_groups(names, BLOCKS, lr=lr / (1 - lr * wd)))
    for t in range(30):
        for model, optimizer in ((decayed, first), (free, second)):
            model.zero_grad()
            _loss(model, t).backward()
            optimizer.step()
    torch.testing.assert_close(weight, free[0].weight, rtol=0, atol=1e-12)
