"""`constrain_` with torch's optimisers: norms, bits that stay, scaler, closures, equal steps."""

import copy
import io
import subprocess
import sys
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.amp import GradScaler
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.optim.lr_scheduler import StepLR

from etaeff.errors import NumericalError, UnknownNameError, UsageError
from etaeff.geometry import Block, param_groups
from etaeff.optim import SphereAdam, SphereSGD, constrain_, project_
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


# ------------------------------------------------------------------------ steps that lose a weight


@pytest.mark.parametrize("value", [0.0, float("inf"), float("nan")])
def test_a_step_that_loses_a_weight_is_refused_by_name(value):
    model = _model()
    blocks = [*BLOCKS, Block(("2.weight",))]
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    constrain_(model, optimizer, blocks)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    weight = model[2].weight
    weight.grad.fill_(value)
    if value == 0:
        weight.grad.copy_(weight.detach())  # the step ends at the origin
    before = bits([model[0].weight])
    with pytest.raises(NumericalError, match=r"weight of '2\.weight' is NaN.*zero after the step"):
        optimizer.step()
    assert bits([model[0].weight]) == before


def test_blocks_are_asked_together_whether_they_are_lost(monkeypatch):
    params = {f"{i}": nn.Parameter(torch.randn(4, 3)) for i in range(20)}
    optimizer = torch.optim.SGD(params.values(), lr=0.1)
    constrain_(params, optimizer, [Block((name,), count=4) for name in params])
    for p in params.values():
        p.grad = torch.randn_like(p)
    asked = []
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda self: asked.append(self) or True)
    optimizer.step()
    assert len(asked) == 1


# ------------------------------------------------------------------------------------------- radii


