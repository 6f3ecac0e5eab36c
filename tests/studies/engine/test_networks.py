import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from etaeff.records import Trial
from etaeff.studies.engine._architecture import Architecture
from etaeff.studies.engine._networks import initial_parameters, initial_running, logits

EXACT = {"rtol": 1e-11, "atol": 1e-12}
STACK, EXAMPLES, CLASSES = 3, 6, 5
EVERY_NETWORK = [
    (n, norm) for n in ("mlp", "conv") for norm in ("batch", "layer", "weight", "none")
]
EACH = pytest.mark.parametrize(("network", "norm"), EVERY_NETWORK)


def architecture(network, norm):
    return Architecture(network, norm, (2, 6, 6), 4, CLASSES)


def random_parameters(arch, seed=0):
    """Of a whole stack, in float64; no gain or shift is left at its neutral value."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return torch.from_numpy(rng.standard_normal((STACK, *shape)))

    parameters = {}
    for name, shape in arch.weight_shapes.items():
        parameters[name] = normal(*shape) / np.sqrt(np.prod(shape[1:]))
        if arch.norm != "none":
            parameters[f"{name}.gain"] = 1 + 0.3 * normal(shape[0])
        parameters[f"{name}.shift"] = 0.3 * normal(shape[0])
    parameters["head"] = normal(*arch.head_shape)
    parameters["head.shift"] = normal(arch.classes)
    return parameters


def random_running(arch, seed=9):
    rng = np.random.default_rng(seed)
    return {
        name: (
            torch.from_numpy(0.2 * rng.standard_normal(STACK * shape[0])),
            torch.from_numpy(rng.uniform(0.5, 2.0, STACK * shape[0])),
        )
        for name, shape in arch.weight_shapes.items()
    }


def inputs(seed=1, examples=EXAMPLES):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((STACK, examples, 2, 6, 6)))


class OneNetwork(nn.Module):
    """Network i of the stack, of torch's own modules, with its parameters copied."""

    def __init__(self, arch, parameters, running, i):
        super().__init__()
        self.dense = arch.network == "mlp"
        self.products, self.norms, self.leaves = nn.ModuleList(), nn.ModuleList(), {}
        for number, (name, shape) in enumerate(arch.weight_shapes.items()):
            own = {
                part: parameters[f"{name}{part}"][i]
                for part in ("", ".gain", ".shift")
                if f"{name}{part}" in parameters
            }
            self.add(arch, name, shape, 1 + number % 2, own, running and running[name], i)
        self.head = nn.Linear(*reversed(arch.head_shape)).double()
        self.head.weight.data.copy_(parameters["head"][i])
        self.head.bias.data.copy_(parameters["head.shift"][i])
        self.leaves |= {"head": self.head.weight, "head.shift": self.head.bias}

    def add(self, arch, name, shape, stride, own, running, i):
        out, channels = shape[:2]
        bias = arch.norm in ("weight", "none")  # the others have none but β
        if self.dense:
            product = nn.Linear(channels, out, bias=bias)
        else:
            product = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=bias)
        norm = nn.Identity()
        if arch.norm == "weight":
            product = nn.utils.parametrizations.weight_norm(product)
            gain, weight = (
                product.parametrizations.weight.original0,
                product.parametrizations.weight.original1,
            )
            self.leaves |= {name: weight, f"{name}.gain": gain, f"{name}.shift": product.bias}
        elif arch.norm == "none":
            self.leaves |= {name: product.weight, f"{name}.shift": product.bias}
        else:
            norm = {
                ("batch", True): lambda: nn.BatchNorm1d(out),
                ("batch", False): lambda: nn.BatchNorm2d(out),
                ("layer", True): lambda: nn.LayerNorm(out),
                ("layer", False): lambda: nn.GroupNorm(1, out),
            }[arch.norm, self.dense]()
            self.leaves |= {
                name: product.weight, f"{name}.gain": norm.weight, f"{name}.shift": norm.bias,
            }  # fmt: skip
            if running:
                norm.double()
                norm.running_mean.copy_(running[0].view(STACK, -1)[i])
                norm.running_var.copy_(running[1].view(STACK, -1)[i])
        self.products.append(product.double())
        self.norms.append(norm.double())
        for part, value in own.items():
            leaf = self.leaves[f"{name}{part}"]
            leaf.data.copy_(value.view(leaf.shape))

    def forward(self, x):
        h = x.flatten(1) if self.dense else x
        for product, norm in zip(self.products, self.norms, strict=True):
            h = torch.relu(norm(product(h)))
        return self.head(h if self.dense else h.mean(dim=(2, 3)))


