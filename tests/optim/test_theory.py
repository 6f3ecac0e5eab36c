"""What theory says of steps on a sphere, on real training: a small network on the digits.

Normalisations have an ε that is lost in rounding, so that the weights before them are exactly
scale-invariant.
"""

import math

import pytest
import torch
from sklearn.datasets import load_digits
from support import equilibrium_training as training
from torch import nn
from torch.nn import functional as F

from etaeff.errors import UsageError
from etaeff.geometry import Block, angle, param_groups
from etaeff.optim import SphereAdam, SphereLion, SphereMuon, SphereSGD, constrain_

BATCH = 64
STEPS = 120  # some four epochs
TINY = 1e-30  # torch refuses ε = 0; the variances here are above 1e-4


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Rows(nn.Module):
    """A linear layer whose rows are parameters of their own, so that each has its own group."""

    def __init__(self, inputs, outputs):
        super().__init__()
        radii = torch.linspace(0.2, 3.0, outputs)
        self.rows = nn.ParameterList(r * F.normalize(torch.randn(inputs), dim=0) for r in radii)

    def forward(self, x):
        return x @ torch.stack(tuple(self.rows)).T


def by_rows():
    """Each channel is a block."""
    model = nn.Sequential(
        nn.Flatten(),
        *(Rows(64, 24), nn.BatchNorm1d(24, eps=TINY), nn.ReLU()),
        *(Rows(24, 16), nn.BatchNorm1d(16, eps=TINY), nn.ReLU()),
        nn.Linear(16, 10),
    )
    return model, [Block((name,)) for name, _ in model.named_parameters() if ".rows." in name]


def by_tensors():
    """Convolutions, each a block as a whole."""
    model = nn.Sequential(
        *(nn.Conv2d(1, 6, 3, bias=False), nn.BatchNorm2d(6, eps=TINY), nn.ReLU()),
        *(nn.Conv2d(6, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8, eps=TINY), nn.ReLU()),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
    return model, [Block(("0.weight",)), Block(("3.weight",))]


def by_channels():
    """Linear layers, each channel a block."""
    model = nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(64, 24, bias=False), nn.BatchNorm1d(24, eps=TINY), nn.ReLU()),
        *(nn.Linear(24, 16, bias=False), nn.BatchNorm1d(16, eps=TINY), nn.ReLU()),
        nn.Linear(16, 10),
    )
    return model, [Block(("1.weight",), count=24), Block(("4.weight",), count=16)]


def made(network, dtype=torch.float64):
    torch.manual_seed(0)
    model, blocks = network()
    return model.to(dtype), blocks


def batches(dtype=torch.float64, steps=STEPS):
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images / 8 - 1, dtype=dtype).reshape(-1, 1, 8, 8)
    labels = torch.tensor(labels)
    generator = torch.Generator().manual_seed(1)
    order = torch.cat([torch.randperm(len(images), generator=generator) for _ in range(8)])
    for step in range(steps):
        chosen = order[step * BATCH :][:BATCH]
        yield images[chosen], labels[chosen]


def learn(model, optimizer, batch):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    return loss.item()


def cosine(step, peak):
    return peak * (1 + math.cos(math.pi * step / STEPS)) / 2


def gap(left, right, blocks):
    """Largest distance of directions, one per piece; and of other tensors, in shares of them."""
    named = {name: block for block in blocks for name in block.names}
    worst = 0.0
    for (name, p), q in zip(left.named_parameters(), right.parameters(), strict=True):
        count = named[name].count if name in named else 1
        x, y = p.detach().reshape(count, -1), q.detach().reshape(count, -1)
        if name in named:
            x, y = F.normalize(x), F.normalize(y)
        worst = max(worst, ((x - y).norm(dim=1) / y.norm(dim=1)).max().item())
    return worst


def weights(model, blocks):
    tensors = dict(model.named_parameters())
    return [tensors[name].detach().clone() for block in blocks for name in block.names]


# -------------------------------------------------------------------------- free norm, and sphere


