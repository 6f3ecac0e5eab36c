import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.trials import changed, flat
from torch import nn

from etaeff.records import Trial
from etaeff.studies.data._dataset import Dataset
from etaeff.studies.engine import _train
from etaeff.studies.engine._networks import initial_parameters
from etaeff.studies.engine._optimizers import StackedOptimizer
from etaeff.studies.engine._train import _Stack, schedule_factors, train_stack, training_labels

CLASSES, TRAIN, TEST, BATCH, WIDTH = 4, 120, 300, 10, 6
PER_EPOCH = TRAIN // BATCH


def dataset(train=TRAIN, test=TEST, seed=0):
    """Images in which the row that is the class is brighter, with noise."""
    rng = np.random.default_rng(seed)

    def part(count):
        y = np.arange(count) % CLASSES
        x = rng.standard_normal((count, 1, 4, 4))
        x[np.arange(count), 0, y] += 1.5
        return x.astype(np.float32), y.astype(np.int64)

    return Dataset("toy", CLASSES, *part(train), *part(test), "0" * 64, "")


DATA = dataset()


def trial(**changes):
    common = {
        "data": "toy", "train_size": TRAIN, "batch_size": BATCH, "width": WIDTH,
        "lr": 0.05, "steps": 2 * PER_EPOCH + 5,
    }  # fmt: skip
    return Trial.of(**(common | changes))


def without_wall(results):
    outcomes = [row._replace(wall_seconds=0) for row in results.outcomes]
    return results._replace(outcomes=outcomes)


def of_trial(rows, wanted):
    return [row for row in rows if row.trial == wanted.id]


def train(*trials, data=DATA):
    return without_wall(train_stack(trials, data))


# Schedules


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1.0] * 8),
        ("step", [1.0] * 4 + [0.1] * 2 + [0.01] * 2),
        ("cosine", [math.cos(math.pi * t / 16) ** 2 for t in range(8)]),
    ],
)
def test_a_schedule_is_what_its_name_says(schedule, expected):
    found = schedule_factors(schedule, 8)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 2000])
def test_a_schedule_begins_at_one_and_never_rises(steps):
    for schedule in ("constant", "step", "cosine"):
        factors = schedule_factors(schedule, steps)
        assert factors[0] == 1.0
        assert sorted(factors, reverse=True) == factors
        assert min(factors) > 0


# Labels and weights at the start


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_this_share_of_the_labels_is_drawn_at_random(share):
    data = dataset(train=4000)
    labels = training_labels(trial(train_size=4000, random_labels=share), data)
    assert labels.dtype == np.int64
    # A drawn label is the old one in one of four cases.
    changed = (labels != data.train_y).sum()
    mean = 4000 * share * 3 / 4
    assert abs(changed - mean) <= 5 * math.sqrt(4000 * share * 3 / 16) + 1e-9
    assert set(np.unique(labels)) <= set(range(CLASSES))


def test_labels_that_are_all_random_know_nothing_of_the_old_ones():
    data = dataset(train=4000)
    labels = training_labels(trial(train_size=4000, random_labels=1.0), data)
    table = np.histogram2d(data.train_y, labels, bins=CLASSES)[0]
    # χ² with 9 degrees of freedom is below 28 in 999 of 1000 cases.
    assert ((table - 250) ** 2 / 250).sum() < 28


def test_no_more_labels_change_than_the_share_says():
    # Whichever 30 of the 120 are drawn, at most 30 differ; some of every seed do.
    for seed in range(20):
        labels = training_labels(trial(random_labels=0.25, seed=seed), DATA)
        assert 0 < (labels != DATA.train_y).sum() <= 30


def test_random_labels_depend_on_the_seed_alone_and_leave_the_data_as_they_are():
    before = DATA.train_y.copy()
    first = training_labels(trial(random_labels=0.5, seed=3), DATA)
    again = training_labels(trial(random_labels=0.5, seed=3, lr=1.0, optimizer="adam"), DATA)
    other = training_labels(trial(random_labels=0.5, seed=4), DATA)
    assert (first == again).all()
    assert (first != other).any()
    assert (before == DATA.train_y).all()


def test_more_random_labels_leave_the_smaller_share_drawn():
    few, many = (training_labels(trial(random_labels=s), DATA) for s in (0.2, 0.6))
    assert (few != DATA.train_y).sum() < (many != DATA.train_y).sum()


def first_epoch(**changes):
    """The mean radius and squared gradient of a trial's first epoch of one step."""
    own = trial(steps=1, **changes)
    return [row[3:] for row in train(own).layers]


