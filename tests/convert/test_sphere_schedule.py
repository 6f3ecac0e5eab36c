import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import optim

from etaeff.convert import exponential_schedule, to_sphere
from etaeff.errors import UnknownNameError, UsageError
from etaeff.theory import equilibrium, lr_schedule

STEPS = 420
WD = np.linspace(0.03, 0.01, STEPS)
SCHEDULES = {
    "step": lr_schedule("step", lr=0.06, steps=STEPS),
    "cosine": lr_schedule("cosine", lr=0.06, steps=STEPS, warmup=20),
}
HEAD_LR = 0.05


# The free run, recorded, and the run on the sphere that follows it.


def pieces(model):
    """The two normalised weights, each with the axis that its norms are taken along."""
    return (model.first, 1), (model.second, 0)


def radii(model):
    return torch.cat([w.detach().norm(dim=axis) for w, axis in pieces(model)]).numpy()


def normalize(model):
    for w, axis in pieces(model):
        w.data /= w.data.norm(dim=axis, keepdim=True)


class Free(optim.SGD):
    """torch's SGD on a schedule, with decoupled decay too; `recorded` holds the radii."""

    def __init__(self, model, lr, *, momentum, decay="l2", change=None):
        groups = [{"params": [model.first, model.second]}, {"params": [model.head], "momentum": 0}]
        super().__init__(groups, lr=HEAD_LR, momentum=momentum)
        self.model, self.schedule, self.decay, self.change = model, lr, decay, change
        self.recorded = [radii(model)]

    @torch.no_grad()
    def step(self):
        t, group = len(self.recorded) - 1, self.param_groups[0]
        group["lr"] = self.schedule[t]
        for w, axis in pieces(self.model):
            if self.change is not None:
                w.grad = self.change(w.grad, axis)
            if self.decay == "decoupled":
                w *= 1 - self.schedule[t] * WD[t]
        if self.decay == "l2":
            group["weight_decay"] = WD[t]
        super().step()
        self.recorded.append(radii(self.model))


class Sphere(optim.SGD):
    """The step of `SphereSchedule`: the base update, then every piece back to norm 1."""

    def __init__(self, model, lr, momentum, *, change=None):
        super().__init__([model.head], lr=HEAD_LR)
        normalize(model)
        self.model, self.lr, self.momentum, self.change, self.t = model, lr, momentum, change, 0
        self.buffers = [torch.zeros_like(w) for w, _ in pieces(model)]

    @torch.no_grad()
    def step(self):
        super().step()
        for i, (w, axis) in enumerate(pieces(self.model)):
            here, buffer = slice(16 * i, 16 * i + 16), self.buffers[i]
            lr, momentum = (
                torch.as_tensor(s[self.t, here]).unsqueeze(axis) for s in (self.lr, self.momentum)
            )
            g = w.grad if self.change is None else self.change(w.grad, axis)
            buffer.mul_(momentum).add_(g)
            w -= lr * buffer
            w /= w.norm(dim=axis, keepdim=True)
            w.grad = None
        self.t += 1

    def zero_grad(self):
        self.model.zero_grad()


def follow(start, optimizer, schedule, arguments, *, change=None, convert=to_sphere):
    """The free run and the one on the sphere that `to_sphere` makes of its radii."""
    momentum, decay = arguments.get("momentum", 0.0), arguments.get("decay", "l2")
    free = start(lambda named: None)
    free.optimizer = Free(free.model, schedule, momentum=momentum, decay=decay, change=change)
    losses = free.train(STEPS)
    recorded = np.array(free.optimizer.recorded)
    found = [convert(optimizer, lr=schedule, wd=WD, radius=r, **arguments) for r in recorded.T]
    lr = np.stack([one.lr for one in found], axis=1)
    zero = np.zeros(STEPS)
    mu = np.stack([zero if one.momentum is None else one.momentum for one in found], axis=1)
    sphere = start(lambda named: None)
    sphere.optimizer = Sphere(sphere.model, lr, mu, change=change)
    return free, sphere, losses, sphere.train(STEPS)