def follow(network, power):
    """Free SGD, and SphereSGD at lr/‖w‖^power: their gaps after each step, and the losses."""
    free, blocks = made(network)
    sphere, _ = made(network)
    tensors = dict(sphere.named_parameters())
    groups = [group for b in blocks for group in param_groups(
        {name: tensors[name] for name in b.names}, [b], lr=1.0
    )]  # fmt: skip
    rest = {n: p for n, p in tensors.items() if n not in {m for b in blocks for m in b.names}}
    optimizers = (
        torch.optim.SGD(free.parameters(), lr=1.0),
        SphereSGD([*groups, *param_groups(rest, (), lr=1.0)]),
    )
    gaps, losses = [], []
    for step, batch in enumerate(batches()):
        lr = cosine(step, 0.3)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
        for w, group in zip(weights(free, blocks), optimizers[1].param_groups, strict=False):
            group["lr"] = lr / w.norm().item() ** power
        losses.append(learn(free, optimizers[0], batch))
        learn(sphere, optimizers[1], batch)
        gaps.append(gap(free, sphere, blocks))
    return gaps, losses


@pytest.mark.parametrize("network", [by_rows, by_tensors])
def test_the_sphere_takes_the_directions_of_free_sgd_at_its_effective_lr(network):
    gaps, losses = follow(network, power=2)
    assert len(gaps) == STEPS
    assert max(gaps) < 1e-12
    assert losses[-1] < 0.5 * losses[0]  # it was training


def test_another_power_of_the_norm_would_be_seen():
    assert max(follow(by_rows, power=1)[0]) > 0.1


# ------------------------------------------------------------------------ decay under a projection


@pytest.mark.parametrize("wd", [1e-3, 0.1, 2.0])
@pytest.mark.parametrize("other", ["constrain_", "SphereSGD"])
def test_decay_under_a_projection_is_another_lr(wd, other):
    lr = 0.2
    (decayed, blocks), (plain, _) = made(by_channels), made(by_channels)

    def groups(model, lr_blocks, decay):
        found = param_groups(model, blocks, lr=lr, sphere_lr=lr_blocks)
        found[0]["weight_decay"] = decay
        return found

    first = torch.optim.SGD(groups(decayed, lr, wd), lr=lr)
    constrain_(decayed, first, blocks)
    if other == "SphereSGD":
        second = SphereSGD(groups(plain, lr / (1 - lr * wd), 0.0))
    else:
        second = torch.optim.SGD(groups(plain, lr / (1 - lr * wd), 0.0), lr=lr)
        constrain_(plain, second, blocks)
    for batch in batches():
        learn(decayed, first, batch)
        learn(plain, second, batch)
        assert gap(decayed, plain, blocks) < 1e-12


# ----------------------------------------------------------------------------------------- angles

ANGLED = [
    (SphereSGD, {"momentum": 0.9}),
    (SphereSGD, {"momentum": 0.9, "nesterov": True, "tangent": True}),
    (SphereAdam, {}),
    (SphereAdam, {"second_moment": "block"}),
    (SphereAdam, {"tangent": True}),
    (SphereLion, {}),
]


def turns(optimizer, model, blocks, **given):
    """The angle of each piece in each step."""
    for batch in batches(next(model.parameters()).dtype, **given):
        before = weights(model, blocks)
        learn(model, optimizer, batch)
        yield torch.cat([
            angle(x.double().reshape(b.count, -1), y.double().reshape(b.count, -1), (1,)).flatten()
            for b, x, y in zip(blocks, before, weights(model, blocks), strict=True)
        ])  # fmt: skip


@pytest.mark.parametrize("network", [by_channels, by_tensors])
@pytest.mark.parametrize(
    ("kind", "arguments"), ANGLED, ids=[f"{kind.__name__}{own}" for kind, own in ANGLED]
)
def test_an_angle_is_turned_exactly_in_float32(network, kind, arguments):
    model, blocks = made(network, torch.float32)
    groups = param_groups(model, blocks, lr=1e-3, sphere_lr=0.0, mode="angle")
    optimizer = kind(groups, **arguments)
    angles = [1e-4, 0.003, 0.1, 1.0]
    found = []
    for step, turned in enumerate(turns(Setter(optimizer, angles), model, blocks, steps=40)):
        expected = angles[step % len(angles)]
        assert (turned - expected).abs().max() < 1e-6
        found.append(turned)
    assert len(found) == 40
    for block, w in zip(blocks, weights(model, blocks), strict=True):
        assert (w.double().reshape(block.count, -1).norm(dim=1) - 1).abs().max() < 5e-7


class Setter:
    """An optimiser whose sphere group gets the next of some learning rates in each step."""

    def __init__(self, optimizer, values):
        self.optimizer, self.values, self.steps = optimizer, values, 0

    def zero_grad(self):
        self.optimizer.zero_grad()

    def step(self):
        self.optimizer.param_groups[0]["lr"] = self.values[self.steps % len(self.values)]
        self.steps += 1
        self.optimizer.step()


