"""`constrain_` with torch's optimisers: norms, bits that stay, scaler, closures, equal steps."""

import pytest
import torch
from torch import nn
from torch.amp import GradScaler
from torch.optim.lr_scheduler import StepLR

from etaeff.errors import UnknownNameError, UsageError
from etaeff.geometry import Block, param_groups
from etaeff.optim import SphereAdam, SphereSGD, constrain_
from etaeff.testing._problem import bits

BLOCKS = [Block(("0.weight",), count=4)]
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


def _model(seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.Linear(4, 1))
    return model.to(dtype)


def _loss(model, seed):
    source = torch.Generator().manual_seed(seed)
    data = torch.randn(8, 3, generator=source, dtype=torch.float64)
    return (model(data.to(model[0].weight.dtype)) - 1).square().mean()


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