@pytest.mark.usefixtures("double_on_one_thread")
@pytest.mark.parametrize(
    ("schedule", "decay"), [("step", "l2"), ("cosine", "l2"), ("step", "decoupled")]
)
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_sphere_follows_a_recorded_run_of_sgd_exactly(start, distance, schedule, momentum, decay):
    given = {"momentum": momentum, "decay": decay}
    free, sphere, losses, found = follow(start, "sgd", SCHEDULES[schedule], given)
    assert np.ptp(free.optimizer.recorded, axis=0).min() > 0.02  # the radius does move
    # Measured: at most 3e-15.
    assert distance(sphere.directions(), free.directions()) < 1e-12
    assert distance(found, losses) < 1e-12
    assert radii(sphere.model).tolist() == pytest.approx([1.0] * 32, rel=1e-14)


def sign(g, axis):
    return g.sign()


def unit(g, axis):
    return g / g.norm(dim=axis, keepdim=True)


@pytest.mark.usefixtures("double_on_one_thread")
@pytest.mark.parametrize(
    ("optimizer", "change", "arguments"),
    [
        ("lion", sign, {"betas": (0.0, 0.0)}),
        ("adamw", sign, {"betas": (0.0, 0.0)}),
        ("normalized", unit, {}),
    ],
    ids=["sign", "adamw without averages", "normalized"],
)
def test_sphere_follows_updates_of_fixed_size_exactly(
    start, distance, optimizer, change, arguments
):
    schedule = SCHEDULES["cosine"] / 10
    # The walk of the free run is torch's SGD of the changed gradient, with decoupled decay.
    decoupled = {**arguments, "decay": "decoupled"}
    free, sphere, losses, found = follow(start, optimizer, schedule, decoupled, change=change)
    assert np.ptp(free.optimizer.recorded, axis=0).min() > 0.01
    assert distance(sphere.directions(), free.directions()) < 1e-12
    assert distance(found, losses) < 1e-12


@pytest.mark.usefixtures("double_on_one_thread")
def test_sphere_goes_elsewhere_with_the_momentum_of_the_free_run(start, distance):
    def keep_momentum(*args, **kwargs):
        found = to_sphere(*args, **kwargs)
        return dataclasses.replace(found, momentum=np.full(STEPS, kwargs["momentum"]))

    given = {"momentum": 0.9}
    free, sphere, _, _ = follow(start, "sgd", SCHEDULES["step"], given, convert=keep_momentum)
    assert distance(sphere.directions(), free.directions()) > 1e-3


# At equilibrium: random walks on the sphere, with the rate and momentum that are returned.

G, CHAINS, DIM = 2.0, 16, 1024
NEWTON_SCHULZ = 3.4445, -4.7750, 2.0315


def length(w):
    return np.sqrt(np.einsum("cij,cij->c", w, w))[:, None, None]


def orthogonalized(m):
    a, b, c = NEWTON_SCHULZ
    m = m / length(m)
    for _ in range(5):
        gram = m @ m.swapaxes(1, 2)
        m = a * m + (b * gram + c * gram @ gram) @ m
    return m


def updates(optimizer, momentum, *, dampening=0.0, nesterov=None, betas=None, alpha=0.99, **_):
    """A function from gradients to torch's update, as it is once bias corrections are gone."""
    first = 0.0
    second = G / DIM
    b1, b2 = betas or ((0.9, 0.99) if optimizer == "lion" else (0.9, 0.999))

    def update(g):
        nonlocal first, second
        if optimizer == "sgd":
            first = momentum * first + (1 - dampening) * g
            return g + momentum * first if nesterov else first
        if optimizer in ("adam", "adamw"):
            first = b1 * first + (1 - b1) * g
            second = b2 * second + (1 - b2) * g**2
            return first / np.sqrt(second)
        if optimizer == "rmsprop":
            second = alpha * second + (1 - alpha) * g**2
            first = momentum * first + g / np.sqrt(second)
            return first
        if optimizer == "lion":
            mixed = b1 * first + (1 - b1) * g
            first = b2 * first + (1 - b2) * g
            return np.sign(mixed)
        first = momentum * first + (1 - momentum) * g
        if optimizer == "normalized":
            return first / length(first)
        return orthogonalized((1 - momentum) * g + momentum * first)  # Muon, with Nesterov

    return update