@EACH
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_a_stack_is_its_networks_built_one_by_one(network, norm, training):
    arch = architecture(network, norm)
    parameters, x = random_parameters(arch), inputs()
    y = torch.from_numpy(np.random.default_rng(2).integers(CLASSES, size=(STACK, EXAMPLES)))
    running = random_running(arch) if norm == "batch" else {}
    single = [OneNetwork(arch, parameters, running, i).train(training) for i in range(STACK)]
    leaves = {name: p.clone().requires_grad_() for name, p in parameters.items()}
    out = logits(arch, leaves, x, running=running, training=training)
    loss = F.cross_entropy(out, y, reduction="none").mean(dim=1).sum()
    gradients = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
    assert out.shape == (STACK, CLASSES, EXAMPLES)
    for i, one in enumerate(single):
        own = one(x[i])
        torch.testing.assert_close(out[i].T, own, **EXACT)
        F.cross_entropy(own, y[i]).backward()
        assert set(one.leaves) == set(parameters)
        for name, leaf in one.leaves.items():
            torch.testing.assert_close(gradients[name][i], leaf.grad.view_as(leaf).view(
                gradients[name][i].shape), msg=lambda m, n=name: f"{n}: {m}", **EXACT)  # fmt: skip


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_running_statistics_are_those_of_every_network(network):
    arch = architecture(network, "batch")
    parameters, running = random_parameters(arch), random_running(arch)
    single = [OneNetwork(arch, parameters, running, i) for i in range(STACK)]
    for seed in (1, 2, 3):
        x = inputs(seed)
        logits(arch, parameters, x, running=running)
        for i, one in enumerate(single):
            one(x[i])
    before = {name: tuple(v.clone() for v in pair) for name, pair in running.items()}
    for number, (mean, var) in enumerate(running.values()):
        for i, one in enumerate(single):
            own = one.norms[number]
            torch.testing.assert_close(mean.view(STACK, -1)[i], own.running_mean, **EXACT)
            torch.testing.assert_close(var.view(STACK, -1)[i], own.running_var, **EXACT)
    logits(arch, parameters, inputs(4), running=running, training=False)
    for name, pair in running.items():
        assert all(torch.equal(a, b) for a, b in zip(pair, before[name], strict=True))


@EACH
def test_nothing_flows_between_the_networks_of_a_stack(network, norm):
    arch = architecture(network, norm)
    leaves = {name: p.requires_grad_() for name, p in random_parameters(arch).items()}
    x = inputs().requires_grad_()
    out = logits(arch, leaves, x)
    for i in range(STACK):
        total = (out[i] ** 2).sum()
        for gradient in torch.autograd.grad(total, [*leaves.values(), x], retain_graph=True):
            others = [j for j in range(STACK) if j != i]
            assert gradient[others].abs().max() == 0
            assert gradient[i].abs().max() > 0


@EACH
def test_a_network_of_nan_leaves_its_neighbours_as_they_are(network, norm):
    arch = architecture(network, norm)
    parameters, x = random_parameters(arch), inputs()
    before = logits(arch, parameters, x)
    for p in parameters.values():
        p[1] = torch.nan
    after = logits(arch, parameters, x)
    assert after[1].isnan().all()
    assert torch.equal(after[[0, 2]], before[[0, 2]])


@EACH
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_one_input_for_all_is_the_same_input_for_each(network, norm, training):
    arch = architecture(network, norm)
    parameters, x = random_parameters(arch), inputs()[0]
    each, shared = (
        logits(
            arch, parameters, batch, training=training,
            running=random_running(arch) if norm == "batch" else None,
        )
        for batch in (x.expand(STACK, *x.shape), x)
    )  # fmt: skip
    torch.testing.assert_close(shared, each, **EXACT)


@EACH
def test_examples_do_not_see_each_other_in_evaluation(network, norm):
    arch = architecture(network, norm)
    parameters, x = random_parameters(arch), inputs()
    running = random_running(arch) if norm == "batch" else None
    together = logits(arch, parameters, x, running=running, training=False)
    for example in range(EXAMPLES):
        alone = logits(arch, parameters, x[:, [example]], running=running, training=False)
        torch.testing.assert_close(together[..., [example]], alone, **EXACT)


