import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import optim

from etaeff.convert import from_trajectory
from etaeff.errors import UnknownNameError, UsageError
from etaeff.theory import lr_schedule, update_norm

STEPS = 420
LR = lr_schedule("cosine", lr=0.06, steps=STEPS, warmup=20)
WD = np.linspace(0.03, 0.01, STEPS)
HEAD_LR = 0.05
KINDS = ("sgd", "rmsprop", "adam", "adamw", "lion", "muon", "normalized")


def pieces(model):
    """The two normalised weights, each with the axis that its norms are taken along."""
    return (model.first, 1), (model.second, 0)


def radii(model):
    return torch.cat([w.detach().norm(dim=axis) for w, axis in pieces(model)]).numpy()


def scale(model, factors):
    for i, (w, axis) in enumerate(pieces(model)):
        w.data *= torch.as_tensor(factors[16 * i : 16 * i + 16]).unsqueeze(axis)


class Blockwise(optim.SGD):
    """SGD, or normalised gradients, with a rate and decay for each of the 32 pieces.

    rates: a function from the step and the 32 radii to rate and decay.
    """

    def __init__(self, model, rates, *, unit=False, sphere=False):
        super().__init__([model.head], lr=HEAD_LR)
        self.model, self.rates, self.unit, self.sphere = model, rates, unit, sphere
        self.recorded = []

    def zero_grad(self):
        self.model.zero_grad()

    @torch.no_grad()
    def step(self):
        super().step()
        own = radii(self.model)
        lr, wd = self.rates(len(self.recorded), own)
        self.recorded.append(own)
        for i, (w, axis) in enumerate(pieces(self.model)):
            here = slice(16 * i, 16 * i + 16)
            rate = torch.as_tensor(np.broadcast_to(lr, 32)[here].copy()).unsqueeze(axis)
            update = w.grad / w.grad.norm(dim=axis, keepdim=True) if self.unit else w.grad
            w *= 1 - rate * wd
            w -= rate * update
            if self.sphere:
                w /= w.norm(dim=axis, keepdim=True)


@pytest.fixture
def train(start):
    """A function that trains: from the rates, and the factors of the initial weights."""

    def train(rates, factors=None, **kind):
        run = start(lambda named: None)
        if factors is not None:
            scale(run.model, factors)
        run.optimizer = Blockwise(run.model, rates, **kind)
        return run, run.train(STEPS)

    return train


@pytest.fixture
def record(train):
    """A run with decay, its losses and its radii."""

    def record(lr, **kind):
        run, losses = train(lambda t, own: (lr[t], WD[t]), **kind)
        recorded = np.array(run.optimizer.recorded)
        assert np.ptp(recorded, axis=0).min() > 0.01  # the radius does move
        return run, losses, recorded

    return record


@pytest.mark.usefixtures("double_on_one_thread")
@pytest.mark.parametrize("kind", ["sgd", "normalized"])
def test_free_run_with_the_recorded_effective_rate_takes_its_steps(train, record, distance, kind):
    # Hoffer et al.'s correction per channel, from weights of any scale.
    unit, lr = kind == "normalized", LR / (10 if kind == "normalized" else 1)
    recorded_run, losses, recorded = record(lr, unit=unit)

    def rates(t, own):
        given = {"lr": [lr[t]], "wd": [WD[t]], "radius": recorded[t : t + 1]}
        return from_trajectory(kind, kind, **given, target_radius=own)[0], 0.0

    factors = np.exp(np.random.default_rng(0).uniform(-1, 1, 32))
    run, found = train(rates, factors, unit=unit)
    # Measured: at most 4e-15.
    assert distance(run.directions(), recorded_run.directions()) < 1e-12
    assert distance(found, losses) < 1e-12
    assert np.all(np.diff(run.optimizer.recorded, axis=0) > 0)  # it only grows, without decay


@pytest.mark.usefixtures("double_on_one_thread")
@pytest.mark.parametrize("kind", ["sgd", "normalized"])
def test_sphere_with_the_recorded_effective_rate_takes_its_steps(train, record, distance, kind):
    unit, lr = kind == "normalized", LR / (10 if kind == "normalized" else 1)
    recorded_run, losses, recorded = record(lr, unit=unit)
    schedule = from_trajectory(kind, kind, lr=lr, wd=WD, radius=recorded)
    assert schedule.shape == (STEPS, 32)
    run, found = train(lambda t, own: (schedule[t], 0.0), 1 / recorded[0], unit=unit, sphere=True)
    assert distance(run.directions(), recorded_run.directions()) < 1e-12
    assert distance(found, losses) < 1e-12


@pytest.mark.usefixtures("double_on_one_thread")
def test_free_run_with_the_recorded_rate_itself_goes_elsewhere(train, record, distance):
    recorded_run, _, _ = record(LR)
    run, _ = train(lambda t, own: (LR[t], 0.0))
    assert distance(run.directions(), recorded_run.directions()) > 0.01