def turn_on_sphere(update, lr, shape=(1, DIM), burn=150, steps=200):
    """RMS turn of a step of noise on the unit sphere, and its standard error."""
    rng = np.random.default_rng(7)
    u = rng.standard_normal((CHAINS, *shape))
    u /= length(u)
    turns = []
    for t in range(burn + steps):
        g = rng.standard_normal(u.shape)
        g -= np.einsum("cij,cij->c", g, u)[:, None, None] * u
        g *= math.sqrt(G / (u[0].size - 1))
        after = u - lr * update(g)
        after /= length(after)
        if t >= burn:
            turns.append(1 - np.einsum("cij,cij->c", u, after))
        u = after
    chords = np.mean(turns, axis=0)
    found = 2 * math.asin(math.sqrt(chords.mean() / 2))
    return found, found * chords.std(ddof=1) / math.sqrt(CHAINS) / chords.mean() / 2


def pull(z, lr=0.01):
    """`lr` and `wd` at which L2 with Adam takes about the share z of the weight in a step."""
    return {"lr": lr, "wd": math.sqrt(2 * z**3 * G) / (lr**2 * DIM)}


RATES = {"lr": 0.1, "wd": 0.15}
AT_EQUILIBRIUM = [
    ("sgd", RATES),
    ("sgd", {"lr": 0.3, "wd": 1.5}),
    ("sgd", {**RATES, "momentum": 0.5}),
    ("sgd", {"lr": 0.1, "wd": 0.02, "momentum": 0.9}),
    ("sgd", {"lr": 0.1, "wd": 0.04, "momentum": 0.9, "dampening": 0.6}),
    ("sgd", {"lr": 0.3, "wd": 0.5, "momentum": 0.9, "decay": "decoupled"}),
    ("sgd", {**RATES, "momentum": 0.9, "nesterov": True, "decay": "decoupled"}),
    ("adamw", RATES),
    ("adamw", {"lr": 0.8, "wd": 0.7, "betas": (0.5, 0.99)}),
    ("rmsprop", {**RATES, "momentum": 0.5, "decay": "decoupled"}),
    ("rmsprop", {**pull(0.1), "alpha": 0.9999}),
    ("rmsprop", {**pull(0.02), "alpha": 0.9999, "momentum": 0.5}),
    ("adam", {**pull(0.1), "betas": (0.0, 0.9999)}),
    ("lion", RATES),
    ("lion", {"lr": 0.8, "wd": 0.7, "betas": (0.5, 0.9)}),
    ("muon", RATES),
    ("normalized", {**RATES, "momentum": 0.9}),
    ("normalized", {"lr": 0.8, "wd": 0.7, "momentum": 0.5}),
]


def on_sphere(optimizer, arguments):
    shape = (64, 64) if optimizer == "muon" else (1, DIM)
    needs = {"shape": shape} if optimizer == "muon" else {"dim": DIM, "grad_norm_sq": G}
    found = to_sphere(optimizer, **arguments, **needs)
    usual = arguments.get("momentum", 0.95 if optimizer == "muon" else 0.0)
    momentum = usual if found.momentum is None else found.momentum
    rest = {name: value for name, value in arguments.items() if name != "momentum"}
    return found, shape, updates(optimizer, momentum, **rest)


@pytest.mark.parametrize(("optimizer", "arguments"), AT_EQUILIBRIUM, ids=str)
def test_walk_on_the_sphere_turns_as_the_free_weight_would(optimizer, arguments):
    found, shape, update = on_sphere(optimizer, arguments)
    steps = {"burn": 120, "steps": 60} if optimizer == "muon" else {}
    turn, error = turn_on_sphere(update, float(found.lr), shape, **steps)
    assert error < 0.003 * turn
    # Blocks are large, not infinite; Muon's matrix has 64 singular values.
    finite = (0.004 if optimizer == "muon" else 0.5 / DIM) * turn
    assert abs(turn - found.angle) < 3 * error + finite
    needs = {"shape": shape} if optimizer == "muon" else {"dim": DIM, "grad_norm_sq": G}
    free = equilibrium(optimizer, **arguments, **needs)
    assert found.angle == free.angle


