import math

import numpy as np
import pytest
import torch
from support.trials import flat

from etaeff.records import OPTIMIZERS, Trial, setting_of
from etaeff.studies.engine._optimizers import StackedOptimizer, torch_optimizer
from etaeff.studies.engine._stacks import UNSTACKABLE
from etaeff.theory.settings import OPTIMIZERS as KNOWN

STEPS = 60
# Settings that are not among those of the paper.
OPEN = (
    "sgd momentum=0.8 dampening=0.3",
    "rmsprop momentum=0.5 alpha=0.9",
    "adam betas=0.8,0.95",
    "adamw betas=0.8,0.95",
)
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
    return Trial.of(**(common | {"lr": 0.01} | changes))


def of_torch(optimizer, groups):
    """torch's own optimiser, one tensor at a time, with its own penalty."""
    kinds = {
        "sgd momentum=0.8 dampening=0.3": lambda: torch.optim.SGD(
            groups, momentum=0.8, dampening=0.3, foreach=False
        ),
        "rmsprop momentum=0.5 alpha=0.9": lambda: torch.optim.RMSprop(
            groups, momentum=0.5, alpha=0.9, foreach=False
        ),
        "adam betas=0.8,0.95": lambda: torch.optim.Adam(groups, betas=(0.8, 0.95), foreach=False),
        "adamw betas=0.8,0.95": lambda: torch.optim.AdamW(groups, betas=(0.8, 0.95), foreach=False),
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
            optimizer.step(gradients, [factor(t.arm.schedule, step) for t in trials])
            path.append({name: p.clone() for name, p in parameters.items()})
        return path

    def alone(self, trial, i, decayed):
        """The same of network i under torch.optim, with the λ of `trial` on `decayed`."""
        one = flat(trial)
        leaves = {name: p[i].clone().requires_grad_() for name, p in self.start.items()}
        groups = [
            {
                "params": [leaf],
                "lr": one.lr if name in WEIGHTS or one.lr_rest is None else one.lr_rest,
                "weight_decay": one.wd if name in decayed else 0.0,
            }
            for name, leaf in leaves.items()
        ]
        optimizer = of_torch(one.optimizer, groups)
        rates = [group["lr"] for group in groups]
        path = []
        for step in range(STEPS):
            for name, leaf in leaves.items():
                leaf.grad = self.gradient(name, leaf.detach(), step, i)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor(one.schedule, step)
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


@pytest.mark.parametrize("name", KNOWN)
def test_every_optimizer_that_theory_knows_steps_as_torch_has_it_or_is_refused(name):
    tensors = [torch.zeros(2, 4, 6, dtype=torch.float64)]
    kinds = [getattr(torch.optim, kind, None) for kind in KNOWN[name].classes]
    if name in UNSTACKABLE:
        for kind in filter(None, kinds):
            with pytest.raises(ValueError, match="2D"):
                kind(tensors)
        return
    ours, theirs = torch_optimizer(setting_of(name, lr=0.1), tensors), [tensors[0].clone()]
    # As torch's own, at twice the rate: what is used here is linear in it.
    twice = kinds[0](theirs, lr=2.0, weight_decay=0.0, foreach=True)
    noise = torch.randn(5, *tensors[0].shape, dtype=torch.float64, generator=torch.manual_seed(0))
    for gradient in noise:
        tensors[0].grad, theirs[0].grad = gradient.clone(), gradient.clone()
        ours.step()
        twice.step()
        torch.testing.assert_close(theirs[0], 2 * tensors[0], rtol=1e-12, atol=0)


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, *OPEN])
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
            problem.noise[name][10:, 1] *= 1.0 if middle.setting.lr == 0.02 else torch.nan
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
