import math

import numpy as np
import pytest
import torch

from etaeff.records import OPTIMIZERS, Trial
from etaeff.studies.engine._optimizers import RULES, StackedOptimizer

STEPS = 60
SHAPES = {
    "hidden1": (4, 6),
    "hidden1.gain": (4,),
    "hidden1.shift": (4,),
    "hidden2": (4, 4),
    "hidden2.gain": (4,),
    "hidden2.shift": (4,),
    "head": (3, 4),
    "head.shift": (3,),
}
# What one network's penalty can act on, and what that means by name.
WEIGHTS, LAST_GAIN = {"hidden1", "hidden2"}, {"hidden2.gain"}
GAINS_AND_SHIFTS = {name for name in SHAPES if "hidden" in name and "." in name}
PENALTIES = {
    "weights": ({}, WEIGHTS),
    "left out": ({"decay_weights": False}, set()),
    "head too": ({"decay_head": True}, WEIGHTS | {"head"}),
    "head alone": ({"decay_head": True, "decay_weights": False}, {"head"}),
    "all gains": ({"decay_gains": "all"}, WEIGHTS | GAINS_AND_SHIFTS),
    "last gain": ({"decay_gains": "last"}, WEIGHTS | LAST_GAIN),
    "everything": (
        {"decay_gains": "all", "decay_head": True},
        WEIGHTS | GAINS_AND_SHIFTS | {"head"},
    ),
}


def trial(optimizer, **changes):
    common = {"data": "digits", "train_size": 100, "steps": STEPS, "optimizer": optimizer}
    return Trial(**(common | {"lr": 0.01} | changes))


def of_torch(optimizer, groups):
    """torch's own optimiser, one tensor at a time, with its own penalty."""
    kinds = {
        "sgd": lambda: torch.optim.SGD(groups, foreach=False),
        "heavy-ball": lambda: torch.optim.SGD(groups, momentum=0.9, foreach=False),
        "nesterov": lambda: torch.optim.SGD(groups, momentum=0.9, nesterov=True, foreach=False),
        "rmsprop": lambda: torch.optim.RMSprop(groups, foreach=False),
        "adam": lambda: torch.optim.Adam(groups, foreach=False),
        "adamw": lambda: torch.optim.AdamW(groups, foreach=False),
    }
    return kinds[optimizer]()


def factor(schedule, step):
    """Written out again: the schedules as `records.Trial` words them."""
    if schedule == "step":
        return 1.0 if step < STEPS / 2 else 0.1 if step < 3 * STEPS / 4 else 0.01
    return 0.5 * (1 + math.cos(math.pi * step / STEPS)) if schedule == "cosine" else 1.0


class Problem:
    """Noisy quadratics, one for each network: gradient A·p + noise, in float64."""

    def __init__(self, networks):
        rng = np.random.default_rng(0)

        def draw(*shape):
            return torch.from_numpy(rng.standard_normal(shape))

        self.start = {name: draw(networks, *shape) for name, shape in SHAPES.items()}
        self.curvature = {n: draw(networks, *s).abs() + 0.1 for n, s in SHAPES.items()}
        self.noise = {name: draw(STEPS, networks, *shape) for name, shape in SHAPES.items()}

    def gradient(self, name, p, step, i=slice(None)):
        return self.curvature[name][i] * p + self.noise[name][step][i]

    def stacked(self, trials):
        """The parameters after every step of the code under test."""
        parameters = {name: p.clone() for name, p in self.start.items()}
        optimizer = StackedOptimizer(trials, parameters)
        path = []
        for step in range(STEPS):
            gradients = [self.gradient(name, p, step) for name, p in parameters.items()]
            optimizer.step(gradients, [factor(t.schedule, step) for t in trials])
            path.append({name: p.clone() for name, p in parameters.items()})
        return path

    def alone(self, trial, i, decayed):
        """The same of network i under torch.optim, with the λ of `trial` on `decayed`."""
        leaves = {name: p[i].clone().requires_grad_() for name, p in self.start.items()}
        groups = [
            {
                "params": [leaf],
                "lr": trial.lr if name in WEIGHTS or trial.lr_rest is None else trial.lr_rest,
                "weight_decay": trial.wd if name in decayed else 0.0,
            }
            for name, leaf in leaves.items()
        ]
        optimizer = of_torch(trial.optimizer, groups)
        rates = [group["lr"] for group in groups]
        path = []
        for step in range(STEPS):
            for name, leaf in leaves.items():
                leaf.grad = self.gradient(name, leaf.detach(), step, i)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor(trial.schedule, step)
            optimizer.step()
            path.append({name: leaf.detach().clone() for name, leaf in leaves.items()})
        return path