@pytest.mark.parametrize("wd", [1e-3, 4e-3])
def test_nesterov_with_l2_is_right_to_first_order(wd):
    arguments = {"lr": 0.1, "wd": wd, "momentum": 0.9, "nesterov": True}
    found, _, update = on_sphere("sgd", arguments)
    assert found.notes == ("Right to first order in ηλ: Nesterov has no exact counterpart.",)
    turn, error = turn_on_sphere(update, float(found.lr), steps=500)
    # A first-order rule: an error of ηλ over (1 − μ), but for a factor.
    assert abs(turn / found.angle - 1) < 0.1 * wd / 0.1 + 3 * error / turn


@pytest.mark.parametrize(("z", "beta1"), [(0.005, 0.9), (0.02, 0.5)])
def test_adam_with_l2_turns_as_it_did_with_its_own_betas(z, beta1):
    found, _, update = on_sphere("adam", {**pull(z), "betas": (beta1, 0.9999)})
    turn, error = turn_on_sphere(update, float(found.lr), steps=500)
    assert abs(turn / found.angle - 1) < 0.5 / DIM + 3 * error / turn


# What the numbers have to be, whatever the training.


def test_along_a_radius_it_is_the_formula():
    lr, wd, radius = np.array([0.1, 0.3, 0.2]), np.array([0.0, 0.2, 0.1]), np.array([1.0, 3.0, 2.0])
    found = to_sphere("sgd", lr=lr, wd=wd, radius=radius, momentum=0.4)
    alphas = np.exp(-np.diff(exponential_schedule(lr, wd, 0.4).log_scale))
    assert found.lr == pytest.approx(lr / alphas / radius**2, rel=1e-14)
    assert found.momentum[1:] == pytest.approx(
        0.4 * radius[1:] / (alphas[:-1] * radius[:-1]), rel=1e-14
    )
    assert found.angle is None
    assert found.notes == ()
    plain = to_sphere("sgd", lr=lr, wd=wd, radius=radius)
    assert plain.lr == pytest.approx(lr / ((1 - lr * wd) * radius**2), rel=1e-14)
    assert plain.momentum.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("optimizer", ["adamw", "lion", "muon", "normalized"])
def test_updates_of_fixed_size_divide_by_the_radius_and_say_that_memory_is_extra(optimizer):
    found = to_sphere(optimizer, lr=[0.1, 0.2], wd=0.5, radius=[2.0, 4.0])
    assert found.lr == pytest.approx([0.1 / 0.95 / 2, 0.2 / 0.9 / 4], rel=1e-14)
    assert found.momentum is None
    assert found.notes == (
        "Exact without momentum or betas; with them, while the norm moves little.",
    )


@given(
    st.floats(1e-3, 1.0), st.floats(0, 1.0), st.floats(0, 0.9), st.floats(1e-2, 1e2),
    st.sampled_from(["sgd", "adamw"]),
)  # fmt: skip
def test_the_unit_of_the_weight_does_not_matter_to_the_sphere(lr, share, momentum, c, optimizer):
    # (w, η, λ) → (cw, c²η, λ/c²) for SGD, (cw, cη, λ/c) for the others.
    wd = share * 0.9 * (1 - math.sqrt(momentum)) ** 2 / lr
    power = 2 if optimizer == "sgd" else 1
    given = {"momentum": momentum} if optimizer == "sgd" else {}
    radius = np.array([1.0, 1.5, 1.2])
    one = to_sphere(optimizer, lr=lr, wd=wd, radius=radius, **given)
    other = to_sphere(optimizer, lr=lr * c**power, wd=wd / c**power, radius=c * radius, **given)
    assert other.lr == pytest.approx(one.lr, rel=1e-10)
    if optimizer == "sgd":
        assert other.momentum == pytest.approx(one.momentum, rel=1e-10)


@pytest.mark.parametrize(("momentum", "wd"), [(0.0, 2.0), (0.5, 0.5), (0.9, 0.02)])
def test_equilibrium_is_the_end_of_a_radius_that_does_not_move(momentum, wd):
    radius = equilibrium("sgd", lr=0.1, wd=wd, momentum=momentum, grad_norm_sq=3.0).radius
    along = to_sphere("sgd", lr=0.1, wd=wd, radius=np.full(3000, radius), momentum=momentum)
    found = to_sphere("sgd", lr=0.1, wd=wd, momentum=momentum, grad_norm_sq=3.0)
    assert float(found.lr) == pytest.approx(along.lr[-1], rel=1e-12)
    assert float(found.momentum) == pytest.approx(along.momentum[-1], rel=1e-12)