@settings(max_examples=20)
@given(st.sampled_from(EVERY_NETWORK), st.floats(1e-2, 1e2), st.integers(0, 99))
def test_only_networks_without_norm_see_the_scale_of_their_weights(which, scale, seed):
    arch = architecture(*which)
    parameters, x = random_parameters(arch, seed), inputs(seed)
    scaled = {k: v * scale if k in arch.weight_shapes else v for k, v in parameters.items()}
    one, other = (logits(arch, p, x, eps=1e-30) for p in (parameters, scaled))
    if arch.norm != "none":
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)
    elif not 0.99 < scale < 1.01:
        assert (one - other).abs().max() > 1e-4


def trial(**changes):
    common = {"data": "digits", "train_size": 100, "lr": 0.1, "steps": 1}
    return Trial.of(**(common | changes))


def test_initial_weights_have_the_variance_of_he_and_gains_are_one():
    arch = Architecture("conv", "batch", (3, 8, 8), 64, 10)
    parameters = initial_parameters(arch, trial(network="conv", init_scale=3.0))
    for name, shape in arch.weight_shapes.items():
        fan_in = shape[1] * 9
        count = np.prod(shape)
        found = parameters[name].double()
        assert parameters[name].dtype == torch.float32
        assert tuple(parameters[name].shape) == shape
        # Five standard errors of the mean and of the variance.
        std = 3 * (2 / fan_in) ** 0.5
        assert abs(found.mean()) < 5 * std / count**0.5
        assert found.var().item() == pytest.approx(std**2, rel=5 * (2 / count) ** 0.5)
        assert torch.equal(parameters[f"{name}.gain"], torch.ones(shape[0]))
        assert torch.equal(parameters[f"{name}.shift"], torch.zeros(shape[0]))
    head = parameters["head"].double()
    assert head.var().item() == pytest.approx(1 / 256, rel=5 * (2 / head.numel()) ** 0.5)
    assert torch.equal(parameters["head.shift"], torch.zeros(10))


def test_initial_weights_depend_on_the_seed_alone():
    arch = Architecture("mlp", "batch", (1, 8, 8), 16, 10)
    first = initial_parameters(arch, trial(seed=3))
    for changes in (
        {"lr": 1.0}, {"wd": 0.1}, {"optimizer": "adam"}, {"random_labels": 0.5},
        {"schedule": "cosine"}, {"steps": 7}, {"decay_gains": "all"}, {"sphere": True},
    ):  # fmt: skip
        again = initial_parameters(arch, trial(seed=3, **changes))
        assert all(torch.equal(first[name], again[name]) for name in first)
    other = initial_parameters(arch, trial(seed=4))
    assert not torch.equal(first["hidden1"], other["hidden1"])
    assert not torch.equal(first["head"], other["head"])


def test_every_norm_starts_from_the_same_weights():
    drawn = [
        initial_parameters(Architecture("mlp", norm, (1, 8, 8), 16, 10), trial(norm=norm))
        for norm in ("batch", "layer", "weight", "none")
    ]
    for name in ("hidden1", "hidden2", "head"):
        assert all(torch.equal(p[name], drawn[0][name]) for p in drawn)
    assert [name for name in drawn[3] if name.endswith("gain")] == []


def test_the_initial_scale_is_on_the_normalised_weights_alone():
    arch = Architecture("mlp", "batch", (1, 8, 8), 16, 10)
    one, ten = (initial_parameters(arch, trial(init_scale=s)) for s in (1.0, 10.0))
    for name in one:
        factor = 10 if name in arch.weight_shapes else 1
        torch.testing.assert_close(ten[name], factor * one[name], rtol=1e-6, atol=0)


def test_running_statistics_begin_at_mean_0_and_variance_1():
    running = initial_running(architecture("conv", "batch"), STACK)
    assert {name: len(mean) for name, (mean, _) in running.items()} == {
        "conv1": 12, "conv2": 24, "conv3": 24, "conv4": 48,
    }  # fmt: skip
    for mean, var in running.values():
        assert torch.equal(mean, torch.zeros(len(mean)))
        assert torch.equal(var, torch.ones(len(mean)))
    assert initial_running(architecture("conv", "layer"), STACK) == {}