@pytest.mark.usefixtures("double_on_one_thread")
@pytest.mark.parametrize(("source", "target"), [("sgd", "normalized"), ("normalized", "sgd")])
def test_steps_of_another_optimizer_are_as_long(train, record, source, target):
    # With the gradient's norm measured at every step there is nothing left to average over.
    unit, lr = source == "normalized", LR / (10 if source == "normalized" else 1)
    _, _, recorded = record(lr, unit=unit)
    x = np.random.default_rng(0).uniform(0.5, 2.0, (2, 3))
    radius, own = recorded[:2, :3], recorded[5:7, :3]
    given = {"lr": lr[:2], "wd": WD[:2], "radius": radius, "target_radius": own}
    found = from_trajectory(source, target, **given, grad_norm_sq=x)
    length = {"sgd": lambda r: np.sqrt(x) / r, "normalized": lambda r: np.ones_like(r)}
    before = lr[:2, None] / (1 - lr[:2] * WD[:2])[:, None] * length[source](radius) / radius
    after = found * length[target](own) / own
    assert after == pytest.approx(before, rel=1e-13)


C, G, MU = 1e4, 3.0, 0.6
LENGTHS = {
    # optimiser: its arguments, the power of the radius, the length of its update
    "sgd": ({"momentum": MU}, 2, math.sqrt(G / (1 - MU**2))),
    "rmsprop": (
        {"alpha": 1 - 1e-9, "momentum": MU, "decay": "decoupled"},
        1,
        math.sqrt(C / (1 - MU**2)),
    ),
    "adamw": ({"betas": (MU, 1 - 1e-9)}, 1, math.sqrt(C * (1 - MU) / (1 + MU))),
    "lion": ({}, 1, math.sqrt(C)),
    "normalized": ({"momentum": MU}, 1, 1.0),
}


@pytest.mark.parametrize("target", LENGTHS)
@pytest.mark.parametrize("source", LENGTHS)
def test_lengths_of_steps_are_those_of_the_closed_forms(source, target):
    (own, power, length), (others, other_power, other_length) = LENGTHS[source], LENGTHS[target]
    found = from_trajectory(
        source, target, lr=[0.1, 0.2], wd=[0.0, 0.5], radius=[2.0, 3.0], target_radius=[5.0, 7.0],
        source_arguments=own, target_arguments=others, dim=C, grad_norm_sq=G,
    )  # fmt: skip
    for i, (lr, wd, radius, other) in enumerate([(0.1, 0.0, 2.0, 5.0), (0.2, 0.5, 3.0, 7.0)]):
        before = lr / (1 - lr * wd) / radius**power * length
        assert found[i] / other**other_power * other_length == pytest.approx(before, rel=1e-7)


def test_muon_has_the_length_of_its_matrix():
    shape = {"shape": (64, 256)}
    found = from_trajectory(
        "muon", "normalized", lr=0.1, wd=0.0, radius=[2.0], source_arguments=shape
    )
    assert found == pytest.approx([0.05 * float(update_norm("muon", **shape))])


RADIUS = st.floats(0.01, 100)
ARGUMENTS = {
    "muon": {"shape": (8, 16)},
    "sgd": {"momentum": 0.9},
    "adam": {"decay": "decoupled"},
    "rmsprop": {"decay": "decoupled"},
}


@given(
    st.sampled_from(KINDS), st.sampled_from(KINDS),
    st.lists(
        st.tuples(st.floats(1e-4, 10), st.floats(0, 0.99), RADIUS, RADIUS),
        min_size=1, max_size=20,
    ),
)  # fmt: skip
def test_replaying_the_replay_is_the_identity(source, target, steps):
    lr, share, radius, own = np.array(steps).T
    wd = share / lr
    block = {"dim": 100.0, "grad_norm_sq": 2.0}
    first, second = ARGUMENTS.get(source), ARGUMENTS.get(target)
    there = from_trajectory(
        source, target, lr=lr, wd=wd, radius=radius, target_radius=own,
        source_arguments=first, target_arguments=second, **block,
    )  # fmt: skip
    back = from_trajectory(
        target, source, lr=there, wd=0.0, radius=own, target_radius=radius,
        source_arguments=second, target_arguments=first, **block,
    )  # fmt: skip
    assert back * (1 - lr * wd) == pytest.approx(lr, rel=1e-12)


def test_blocks_are_further_axes():
    radius = np.arange(1.0, 25.0).reshape(2, 3, 4)
    found = from_trajectory("sgd", "sgd", lr=[0.1, 0.2], wd=[0.0, 2.5], radius=radius)
    assert found.shape == (2, 3, 4)
    assert found[0] == pytest.approx(0.1 / radius[0] ** 2, rel=1e-14)
    assert found[1] == pytest.approx(0.4 / radius[1] ** 2, rel=1e-14)
    own = from_trajectory("sgd", "sgd", lr=0.1, wd=0.0, radius=radius, target_radius=radius[0])
    assert own[0] == pytest.approx(np.full((3, 4), 0.1), rel=1e-14)