def test_the_same_seed_starts_at_the_same_weights_whatever_else_differs():
    first = [row[0] for row in first_epoch()]
    for changes in ({"lr": 0.3}, {"wd": 0.1}, {"optimizer": "adam"}, {"random_labels": 0.5}):
        assert [row[0] for row in first_epoch(**changes)] == first
    assert [row[0] for row in first_epoch(seed=1)] != first


def test_the_initial_scale_is_on_the_normalised_weights_and_goes_on_the_sphere():
    one, ten = first_epoch(), first_epoch(init_scale=10.0)
    for a, b in zip(one, ten, strict=True):
        assert b[0] == pytest.approx(10 * a[0], rel=1e-6)  # the radius
        # ḡ does not depend on the scale, so neither head nor gains are another.
        assert b[4] == pytest.approx(a[4], rel=1e-3)
    one, ten = (first_epoch(init_scale=s, sphere=True, lr=0.01) for s in (1.0, 10.0))
    for a, b in zip(one, ten, strict=True):
        assert a[0] == pytest.approx(1.0, rel=1e-6)
        assert b == pytest.approx(a, rel=1e-3)


# A loop of plain torch, for one network


class Reference:
    """Trains one network of torch's own modules and measures it, all written out again."""

    def __init__(self, own, data):
        start = initial_parameters(_Stack([own], data).architecture, own)
        own = self.own = flat(own)
        self.data = data
        self.rng = np.random.default_rng([own.seed, 1])
        conv = own.network == "conv"
        self.weights, modules = {}, [] if conv else [nn.Flatten()]
        strides = iter((1, 2, 1, 2))
        for name, w in start.items():
            if "." in name or name == "head":
                continue
            out, channels = w.shape[:2]
            bias = own.norm in ("weight", "none")
            layer = (
                nn.Conv2d(channels, out, 3, next(strides), 1, bias=bias)
                if conv
                else nn.Linear(channels, out, bias=bias)
            )
            layer.weight.data.copy_(w)
            if bias:
                nn.init.zeros_(layer.bias)
            if own.norm == "weight":
                layer = nn.utils.parametrizations.weight_norm(layer)
                layer.parametrizations.weight.original0.data.fill_(1.0)
                self.weights[name] = layer.parametrizations.weight.original1
            else:
                self.weights[name] = layer.weight
            norm = {
                "batch": nn.BatchNorm2d if conv else nn.BatchNorm1d,
                "layer": lambda n: nn.GroupNorm(1, n),
            }.get(own.norm, lambda n: nn.Identity())(out)
            modules += [layer, norm, nn.ReLU()]
        if conv:
            modules += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        head = nn.Linear(*reversed(start["head"].shape))
        head.weight.data.copy_(start["head"])
        nn.init.zeros_(head.bias)
        self.net = nn.Sequential(*modules, head)
        groups = [{"params": list(self.weights.values()), "weight_decay": own.wd}]
        ids = {id(p) for p in self.weights.values()}
        groups.append({"params": [p for p in self.net.parameters() if id(p) not in ids],
                       "weight_decay": 0.0})  # fmt: skip
        self.optimizer = {
            "sgd": lambda: torch.optim.SGD(groups, lr=own.lr),
            "nesterov": lambda: torch.optim.SGD(groups, lr=own.lr, momentum=0.9, nesterov=True),
            "adam": lambda: torch.optim.Adam(groups, lr=own.lr),
            "adamw": lambda: torch.optim.AdamW(groups, lr=own.lr),
        }[own.optimizer]()

    def blocks(self, w):
        """The norms' blocks as rows: channels, or under layer norm the layer."""
        return w.flatten()[None] if self.own.norm == "layer" else w.flatten(1)

    def project(self):
        for w in self.weights.values():
            rows = self.blocks(w.data)
            w.data.copy_((rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)).view_as(w))

    def run(self):
        """A dict for every epoch."""
        own, done = self.own, 0
        if own.sphere:
            self.project()
        x, y = torch.from_numpy(self.data.train_x), torch.from_numpy(self.data.train_y)
        while done < own.steps:
            order = torch.from_numpy(self.rng.permutation(len(x)))
            losses, measured = [], {name: [] for name in self.weights}
            for batch in order.split(own.batch_size)[: len(x) // own.batch_size]:
                if done == own.steps:
                    break
                losses.append(self.step(x[batch], y[batch], done, measured))
                done += 1
            yield {"step": done, "train_loss": np.mean(losses), **self.test(), "layers": measured}

    def step(self, x, y, done, measured):
        own = self.own
        loss = F.cross_entropy(self.net(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        before = {name: self.blocks(w.detach().clone()).double() for name, w in
                  self.weights.items()}  # fmt: skip
        gradient = {name: self.blocks(w.grad.clone()).double() for name, w in
                    self.weights.items()}  # fmt: skip
        factor = 0.5 * (1 + math.cos(math.pi * done / own.steps)) if (
            own.schedule == "cosine") else 1.0  # fmt: skip
        for group in self.optimizer.param_groups:
            group["lr"] = own.lr * factor
        self.optimizer.step()
        if own.sphere:
            self.project()
        if done % 6 == 0:
            for name, w in self.weights.items():
                a, b = before[name], self.blocks(w.detach()).double()
                r = a.norm(dim=1)
                cosine = (a * b).sum(1) / r / b.norm(dim=1)
                power = 1 if own.optimizer.startswith("adam") else 2
                measured[name].append((
                    r.mean(), (r**4).mean(), own.lr * factor / r.mean() ** power,
                    cosine.clamp(-1, 1).arccos().square().mean(),
                    (r * gradient[name].norm(dim=1)).square().mean(),
                ))  # fmt: skip
        return loss.item()

    @torch.no_grad()
    def test(self):
        self.net.eval()
        out = self.net(torch.from_numpy(self.data.test_x))
        self.net.train()
        y = self.data.test_y
        wrong = sum(int(row.argmax()) != label for row, label in zip(out, y, strict=True))
        loss = F.cross_entropy(out, torch.from_numpy(y)).item()
        return {"test_loss": loss, "test_error": wrong / len(y)}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"wd": 0.05, "schedule": "cosine"},
        {"optimizer": "nesterov", "norm": "layer", "lr": 0.01, "wd": 0.1},
        {"optimizer": "adam", "norm": "weight", "lr": 0.003, "wd": 0.01},
        {"optimizer": "adamw", "lr": 0.003, "wd": 1.0},
        {"norm": "none", "wd": 0.02},
        {"sphere": True, "wd": 0.1, "lr": 0.1},
        {"sphere": True, "norm": "layer", "lr": 0.05},
        {"sphere": True, "norm": "weight", "optimizer": "adam", "lr": 0.005},
        {"network": "conv", "width": 3, "lr": 0.02},
        {"network": "conv", "width": 3, "norm": "none", "lr": 0.02},
    ],
    ids=lambda changes: " ".join(str(v) for v in changes.values()) or "plain",
)
def test_a_trial_is_measured_as_in_a_plain_loop_of_torch(changes):
    own = trial(**changes)
    expected = list(Reference(own, DATA).run())
    results = train(own, trial(**changes, seed=8))
    epochs, layers = of_trial(results.epochs, own), of_trial(results.layers, own)
    assert len(epochs) == len(expected) == 3
    for number, (row, other) in enumerate(zip(epochs, expected, strict=True), 1):
        assert (row.epoch, row.step) == (number, other["step"])
        assert row.train_loss == pytest.approx(other["train_loss"], rel=1e-3)
        assert row.test_loss == pytest.approx(other["test_loss"], rel=2e-3)
        assert row.test_error == pytest.approx(other["test_error"], abs=1.01 / TEST)
        for name, measured in other["layers"].items():
            (found,) = [r for r in layers if (r.epoch, r.layer) == (number, name)]
            r, r4, rate, turned, g = np.mean(np.asarray(measured, dtype=float), axis=0)
            assert found.radius == pytest.approx(r, rel=1e-4)
            assert found.radius_4 == pytest.approx(r4, rel=1e-3)
            assert found.effective_lr == pytest.approx(rate, rel=1e-3)
            assert found.angle == pytest.approx(math.sqrt(turned), rel=1e-2)
            assert found.grad_norm_sq == pytest.approx(g, rel=1e-2)
    # The comparison is of something: training moves these by far more than the tolerance.
    assert epochs[-1].test_loss < epochs[0].test_loss - 0.02
    assert len({row.test_error for row in epochs}) > 1