def test_dampening_without_momentum_does_nothing():
    given = {"lr": 0.1, "wd": 0.5, "grad_norm_sq": 2.0}
    plain, dampened = to_sphere("sgd", **given), to_sphere("sgd", **given, dampening=0.5)
    assert (dampened.lr, dampened.momentum, dampened.angle) == (plain.lr, 0.0, plain.angle)


def test_schedules_at_equilibrium_have_a_number_for_each_step():
    lr = np.array([0.1, 0.05])
    found = to_sphere("sgd", lr=lr, wd=0.1, momentum=0.5, grad_norm_sq=2.0)
    singles = [to_sphere("sgd", lr=one, wd=0.1, momentum=0.5, grad_norm_sq=2.0) for one in lr]
    for name in ("lr", "momentum", "angle"):
        assert getattr(found, name).tolist() == [float(getattr(one, name)) for one in singles]


@pytest.mark.parametrize(
    ("optimizer", "given", "missing"),
    [
        ("sgd", {}, "grad_norm_sq"),
        ("adamw", {}, "dim"),
        ("lion", {}, "dim"),
        ("muon", {}, "shape"),
        ("rmsprop", {"decay": "decoupled"}, "dim"),
    ],
)
def test_what_the_rate_needs_is_named_and_the_angle_known_without(optimizer, given, missing):
    found = to_sphere(optimizer, lr=0.1, wd=0.1, **given)
    assert found.lr is None
    assert found.angle == equilibrium(optimizer, lr=0.1, wd=0.1, **given).angle
    assert found.notes == (f"`lr` needs `{missing}`; `angle` is known without.",)