def test_what_sets_both_norms_need_not_be_known():
    given = {"lr": 0.1, "wd": 0.0, "radius": [2.0, 1.0]}
    # The two norms are both in proportion to √C, or both to √G.
    found = from_trajectory("adamw", "lion", **given)
    assert found == pytest.approx(from_trajectory("adamw", "lion", **given, dim=77.0), rel=1e-14)
    arguments = {"source_arguments": {"momentum": 0.6}, "target_arguments": {"momentum": 0.0}}
    found = from_trajectory("sgd", "sgd", **given, **arguments)
    assert found == pytest.approx([0.1 / 4 / 0.8, 0.1 / 0.8], rel=1e-14)


def test_torch_s_defaults_may_be_spelt_out():
    given = {"lr": 0.1, "wd": 0.0, "radius": [2.0, 1.0]}
    found = from_trajectory("sgd", "sgd", **given, source_arguments={"momentum": 0.0})
    assert found == pytest.approx([0.025, 0.1], rel=1e-14)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"radius": 1.0},
            "`radius` must have an axis of time: ‖w‖ before each recorded step.",
        ),
        ({"radius": [1.0, 0.0]}, "`radius` must be positive and finite, got [1.0, 0.0]."),
        ({"radius": [math.nan]}, "`radius` must be positive and finite, got [nan]."),
        ({"target_radius": 0.0}, "`target_radius` must be positive and finite, got 0.0."),
        ({"target_radius": "r"}, "`target_radius` must be a number or an array of them, got 'r'."),
        ({"lr": -0.1}, "`lr` must be zero or positive and finite, got -0.1."),
        ({"wd": -0.1}, "`wd` must be zero or positive and finite, got -0.1."),
        ({"wd": 10.0}, "`lr` times `wd` must be below 1, got 1.0."),
        (
            {"lr": [0.1] * 3},
            "`steps` and the lengths of `lr` and `wd` must be the same and not zero, got [2, 3].",
        ),
        (
            {"target_radius": [1.0, 2.0, 3.0]},
            "The shapes do not broadcast against each other: `radius` (2,), `target_radius` (3,).",
        ),
        ({"target": "adamw", "dim": 4.0}, "`grad_norm_sq` is needed for the update of `sgd`."),
        ({"target": "adamw", "grad_norm_sq": 4.0}, "`dim` is needed for the update of `adamw`."),
        (
            {"target": "normalized", "grad_norm_sq": -1.0},
            "`grad_norm_sq` must be positive and finite, got -1.0.",
        ),
        (
            {"target": "normalized", "grad_norm_sq": 1.0, "target_arguments": {"betas": (0, 0)}},
            "`normalized` has no argument `betas`; it takes `momentum`.",
        ),
        (
            {"target": "muon", "grad_norm_sq": 1.0},
            "`shape`, (rows, columns) of the matrix, is needed for `muon`.",
        ),
        (
            {"radius": [1e-200, 1.0]},
            "The effective learning rate lies outside what float64 can hold. Check the units of "
            "the arguments.",
        ),
        (
            {"target_radius": 1e200},
            "The learning rate lies outside what float64 can hold. Check the units of the "
            "arguments.",
        ),
        (
            {"target_radius": 1e-200},
            "The learning rate lies outside what float64 can hold. Check the units of the "
            "arguments.",
        ),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(arguments, sentence):
    given = {"source": "sgd", "target": "sgd", "lr": 0.1, "wd": 0.0, "radius": [1.0, 2.0]}
    given |= arguments
    with pytest.raises(UsageError) as refused:
        from_trajectory(given.pop("source"), given.pop("target"), **given)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    "arguments",
    [
        {"lr": 0.0},
        {"lr": [0.1, 0.0]},
        {"lr": 1e200, "wd": 1e200},
        {"radius": []},
        {"source_arguments": {"momentum": 2.0}, "target_arguments": {"momentum": 2.0}},
        {"source_arguments": {"betas": (0, 0)}, "target_arguments": {"betas": (0, 0)}},
    ],
    ids=str,
)
def test_other_bad_arguments_are_refused_too(arguments):
    with pytest.raises(UsageError, match=r"\.$"):
        from_trajectory("sgd", "sgd", **{"lr": 0.1, "wd": 0.0, "radius": [1.0, 2.0]} | arguments)


def test_momenta_may_be_arrays():
    momentum = {"momentum": np.array([0.9, 0.5])}
    found = from_trajectory(
        "sgd", "sgd", lr=0.1, wd=0.0, radius=[[1.0, 2.0]],
        source_arguments=momentum, target_arguments={"momentum": np.array([0.9, 0.5])},
    )  # fmt: skip
    assert found == pytest.approx(np.array([[0.1, 0.025]]), rel=1e-14)


@pytest.mark.parametrize(("source", "target"), [("sdg", "sgd"), ("sgd", "sdg"), ("sdg", "sdg")])
def test_unknown_optimizers_are_refused(source, target):
    with pytest.raises(UnknownNameError, match=r"^Unknown optimizer 'sdg'\."):
        from_trajectory(source, target, lr=0.1, wd=0.0, radius=[1.0], grad_norm_sq=1.0)