# Rows


def test_rows_are_one_for_each_epoch_with_the_steps_done():
    results = train(trial(steps=2 * PER_EPOCH + 5), trial(steps=2 * PER_EPOCH + 5, seed=1))
    for own in (trial(), trial(seed=1)):
        epochs = of_trial(results.epochs, own)
        assert [(row.epoch, row.step) for row in epochs] == [(1, 12), (2, 24), (3, 29)]
        layers = [(row.epoch, row.layer) for row in of_trial(results.layers, own)]
        assert layers == [(e, name) for e in (1, 2, 3) for name in ("hidden1", "hidden2")]
        rescalings = {(row.factor, row.eps) for row in of_trial(results.rescalings, own)}
        assert rescalings == {(f, e) for f in (2.0, 0.5, 1000.0) for e in (1e-5, 1e-30)}
    assert [row.trial for row in results.outcomes] == [trial().id, trial(seed=1).id]


def test_the_incomplete_last_batch_of_an_epoch_is_dropped():
    data = dataset(train=125)
    own = trial(train_size=125, steps=24)
    steps = [row.step for row in train(own, data=data).epochs]
    assert steps == [12, 24]


def test_a_run_within_one_epoch_has_one_row():
    assert [row.step for row in train(trial(steps=5)).epochs] == [5]