def assert_each_is_of_torch(trials, decayed):
    problem = Problem(len(trials))
    stacked = problem.stacked(trials)
    for i, (one, names) in enumerate(zip(trials, decayed, strict=True)):
        for ours, theirs in zip(stacked, problem.alone(one, i, names), strict=True):
            for name, p in theirs.items():
                largest = p.abs().max().item()
                torch.testing.assert_close(
                    ours[name][i], p, rtol=1e-12, atol=1e-12 * largest,
                    msg=lambda m, n=name, i=i: f"{n} of network {i}: {m}",
                )  # fmt: skip


def test_every_optimizer_has_a_rule():
    assert tuple(RULES) == OPTIMIZERS


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_stack_steps_as_torch_does_each_network_with_its_own_rate_decay_and_schedule(optimizer):
    trials = [
        trial(optimizer, lr=lr, wd=wd, schedule=schedule)
        for lr, wd, schedule in (
            (0.01, 0.0, "constant"),
            (0.03, 0.1, "constant"),
            (0.02, 0.3, "step"),
            (0.05, 1.0, "cosine"),
        )
    ]
    assert_each_is_of_torch(trials, [WEIGHTS] * 4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_penalty_acts_where_the_trial_says_within_one_stack(optimizer):
    trials = [trial(optimizer, wd=0.3, **changes) for changes, _ in PENALTIES.values()]
    assert_each_is_of_torch(trials, [names for _, names in PENALTIES.values()])


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_the_penalty_acts_where_the_trial_says_alone(optimizer, penalty):
    changes, names = PENALTIES[penalty]
    assert_each_is_of_torch([trial(optimizer, wd=0.3, **changes)], [names])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_head_gains_and_shifts_have_a_rate_of_their_own(optimizer):
    trials = [
        trial(optimizer, lr=0.05, lr_rest=0.004, wd=0.2, decay_gains="all", decay_head=True),
        trial(optimizer, lr=0.004, lr_rest=0.05, wd=0.2, schedule="cosine"),
        trial(optimizer, lr=0.02, wd=0.2),
    ]
    assert_each_is_of_torch(trials, [PENALTIES["everything"][1], WEIGHTS, WEIGHTS])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_network_that_diverges_changes_no_bit_of_its_neighbours(optimizer):
    def run(middle):
        trials = [trial(optimizer, wd=0.1), middle, trial(optimizer, lr=0.03)]
        problem = Problem(3)
        for name in SHAPES:
            problem.noise[name][10:, 1] *= 1.0 if middle.lr == 0.02 else torch.nan
        return problem.stacked(trials)[-1]

    well, ill = run(trial(optimizer, lr=0.02)), run(trial(optimizer, lr=0.021))
    for name in SHAPES:
        assert ill[name][1].isnan().all()
        assert torch.equal(ill[name][[0, 2]], well[name][[0, 2]])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_leaves_the_gradients_as_they_were(optimizer):
    problem = Problem(2)
    parameters = {name: p.clone() for name, p in problem.start.items()}
    stepped = StackedOptimizer([trial(optimizer, wd=0.5)] * 2, parameters)
    for step in range(3):
        gradients = [problem.gradient(name, p, step) for name, p in parameters.items()]
        copies = [gradient.clone() for gradient in gradients]
        stepped.step(gradients, [1.0, 0.5])
        assert all(torch.equal(a, b) for a, b in zip(gradients, copies, strict=True))