@pytest.mark.parametrize(
    ("radius", "dtype", "got"),
    [
        (1e39, torch.float32, "1e[+]39"),
        (1e-46, torch.float32, "1e-46"),
        (1e6, torch.float16, "1e[+]06"),
        (1e-6, torch.float16, "1e-06"),
        ([torch.tensor([1.0, -1.0, 1.0, 1.0])], torch.float32, "-1 for piece 1 of 4"),
        ([torch.tensor([1.0, 1.0, 1.0, 0.0])], torch.float32, "0 for piece 3 of 4"),
        ([torch.full((4,), float("inf"))], torch.float32, "inf"),
        ([torch.full((4,), float("nan"))], torch.float32, "nan"),
    ],
)
def test_radii_that_the_weights_cannot_have_are_refused(radius, dtype, got):
    model = _model(dtype=dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = bits(list(model.parameters()))
    said = f"`radius` must be above .* in {str(dtype)[6:]}, got {got}.*of '0.weight'"
    with pytest.raises(UsageError, match=said):
        project_(model, BLOCKS, radius=radius)
    with pytest.raises(UsageError, match=said):
        constrain_(model, optimizer, BLOCKS, radius=radius)
    if isinstance(radius, float):
        with pytest.raises(UsageError, match=said):
            SphereSGD(param_groups(model, BLOCKS, lr=0.1, radius=radius))
    assert bits(list(model.parameters())) == before


@pytest.mark.parametrize(
    ("radius", "said"),
    [
        ([], r"one tensor for each of the 1 blocks, got 0"),
        ([torch.ones(3)], r"'0\.weight' must be a tensor of shape \[4\], got \[3\]"),
        ([1.0], r"'0\.weight' must be a tensor of shape \[4\], got 1\.0"),
        (None, r"`radius` must be 'unit', 'keep', or a positive number, got None"),
    ],
)
def test_radii_of_other_blocks_are_refused(radius, said):
    with pytest.raises(UsageError, match=said):
        project_(_model(), BLOCKS, radius=radius)


def _trained(model, optimizer, steps):
    for t in steps:
        optimizer.zero_grad()
        _loss(model, t).backward()
        optimizer.step()


@pytest.mark.parametrize("how", ["state", "radii"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_kept_radii_go_on_bit_for_bit(how, dtype):
    def begun(seed):
        model = _model(seed, dtype)
        return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    model, optimizer = begun(0)
    handle = constrain_(model, optimizer, BLOCKS, radius="keep")
    _trained(model, optimizer, range(5))
    file = io.BytesIO()
    torch.save([model.state_dict(), optimizer.state_dict(), handle.state_dict()], file)
    file.seek(0)
    weights, state, radii = torch.load(file, weights_only=True)
    other, second = begun(1)
    other.load_state_dict(weights)
    second.load_state_dict(state)
    if how == "state":
        resumed = constrain_(other, second, BLOCKS, radius="keep")
        resumed.load_state_dict(radii)
    else:
        resumed = constrain_(other, second, BLOCKS, radius=radii["radii"])
    _trained(model, optimizer, range(5, 30))
    _trained(other, second, range(5, 30))
    assert bits(list(model.parameters())) == bits(list(other.parameters()))
    assert bits(handle.radii) == bits(resumed.radii)
    with pytest.raises(UsageError, match=r"must be above .* got -1"):
        resumed.load_state_dict({"radii": [-torch.ones(4)]})
    assert bits(handle.radii) == bits(resumed.radii)


def test_a_copy_of_an_optimizer_is_free_until_it_is_constrained_again():
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    handle = constrain_(model, optimizer, BLOCKS, radius=2.0)
    other, second = copy.deepcopy((model, optimizer))
    _trained(other, second, range(3))
    assert _off(other, 2.0) > 1e-5
    constrain_(other, second, BLOCKS, radius=handle.radii)
    _trained(other, second, range(3))
    assert _off(other, 2.0) < 5e-7


# ------------------------------------------------------------------------------ what has no spheres


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # torch's, of FSDP1
@pytest.mark.parametrize("original", [False, True])
def test_fsdp1_is_refused_by_whatever_name(alone, original):
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    wrapped = FullyShardedDataParallel(
        model, device_id=torch.device("cpu"), use_orig_params=original
    )
    optimizer = torch.optim.SGD(wrapped.parameters(), lr=0.1)
    for given in (wrapped, wrapped.module, dict(wrapped.named_parameters())):
        named = given if isinstance(given, dict) else dict(given.named_parameters())
        for name in (next(iter(named)), "0.weight", "0.wieght"):
            blocks = [Block((name,))]
            with pytest.raises(UsageError, match=r"FSDP1.*Use FSDP2"):
                constrain_(given, optimizer, blocks)
            with pytest.raises(UsageError, match=r"FSDP1.*Use FSDP2"):
                project_(given, blocks)
            with pytest.raises(UsageError, match=r"FSDP1.*Use FSDP2"):
                param_groups(given, blocks, lr=0.1)


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (torch.ones(4, 3, dtype=torch.complex64), "'w' is complex"),
        (torch.ones(4, 3, device="meta"), "'w' is on the meta device"),
        (torch.ones(4, 3, dtype=torch.int32), "'w' must be a dense tensor of real numbers"),
        (torch.eye(4).to_sparse(), "'w' must be a dense tensor of real numbers"),
    ],
)
def test_tensors_that_have_no_spheres_are_refused(tensor, said):
    other = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([other], lr=0.1)
    optimizer.param_groups[0]["params"].append(tensor)
    with pytest.raises(UsageError, match=said):
        constrain_({"w": tensor}, optimizer, [Block(("w",))])
    with pytest.raises(UsageError, match=said):
        project_({"w": tensor}, [Block(("w",))])


def test_blocks_that_share_a_tensor_or_cannot_be_cut_are_refused():
    with pytest.raises(UsageError, match=r"'0\.weight' is in two blocks"):
        project_(_model(), [*BLOCKS, Block(("0.weight",))])
    with pytest.raises(UsageError, match=r"`count` must divide the length 4 .* got 3"):
        project_(_model(), [Block(("0.weight",), count=3)])


# ----------------------------------------------------------------------- optimisers in each other


class Lookahead(torch.optim.Optimizer):
    """Zhang et al. 2019: every second step, half the way back to the slow weights."""

    def __init__(self, optimizer):
        super().__init__([p for g in optimizer.param_groups for p in g["params"]], {})
        self.optimizer = optimizer
        self.param_groups = optimizer.param_groups
        self.slow = [p.detach().clone() for g in self.param_groups for p in g["params"]]
        self.taken = 0

    def step(self, closure=None):
        loss = self.optimizer.step(closure)
        self.taken += 1
        if self.taken % 2 == 0:
            params = [p for g in self.param_groups for p in g["params"]]
            with torch.no_grad():
                for p, slow in zip(params, self.slow, strict=True):
                    p.copy_(slow.lerp_(p, 0.5))
        return loss


def test_what_an_outer_optimizer_does_after_the_inner_one_stays_on_spheres():
    model = _model()
    outer = Lookahead(torch.optim.SGD(model.parameters(), lr=0.5))
    constrain_(model, outer, BLOCKS)
    for t in range(6):
        _trained(model, outer, [t])
        assert _off(model) < 5e-7


def test_an_outer_optimizer_that_runs_no_hooks_is_refused():
    class Unhooked(Lookahead):
        def __init__(self, optimizer):
            self.optimizer = optimizer
            self.param_groups = optimizer.param_groups
            self._optimizer_step_post_hooks = OrderedDict()  # timm's has them, and runs none

        def step(self, closure=None):
            return self.optimizer.step(closure)

    model = _model()
    optimizer = Unhooked(torch.optim.SGD(model.parameters(), lr=0.5))
    with pytest.raises(UsageError, match=r"`step` of Unhooked runs no hooks.*`project_`"):
        constrain_(model, optimizer, BLOCKS)


def test_the_flattened_shards_of_deepspeed_are_refused():
    class Zero:
        __module__ = "deepspeed.runtime.zero.stage_1_and_2"

        def __init__(self, optimizer):
            self.optimizer = optimizer

    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with pytest.raises(UsageError, match=r"Zero \(DeepSpeed\) steps flattened shards.*FSDP2"):
        constrain_(model, Zero(optimizer), BLOCKS)
    model[0].weight.ds_id = 0  # as stage 3 marks them
    with pytest.raises(UsageError, match=r"DeepSpeed's stage 3 hold flattened shards"):
        constrain_(model, optimizer, BLOCKS)


def test_accelerates_wrapper_stays_on_spheres():
    accelerate = pytest.importorskip("accelerate")
    model = _model()
    inner = torch.optim.SGD(model.parameters(), lr=0.5)
    wrapped = accelerate.Accelerator(cpu=True).prepare_optimizer(inner)
    assert wrapped is not inner
    constrain_(model, wrapped, BLOCKS)
    _trained(model, wrapped, range(3))
    assert _off(model) < 5e-7


@pytest.mark.filterwarnings("ignore")
def test_lightnings_wrapper_stays_on_spheres():
    pytest.importorskip("lightning")
    from lightning.pytorch.core.optimizer import LightningOptimizer

    class Strategy:
        def optimizer_step(self, optimizer, closure):
            return optimizer.step(closure)

    model = _model()
    wrapped = LightningOptimizer(torch.optim.SGD(model.parameters(), lr=0.5))
    wrapped._strategy = Strategy()
    constrain_(model, wrapped, BLOCKS)
    _trained(model, wrapped, range(3))
    assert _off(model) < 5e-7


OLD = """
import sys, torch
del torch.optim.Muon
sys.modules["torch.optim._muon"] = None
from etaeff.errors import UsageError
from etaeff.optim import SphereAdam, SphereMuon, SphereSGD, constrain_
weight = torch.nn.Parameter(torch.ones(2, 2))
SphereSGD([weight]), SphereAdam([weight])
try:
    SphereMuon([weight])
except UsageError as error:
    print(error)
"""


def test_an_older_torch_lacks_muon_alone():
    run = subprocess.run([sys.executable, "-c", OLD], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("SphereMuon needs the Muon of torch 2.9 or newer; this is ")