def test_every_epoch_of_a_network_that_learns_has_its_measures():
    # Three steps to an epoch: every other epoch has none of the steps that are measured.
    own = trial(batch_size=40, steps=9)
    for row in train(own).layers:
        assert None not in row


def test_the_same_trials_give_the_same_rows():
    trials = [trial(seed=seed, wd=0.01) for seed in range(3)]
    assert train(*trials) == train(*trials)


def test_wall_time_is_shared_by_the_stack(monkeypatch):
    clock = iter([100.0, 106.0])
    monkeypatch.setattr(_train.time, "perf_counter", lambda: next(clock))
    outcomes = train_stack([trial(seed=s, steps=1) for s in range(3)], DATA).outcomes
    assert [row.wall_seconds for row in outcomes] == [2.0] * 3


# Divergence


@pytest.mark.parametrize("norm", ["none", "batch", "weight"])
def test_a_trial_that_diverges_changes_no_bit_of_its_neighbours(norm):
    left, right = trial(norm=norm, seed=1), trial(norm=norm, seed=2, wd=0.1)
    well, ill = trial(norm=norm), trial(norm=norm, lr=1e30)
    with_well, with_ill = train(left, well, right), train(left, ill, right)
    for own in (left, right):
        for table in ("outcomes", "epochs", "layers", "rescalings"):
            rows = of_trial(getattr(with_ill, table), own)
            assert rows == of_trial(getattr(with_well, table), own) != []


def test_a_trial_that_diverges_says_when_and_has_nothing_from_then_on():
    fine, ill = trial(norm="none"), trial(norm="none", lr=1e30)
    results = train(fine, ill)
    outcomes = {row.trial: row.diverged_epoch for row in results.outcomes}
    assert outcomes == {fine.id: None, ill.id: 1}
    assert [row.step for row in of_trial(results.epochs, ill)] == [12, 24, 29]
    for rows in (results.epochs, results.layers):
        for row in of_trial(rows, ill):
            assert set(row[3:]) == {None}
        for row in of_trial(rows, fine):
            assert None not in row
    assert {row.change for row in of_trial(results.rescalings, ill)} == {None}
    assert None not in {row.change for row in of_trial(results.rescalings, fine)}


def test_a_trial_that_diverges_late_keeps_the_epochs_before():
    # With ηλ = 4 every weight is multiplied by −3 in a step. Batch Normalization does not mind,
    # until the variance leaves float32 at 3⁴⁰ or so.
    own = trial(lr=0.01, wd=400.0, steps=6 * PER_EPOCH)
    results = train(own)
    when = results.outcomes[0].diverged_epoch
    assert when in (3, 4)
    for row in results.epochs:
        assert set(row[3:]) == {None} if row.epoch >= when else None not in row
    for row in results.layers:
        assert (row.radius is None) == (row.epoch >= when)
        assert all(v is None or math.isfinite(v) for v in row[3:])
    assert {row.change for row in results.rescalings} == {None}


def test_a_network_whose_outputs_are_all_equal_is_not_right():
    stack = _Stack([trial()], DATA)
    stack.parameters["head"].zero_()
    stack.parameters["head.shift"].zero_()
    loss, error = stack.test()
    assert loss.item() == pytest.approx(math.log(CLASSES))
    assert error.item() >= 1 - 1 / CLASSES - 1e-6


def test_the_error_is_the_share_of_wrong_answers():
    own = trial(lr=0.2)
    stack = _Stack([own, trial(seed=1)], DATA)
    list(stack.train())
    _, errors = stack.test()
    for i in range(2):
        h = torch.from_numpy(DATA.test_x).flatten(1)
        for name in ("hidden1", "hidden2"):
            mean, var = (v.view(2, -1)[i] for v in stack.running[name])
            z = (h @ stack.parameters[name][i].T - mean) / (var + 1e-5).sqrt()
            gain, shift = (stack.parameters[f"{name}.{p}"][i] for p in ("gain", "shift"))
            h = (z * gain + shift).clamp(min=0)
        out = h @ stack.parameters["head"][i].T + stack.parameters["head.shift"][i]
        wrong = sum(out[n].argmax().item() != DATA.test_y[n] for n in range(TEST))
        assert errors[i].item() == pytest.approx(wrong / TEST, abs=1e-6)