def test_adam_with_l2_knows_nothing_without_its_block():
    found = to_sphere("adam", lr=0.1, wd=0.1)
    assert (found.lr, found.momentum, found.angle) == (None, None, None)
    assert found.notes == (
        "Every quantity needs `dim` and `grad_norm_sq`: the decay that Adam sees depends on both.",
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop", "adamw"])
def test_decay_of_none_is_the_usual_decay(optimizer):
    given = {"lr": 0.01, "wd": 0.05, "dim": 100.0, "grad_norm_sq": 2.0}
    usual, none = to_sphere(optimizer, **given), to_sphere(optimizer, **given, decay=None)
    assert (none.lr, none.momentum, none.notes) == (usual.lr, usual.momentum, usual.notes)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_decay_of_none_is_refused_where_the_usual_decay_is(optimizer):
    with pytest.raises(UsageError, match="with L2 cannot be followed along its radius"):
        to_sphere(optimizer, lr=0.1, wd=0.1, radius=[1.0], decay=None)


def test_lengths_of_the_radius():
    three = to_sphere("sgd", lr=[0.1] * 3, wd=0.1, radius=[1.0, 2.0, 3.0, 4.0])
    assert three.lr.tolist() == to_sphere("sgd", lr=0.1, wd=0.1, radius=[1.0, 2.0, 3.0]).lr.tolist()
    one = to_sphere("sgd", lr=0.1, wd=0.1, radius=2.0, steps=3)
    assert one.lr == pytest.approx([0.1 / 0.99 / 4] * 3)


L2_ALONG = (
    " with L2 cannot be followed along its radius, because its second moment holds the decay; "
    "leave `radius` out for its equilibrium."
)
NO_LAW = (
    "A run with Nesterov momentum or dampening cannot be followed along its radius; leave "
    "`radius` out for its equilibrium."
)


@pytest.mark.parametrize(
    ("optimizer", "arguments", "sentence"),
    [
        ("sgd", {"nesterov": True, "momentum": 0.9}, NO_LAW),
        ("sgd", {"dampening": 0.5, "momentum": 0.9}, NO_LAW),
        ("adam", {}, "A run of `adam`" + L2_ALONG),
        ("rmsprop", {}, "A run of `rmsprop`" + L2_ALONG),
        ("sgd", {"radius": [1.0, 0.0]}, "`radius` must be positive and finite, got [1.0, 0.0]."),
        ("sgd", {"radius": math.nan}, "`radius` must be positive and finite, got nan."),
        ("sgd", {"radius": "r"}, "`radius` must be a number or an array of them, got 'r'."),
        ("sgd", {"lr": [0.1, -0.1]}, "`lr` must be zero or positive and finite, got [0.1, -0.1]."),
        ("sgd", {"lr": 0.0}, "`lr` must be positive and finite, got "),
        ("sgd", {"wd": -1.0}, "`wd` must be zero or positive and finite, got -1.0."),
        ("sgd", {"momentum": 1.0}, "`momentum` must lie in [0, 1), got 1.0."),
        ("adamw", {"wd": 10.0}, "`lr` times `wd` must be below 1, got 1.0."),
        (
            "sgd",
            {"radius": 1.0},
            "`steps` is needed, because neither `lr` nor `wd` has an axis of time.",
        ),
        (
            "sgd",
            {"lr": [0.1] * 3, "radius": [1.0] * 5},
            "`radius` must have one number for each of the 3 steps, or one more at the end; got 5.",
        ),
        (
            "sgd",
            {"radius": [1e-200, 1.0]},
            "The effective learning rate lies outside what float64 can hold. Check the units of "
            "the arguments.",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_refused_in_a_sentence(optimizer, arguments, sentence):
    given = {"lr": 0.1, "wd": 0.1, "radius": [1.0, 2.0]} | arguments
    with pytest.raises(UsageError) as refused:
        to_sphere(optimizer, **given)
    assert str(refused.value).startswith(sentence)


def test_an_unknown_optimizer_is_refused():
    for radius in (None, [1.0]):
        with pytest.raises(UnknownNameError, match=r"^Unknown optimizer 'sdg'"):
            to_sphere("sdg", lr=0.1, wd=0.1, radius=radius)


@pytest.mark.parametrize(
    ("lr", "radius"),
    [([0.1, 0.1], [[1.0, 1.0]] * 2), ([0.1, 0.1], [[1.0], [1.0]]), ([0.1], [1.0, 1.0, 1.0])],
    ids=["square", "column", "longer"],
)
def test_radii_of_another_shape_are_refused(lr, radius):
    with pytest.raises(UsageError, match=r"`radius`.*\.$"):
        to_sphere("sgd", lr=lr, wd=0.1, radius=radius)


@pytest.mark.parametrize(
    ("optimizer", "arguments"),
    [
        ("sgd", {"decay": "l3"}),
        ("adamw", {"decay": "l2"}),
        ("sgd", {"betas": (0.9, 0.99)}),
        ("adamw", {"momentum": 0.9}),
        ("adamw", {"betas": (2.0, 0.9)}),
        ("muon", {"momentum": 1.5}),
    ],
    ids=str,
)
def test_arguments_are_checked_along_a_radius_too(optimizer, arguments):
    with pytest.raises(UsageError, match=r"\.$"):
        to_sphere(optimizer, lr=0.1, wd=0.1, radius=[1.0], **arguments)


@pytest.mark.parametrize(
    ("optimizer", "arguments"),
    [
        ("sgd", {"lr": 1.0, "wd": 1.5, "grad_norm_sq": 1.0}),
        ("sgd", {"lr": 1.0, "wd": 1.0, "grad_norm_sq": 1.0}),
        ("sgd", {"lr": 1.0, "wd": 1.9, "momentum": 0.1, "grad_norm_sq": 1.0}),
        ("sgd", {"lr": 1.0, "wd": 0.5, "momentum": 0.9, "grad_norm_sq": 1.0}),
        ("adamw", {"lr": 1.0, "wd": 1.5, "dim": 10.0}),
        ("adamw", {"lr": 1.0, "wd": 1.0, "dim": 10.0}),
        ("sgd", {"lr": 0.1, "wd": 0.0, "grad_norm_sq": 1.0}),
        ("adamw", {"lr": 1e200, "wd": 1e200, "radius": [1.0]}),
        ("sgd", {"lr": 1e200, "wd": 1e200, "radius": [1.0]}),
        ("sgd", {"lr": 0.1, "wd": 0.0, "radius": [1e-160, 1e160], "momentum": 0.5}),
    ],
    ids=str,
)
def test_decay_that_nothing_on_the_sphere_does_is_refused(optimizer, arguments):
    with pytest.raises(UsageError, match=r"\.$"):
        to_sphere(optimizer, **arguments)