def test_muon_turns_whole_matrices_by_the_angle():
    model, blocks = made(by_channels, torch.float32)
    blocks = [Block(block.names) for block in blocks]
    tensors = dict(model.named_parameters())
    own = {name: tensors[name] for block in blocks for name in block.names}
    optimizer = SphereMuon(param_groups(own, blocks, lr=0.05, mode="angle"))
    for turned in turns(optimizer, model, blocks, steps=40):
        assert (turned - 0.05).abs().max() < 1e-6


@pytest.mark.parametrize("share", [1e-2, 1e-4])
@pytest.mark.parametrize("size", [3, 30, 1000])
def test_an_angle_is_turned_exactly_where_most_of_the_direction_is_radial(size, share):
    # As that of a weight that is not scale-invariant, or of a momentum that is old.
    torch.manual_seed(0)
    w = nn.Parameter(torch.randn(64, size))
    optimizer = SphereSGD(param_groups({"w": w}, [Block(("w",), count=64)], lr=0.03, mode="angle"))
    unit = F.normalize(w.detach().double())
    across = torch.randn_like(unit)
    across = F.normalize(across - (across * unit).sum(1, keepdim=True) * unit)
    w.grad = (unit + share * across).float()
    before = w.detach().double()
    optimizer.step()
    after = w.detach().double()
    assert (angle(before, after, (1,)) - 0.03).abs().max() < 1e-6
    assert (after.norm(dim=1) - 1).abs().max() < 5e-7


# ------------------------------------------------------------------------------------ equilibrium


SPHERES = {"sgd": SphereSGD, "adamw": SphereAdam, "lion": SphereLion, "muon": SphereMuon}
ROWS = [row for row in training.ROWS if row.name in SPHERES]


def turned_by_sphere(row, shape):
    """Angle of each block in some steps of the sphere optimiser with the free one's numbers."""
    torch.manual_seed(0)
    w = nn.Parameter(torch.randn(shape, dtype=torch.float64))
    count = 1 if row.name == "muon" else shape[0]
    groups = param_groups(
        {"w": w}, [Block(("w",), count=count)], lr=row.lr, weight_decay=row.wd, mode="equilibrium"
    )
    optimizer = SPHERES[row.name](groups, **row.arguments)
    found = []
    for _ in range(3):
        before = w.detach().clone().reshape(count, -1)
        w.grad = torch.randn_like(w)
        optimizer.step()
        found.append(angle(before, w.detach().reshape(count, -1), (1,)).flatten())
    return torch.stack(found)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_equilibrium_is_the_angle_that_the_free_optimiser_reaches(row):
    # How far a layer may be off is what four seeds spanned there, and 1.5 %: the gradients are not
    # quite normal, alike and independent. A single block scatters about its layer by its own share
    # of that, and most under Lion, whose signs tell small and large entries of the gradient apart.
    sizes = [(training.WIDTH, training.digits().shape[1]), *[(training.WIDTH,) * 2] * 2]
    for shape, (_, _, turn, _) in zip(sizes, training.measure(row), strict=True):
        sphere = turned_by_sphere(row, shape)
        assert (sphere.max() - sphere.min()).item() < 1e-12  # of all blocks and steps
        free = torch.from_numpy(turn)  # 1 − cos, whose root is the RMS angle
        ratios = (free / (1 - sphere[0].cos())).sqrt()
        assert ratios.mean().item() == pytest.approx(1, abs=row.angle)
        assert (ratios - 1).abs().max() < (0.2 if row.name == "lion" else 0.1)


@pytest.mark.parametrize(
    "kind", [SphereSGD, SphereAdam, SphereLion, SphereMuon], ids=lambda kind: kind.__name__
)
def test_equilibrium_stays_where_a_schedule_has_reached_zero(kind):
    w = nn.Parameter(torch.randn(8, 8))
    optimizer = kind(
        param_groups({"w": w}, [Block(("w",))], lr=0.1, weight_decay=0.01, mode="equilibrium")
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0, 1 - step))
    w.grad = torch.randn_like(w)
    before = w.detach().clone()
    optimizer.step()
    assert not torch.equal(w, before)
    schedule.step()
    before = w.detach().clone()
    optimizer.step()
    assert torch.equal(w, before)


def test_equilibrium_without_decay_is_refused_before_anything_has_changed():
    w = nn.Parameter(torch.randn(8, 8))
    before = w.detach().clone()
    with pytest.raises(UsageError, match="no equilibrium"):
        SphereSGD(param_groups({"w": w}, [Block(("w",))], lr=0.1, mode="equilibrium"))
    assert torch.equal(w, before)