# The paper's remedy


@pytest.mark.parametrize("norm", ["batch", "weight", "layer"])
@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam"])
def test_on_the_sphere_every_block_ends_at_norm_one(norm, optimizer):
    own = trial(norm=norm, optimizer=optimizer, sphere=True, wd=0.1, lr=0.02, init_scale=3.0)
    stack = _Stack([own, changed(own, seed=1)], DATA)
    for w in (stack.parameters[name] for name in stack.weights):
        assert block_norms(w, norm) == pytest.approx(1.0, rel=1e-6)  # before the first step too
    list(stack.train())
    for name in ("hidden1", "hidden2"):
        assert block_norms(stack.parameters[name], norm) == pytest.approx(1.0, rel=1e-6)
    # Head and gains are not projected.
    assert block_norms(stack.parameters["head"], "batch") != pytest.approx(1.0, rel=1e-2)
    for row in train_stack([own], DATA).layers:
        assert row.radius == pytest.approx(1.0, rel=1e-6)
        assert row.effective_lr == pytest.approx(own.setting.lr, rel=1e-5)


def block_norms(w, norm):
    rows = w.flatten(1) if norm == "layer" else w.flatten(0, 1).flatten(1)
    return np.linalg.norm(rows.double().numpy(), axis=1)


def test_free_weights_are_not_projected():
    assert min(row.radius for row in train(trial(init_scale=3.0)).layers) > 1.5


# Laws


def test_without_decay_the_squared_radius_grows_by_the_squared_step(monkeypatch):
    # r²(t+1) = r²(t) + η²G/r²(t): the layer is one block, so the rows alone must obey it.
    monkeypatch.setattr(_train, "MEASURE_EVERY", 1)
    own = trial(norm="layer", batch_size=TRAIN, steps=30, lr=0.3)
    rows = [row for row in train(own).layers if row.layer == "hidden2"]
    r = np.asarray([row.radius for row in rows])
    g = np.asarray([row.grad_norm_sq for row in rows])
    grown = own.setting.lr**2 * g[:-1] / r[:-1] ** 2
    assert grown.sum() > 1e-3 * r[0] ** 2  # there is something to see
    assert r[1:] ** 2 == pytest.approx(r[:-1] ** 2 + grown, rel=2e-6)


@pytest.mark.parametrize("wd", [0.0, 0.5])
def test_the_law_of_the_radius_is_exact_for_sgd_under_weight_norm_in_float64(wd):
    # a = 1 − ηλ: r² ← a²r² + η²‖g‖², as g ⟂ w.
    own = trial(norm="weight", lr=0.2, wd=wd)
    stack = _Stack([own], DATA)
    stack.train_x = stack.train_x.double()
    stack.parameters = {name: p.double() for name, p in stack.parameters.items()}
    stack.optimizer = StackedOptimizer([own], stack.parameters)
    stack.meters = {}
    for step in range(20):
        batch = torch.arange(10 * (step % 12), 10 * (step % 12) + 10)[None]
        _, gradients = stack.gradients(stack.train_x[batch], stack.train_y.gather(1, batch))
        before = {name: stack.parameters[name][0].clone() for name in stack.weights}
        stack.step(batch, step)
        for name, w in before.items():
            g, after = gradients[name][0], stack.parameters[name][0]
            expected = (1 - 0.2 * wd) ** 2 * (w**2).sum(1) + 0.04 * (g**2).sum(1)
            torch.testing.assert_close((after**2).sum(1), expected, rtol=1e-12, atol=0)
            assert g.abs().max() > 1e-3


def test_outputs_of_normalised_networks_do_not_move_and_others_do():
    for norm, low, high in (
        ("batch", 0, 1e-10), ("layer", 0, 1e-10), ("weight", 0, 1e-10), ("none", 0.1, 1e7)
    ):  # fmt: skip
        rows = train(trial(norm=norm)).rescalings
        for row in rows:
            if row.eps == 1e-30:
                assert low <= row.change <= high, (norm, row)
            elif norm in ("batch", "layer"):
                assert 1e-9 < row.change < 0.05, (norm, row)
