"""What `audit` promises: the model stays as it was, and what the result is good for."""

import json
import logging
import random
import sys
import threading
import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from etaeff import audit
from etaeff.errors import EtaeffError, UnknownNameError, UsageError
from etaeff.symmetry import Audit, DecayKind, NoteKind

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_state_dict_hooks")


def raw(tensor):
    """Every bit of a tensor."""
    flat = tensor.detach().contiguous().reshape(-1)
    return (tensor.dtype, tuple(tensor.shape), flat.view(torch.uint8).numpy().tobytes())


def state(model):
    """All of a model that may not change, and of the world around it."""
    found = {"rng": raw(torch.get_rng_state()), "grad mode": torch.is_grad_enabled()}
    found["default dtype"] = torch.get_default_dtype()
    for name, p in model.named_parameters(remove_duplicate=False):
        grad = None if p.grad is None else (id(p.grad), raw(p.grad))
        found[f"parameter {name}"] = (id(p), p.data_ptr(), raw(p), p.requires_grad, grad)
    for name, module in model.named_modules():
        found[f"mode {name}"] = module.training
        for kind in HOOKS:
            own = getattr(module, kind)
            found[f"{kind} {name}"] = (id(own), list(own.items()))
        for key, buffer in module._buffers.items():
            found[f"buffer {name}.{key}"] = None if buffer is None else raw(buffer)
    return found


def differences(before, after):
    return [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]


def kinds(found):
    """Symmetries without what was measured."""
    return {(s.kind, tuple(sorted(s.exponents.items())), s.degree) for s in found.symmetries}


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def batch(*shape):
    return torch.randn(*(shape or (8, 3)), generator=torch.Generator().manual_seed(1))


class Forward(nn.Module):
    """A linear layer, Batch Normalization, a buffer, and a step of the test's own."""

    def __init__(self, step, buffer=None):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.norm, self.step = nn.Linear(3, 4), nn.BatchNorm1d(4), step
        self.register_buffer("kept", buffer)

    def forward(self, x):
        x = self.norm(self.linear(x))
        found = self.step(self, x)
        return x if found is None else found


def add_in_place(model, x):
    model.kept.add_(x.mean().detach())


def assign(model, x):
    model.kept = model.kept * 0.9 + 0.1 * x.mean(0).detach()


def grow(model, x):
    model.kept = torch.cat([model.kept, x.mean(0).detach()])


def fill(model, x):
    model.kept = x.detach()


def empty(model, x):
    model.kept = None


def lose_the_sign_of_zero(model, x):
    model.kept.add_(0.0)


def divide_weight(model, x):
    with torch.no_grad():
        model.linear.weight.div_(model.linear.weight.norm())


def replace_data(model, x):
    model.linear.weight.data = model.linear.weight.data / 2


def untraceable(step):
    """The same step in a model that looks at its values, and so runs without a graph."""

    def run(model, x):
        if float(x.detach().abs().sum()) > 1e9:
            return -x
        return step(model, x)

    run.__name__ = f"untraceable_{step.__name__}"
    return run


def with_mixed_modes():
    model = nn.Sequential(small(), nn.Dropout(0.5), nn.Sequential(nn.BatchNorm1d(2), nn.ReLU()))
    model.eval()
    model[0][1].train()
    model[2].train()
    model[2][0].eval()
    return model


def with_grads():
    model = small()
    model(batch()).square().sum().backward()
    model[3].bias.grad = None
    model[0].bias.requires_grad_(False)
    return model


def with_hooks():
    model = small()
    model.register_forward_hook(lambda *_: None)
    model[0].register_forward_pre_hook(lambda *_: None)
    model[1].register_forward_hook(lambda module, args, out: out * 2)
    model[3].register_full_backward_hook(lambda *_: None)
    return model


def with_max_norm():
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(9, 4, max_norm=0.1), nn.Flatten(), nn.LayerNorm(12))


def with_spectral_norm():
    return nn.Sequential(parametrizations.spectral_norm(nn.Linear(3, 4)), nn.ReLU())


def with_weight_norm():
    return nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 4)), nn.ReLU())


def with_old_spectral_norm():
    return nn.Sequential(nn.utils.spectral_norm(nn.Linear(3, 4)), nn.ReLU())


MODELS = {
    "mixed modes": with_mixed_modes,
    "gradients": with_grads,
    "hooks": with_hooks,
    "spectral_norm": with_spectral_norm,
    "weight_norm": with_weight_norm,
    "old spectral_norm": with_old_spectral_norm,
    "embedding with max_norm": with_max_norm,
    "in place": lambda: Forward(add_in_place, torch.zeros(4)),
    "assigned": lambda: Forward(assign, torch.zeros(4)),
    "grown": lambda: Forward(grow, torch.zeros(4)),
    "filled": lambda: Forward(fill, None),
    "emptied": lambda: Forward(empty, torch.ones(4)),
    "negative zero": lambda: Forward(lose_the_sign_of_zero, torch.tensor([-0.0, 0.0])),
    "NaN in a buffer": lambda: Forward(assign, torch.full((4,), torch.nan)),
    "weight written": lambda: Forward(divide_weight),
    "weight data replaced": lambda: Forward(replace_data),
    "in place, untraceable": lambda: Forward(untraceable(add_in_place), torch.zeros(4)),
    "assigned, untraceable": lambda: Forward(untraceable(assign), torch.zeros(4)),
    "negative zero, untraceable": lambda: Forward(
        untraceable(lose_the_sign_of_zero), torch.tensor([-0.0, 0.0])
    ),
    "grown, untraceable": lambda: Forward(untraceable(grow), torch.zeros(4)),
    "weight written, untraceable": lambda: Forward(untraceable(divide_weight)),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_left_as_it_was(name, training):
    torch.manual_seed(0)
    model = MODELS[name]()
    torch.manual_seed(0)
    twin = MODELS[name]()
    x = torch.arange(9).reshape(3, 3) if "embedding" in name else batch()
    before = state(model)
    audit(model, (x,), training=training)
    assert differences(before, state(model)) == []
    found = []
    for own in (model, twin):
        torch.manual_seed(1)
        found.append(raw(own(x)))
    assert found[0] == found[1]


def test_the_world_is_left_as_it_was():
    def world():
        logs, threads = logging.root.manager.disable, torch.get_num_threads()
        return logs, threads, list(warnings.filters), sys.stderr, torch.is_grad_enabled()

    before = world()
    audit(small(), (batch(),))
    audit(Forward(untraceable(lambda model, x: None)), (batch(),))
    with pytest.raises(UsageError):
        audit(small(), (batch(8, 5),))
    assert world() == before


@pytest.mark.parametrize("name", ["assigned", "assigned, untraceable", "in place"])
def test_buffers_are_the_same_objects(name):
    model = MODELS[name]()
    before = dict(model.named_buffers())
    audit(model, (batch(),))
    after = dict(model.named_buffers())
    assert [key for key in before if before[key] is not after[key]] == []


class Boom(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, x):
        raise self.error


def failing(error):
    return nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5), with_grads(), Boom(error))


@pytest.mark.parametrize(
    ("model", "args"),
    [
        (failing(RuntimeError("no")), (batch(),)),
        (with_mixed_modes(), (batch(8, 5),)),
        (with_grads(), ()),
        (with_grads(), (batch(), batch())),
        (with_spectral_norm(), ("text",)),
        (with_grads(), batch()),
    ],
)
def test_the_model_is_left_as_it_was_on_errors(model, args):
    model[0].eval()
    before = state(model)
    with pytest.raises(UsageError):
        audit(model, args)
    assert differences(before, state(model)) == []


def test_the_model_is_left_as_it_was_with_nan_in_a_parameter():
    model = with_grads()
    model[1].weight.data[2] = torch.nan
    model[2].eval()
    before = state(model)
    assert "NaN" in audit(model, (batch(),)).parameters["1.weight"].why
    assert differences(before, state(model)) == []


def test_the_model_is_left_as_it_was_on_an_interrupt():
    model = failing(KeyboardInterrupt())
    model[0].eval()
    before = state(model)
    with pytest.raises(KeyboardInterrupt):
        audit(model, (batch(),))
    assert differences(before, state(model)) == []


class StochasticDepth(nn.Module):
    """Leaves out its branch by chance, sample by sample."""

    def __init__(self, draw):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.norm, self.draw = nn.Linear(3, 3), nn.BatchNorm1d(3), draw

    def forward(self, x):
        return x + self.norm(self.linear(x)) * self.draw(x)


DRAWS = {
    "torch": lambda x: (torch.rand(len(x), 1) < 0.5).to(x.dtype),
    "torch, untraceable": lambda x: float(torch.rand(()).item() < 0.9) + (0 if x.any() else 1),
    "python": lambda x: float(random.random() < 0.9),
    "numpy": lambda x: float(np.random.rand() < 0.9),  # noqa: NPY002
    "dropout": lambda x: nn.functional.dropout(torch.ones_like(x), 0.3),
}


@pytest.mark.parametrize("draw", DRAWS)
def test_random_states_are_left_as_they_were(draw):
    model = StochasticDepth(DRAWS[draw])
    before = random.getstate(), np.random.get_state()[1].tobytes()  # noqa: NPY002
    torch_before = torch.get_rng_state()
    audit(model, (batch(),))
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == before  # noqa: NPY002


@pytest.mark.parametrize("draw", ["torch", "torch, untraceable", "dropout"])
def test_the_same_seed_gives_the_same_audit(draw):
    model, found = StochasticDepth(DRAWS[draw]), []
    for global_seed in (1, 2, 3):
        torch.manual_seed(global_seed)
        found.append(audit(model, (batch(),), seed=5).to_dict())
    assert found[0] == found[1] == found[2]
    assert {"linear.weight"} in [set(b["names"]) for b in found[0]["blocks"]]


def test_another_seed_measures_anew_and_finds_the_same():
    one, other = (audit(small(), (batch(),), seed=seed) for seed in (1, 2))
    assert kinds(one) == kinds(other)
    assert one.blocks == other.blocks
    assert [s.defect for s in one.symmetries] != [s.defect for s in other.symmetries]


def test_a_backward_pass_that_was_begun_can_be_ended():
    model = nn.Sequential(small(), parametrizations.spectral_norm(nn.Linear(2, 2)))
    loss = model(batch()).square().sum()
    audit(model, (batch(),))
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("step", [lambda m, x: None, untraceable(lambda m, x: None)])
def test_hooks_of_parameters_are_not_called(step):
    model, called = Forward(step), []
    for parameter in model.parameters():
        parameter.register_hook(lambda grad: called.append("gradient"))
        parameter.register_post_accumulate_grad_hook(lambda p: called.append("accumulated"))
    audit(model, (batch(),))
    assert called == []
    model(batch()).sum().backward()
    assert len(called) == 8


def test_inputs_get_no_gradient_and_keep_their_bits():
    model, x = Forward(lambda model, x: None), batch().requires_grad_()
    before = raw(x)
    audit(model, (x,))
    assert x.grad is None
    assert raw(x) == before


@pytest.mark.parametrize("seen", [False, True])
def test_inputs_that_the_model_writes_to_keep_their_bits(seen):
    class Writes(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, x):
            x.mul_(2)
            return self.linear(x) if not seen or x.sum() > -1e9 else x

    x = batch()
    before = raw(x)
    audit(Writes(), (x,))
    assert raw(x) == before


def test_what_cannot_be_copied_is_said():
    model = Forward(untraceable(lambda model, x: None))
    model.lock = threading.Lock()
    before = state(model)
    found = audit(model, (batch(),))
    assert found.notes
    assert differences(before, state(model)) == []


def test_rank_symmetries_blocks_and_shapes():
    model = small()
    found = audit(model, (batch(),))
    assert kinds(found) == {
        ("scale-invariant", (("0.weight", 1),), 0),
        ("inert", (("0.bias", 1),), 0),
        ("rescaling", (("1.bias", 1), ("1.weight", 1), ("3.weight", -1)), 0),
        ("homogeneous", (("3.bias", 1), ("3.weight", 1)), 1),
    }
    assert found.rank == 3
    assert [(b.names, b.axis, b.count) for b in found.blocks] == [(("0.weight",), 0, 4)]
    assert found.shapes == {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert list(found.parameters) == list(found.shapes)
    assert found.notes == ()
    assert all(s.proved for s in found.symmetries)


def test_in_eval_mode_nothing_before_batch_norm_is_invariant():
    found = audit(small().train(), (batch(),), training=False)
    assert not [s for s in found.symmetries if s.kind in ("scale-invariant", "inert")]
    assert found.blocks == ()
    assert found.parameters["0.weight"].group == "other"


def test_without_a_measurement_there_are_no_defects():
    found, measured = (audit(small(), (batch(),), measure=m) for m in (False, True))
    assert all(s.defect is None and s.own_defect is None for s in found.symmetries)
    assert [(b.names, b.count) for b in found.blocks] == [(("0.weight",), 1)]
    assert kinds(found) == kinds(measured)
    assert all(s.defect < 1e-12 for s in measured.symmetries if s.kind in ("rescaling",))


class DividedByItem(nn.Linear):
    """A layer whose norm is divided out as a number of Python's."""

    def forward(self, x):
        return super().forward(x) / self.weight.norm().item()


def test_discover_says_how_much_the_proof_missed():
    found, plain = (audit(small(), (batch(),), discover=d) for d in (True, False))
    assert [note.kind for note in found.notes] == [NoteKind.NONE_MISSED]
    assert "allow 3 independent" in found.notes[0]
    assert kinds(found) == kinds(plain)
    assert found.effect_of_decay("3.bias").startswith("Decay regularises")
    assert plain.effect_of_decay("3.bias").startswith("Decay has an effect that is not known")
    assert [note.kind for note in plain.notes] == [NoteKind.NOT_KNOWN]


@pytest.mark.parametrize(
    "layers",
    [
        # At every shaken weight ReLU6 is ReLU, which can be scaled.
        (nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU6(), nn.Linear(4, 2)),
        # Autograd sees no gradient of the norm, and takes it for a constant.
        (DividedByItem(3, 4), nn.Linear(4, 2)),
    ],
)
def test_discover_tells_a_gradient_that_is_blind_from_a_symmetry(layers):
    torch.manual_seed(0)
    found = audit(nn.Sequential(*layers), (batch(),), discover=True)
    divided = isinstance(layers[0], DividedByItem)  # weight and bias are scaled together then
    assert [set(s.exponents) for s in found.symmetries if not s.proved] == (
        [{"0.weight", "0.bias"}] if divided else []
    )


def test_discover_without_a_measurement_is_not_ignored():
    try:
        text = " ".join(audit(small(), (batch(),), measure=False, discover=True).notes)
    except UsageError as error:
        text = str(error)
    assert "discover" in text


def test_unknown_names_are_refused_with_a_suggestion():
    found = audit(small(), (batch(),), measure=False)
    with pytest.raises(UnknownNameError, match=r"Did you mean '0\.weight'\?"):
        found.effect_of_decay("0.weigth")
    with pytest.raises(UnknownNameError):
        found.effect_of_decay(None)
    assert found.effect_of_decay("0.bias").startswith("Decay does nothing (inert): ")


@pytest.mark.parametrize("measure", [True, False])
def test_an_audit_goes_through_json(measure):
    found = audit(small(), (batch(),), measure=measure, discover=measure)
    text = json.dumps(found.to_dict(), allow_nan=False)
    back = Audit.from_dict(json.loads(text))
    assert back == found
    assert back.to_dict() == found.to_dict() == json.loads(text)
    with pytest.raises(UsageError, match="model"):
        back.param_groups(lr=0.1, weight_decay=0.1, mode=None)


@pytest.mark.parametrize("values", [{}, [], None, {"model": "Net"}, "text"])
def test_reading_what_is_no_audit_is_refused(values):
    with pytest.raises(EtaeffError):
        Audit.from_dict(values)


def test_it_prints_in_a_line_and_as_a_table():
    found = audit(small(), (batch(),))
    assert "\n" not in repr(found)
    assert len(repr(found)) <= 200
    assert max(map(len, str(found).splitlines())) <= 100


class Tied(nn.Module):
    """Two names for one matrix, one module under two names, an inert bias, a frozen gain."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.norm = nn.Embedding(8, 4), nn.BatchNorm1d(4)
        self.linear, self.last = nn.Linear(4, 4), nn.Linear(4, 4)
        self.again = self.linear
        self.head = nn.Linear(4, 8)
        self.head.weight = self.embed.weight
        self.norm.weight.requires_grad_(False)

    def forward(self, ids):
        x = self.embed(ids)
        x = self.again(torch.relu(self.linear(x)))
        return self.head(self.norm(self.last(x)))


BUILT = {
    "plain": (small, batch()),
    "tied": (Tied, torch.arange(8)),
    "frozen": (lambda: small().requires_grad_(False), batch()),
}


@pytest.mark.parametrize("name", BUILT)
def test_groups_hold_every_parameter_once(name):
    model, x = BUILT[name][0](), BUILT[name][1]
    found = audit(model, (x,), measure=False)
    assert list(found.parameters) == [name for name, _ in model.named_parameters()]
    groups = found.param_groups(lr=0.1, weight_decay=0.2, mode=None)
    assert all(type(group) is dict for group in groups)
    held = Counter(id(p) for group in groups for p in group["params"])
    assert held == Counter(id(p) for p in model.parameters() if p.requires_grad)


OPTIMIZERS = [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adafactor]


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("name", ["plain", "tied"])
def test_optimizers_take_the_groups_and_leave_what_is_inert(name, kind):
    model, x = BUILT[name][0](), BUILT[name][1]
    found = audit(model, (x,))
    optimizer = kind(found.param_groups(lr=0.1, weight_decay=0.5, mode=None))
    for parameter in model.parameters():
        parameter.data.add_(0.1)
        parameter.grad = torch.zeros_like(parameter)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer.step()
    same = {n for n, p in model.named_parameters() if torch.equal(p, before[n])}
    inert = {n for n, report in found.parameters.items() if report.group == "inert"}
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert inert == {"0.bias" if name == "plain" else "last.bias"}
    assert same == inert | frozen
    assert {g["lr"] for g in optimizer.param_groups} == {0.1}


def test_optimizers_train_with_the_groups():
    model = small()
    groups = audit(model, (batch(),)).param_groups(lr=0.1, weight_decay=0.0, mode=None)
    optimizer = torch.optim.SGD(groups)
    before = model[0].weight.detach().clone()
    model(batch()).square().sum().backward()
    optimizer.step()
    torch.testing.assert_close(model[0].weight, before - 0.1 * model[0].weight.grad)


def test_a_model_without_parameters_has_no_groups():
    found = audit(nn.ReLU(), (batch(),))
    assert (found.rank, found.symmetries, found.blocks, found.shapes) == (0, (), (), {})
    assert found.param_groups(lr=0.1, weight_decay=0.1, mode=None) == []


def test_parameters_that_were_replaced_are_not_given_to_an_optimizer():
    model = small()
    found = audit(model, (batch(),))
    model[3].weight = nn.Parameter(model[3].weight.detach().clone())
    with pytest.raises(UsageError, match=r"another parameter than the audited one at '3\.weight'"):
        found.param_groups(lr=0.1, weight_decay=0.1)


class Leaves(nn.Linear):
    """It leaves things behind whenever it runs."""

    def __init__(self):
        super().__init__(3, 2)
        self.calls, self.seen, self.cache = 0, [], {}
        self.chance = torch.Generator().manual_seed(3)

    def forward(self, x):
        self.calls += 1
        self.seen.append(x.shape)
        self.cache["x"] = x
        self.fresh = 1.0
        self.register_forward_hook(lambda *_: None)
        if float(x.sum()) > 1e9:  # which cannot be exported
            return x
        return super().forward(x + 0 * torch.rand(3, generator=self.chance))


def test_what_a_model_leaves_behind_is_taken_away():
    model = Leaves()
    before = state(model)
    audit(model, (batch(),))
    assert differences(before, state(model)) == []
    assert (model.calls, model.seen, model.cache) == (0, [], {})
    assert not hasattr(model, "fresh")
    same = torch.Generator().manual_seed(3)
    assert torch.equal(torch.rand(9, generator=model.chance), torch.rand(9, generator=same))


class DropsBranches(nn.Module):
    """Residual branches that are dropped by chance, for each example."""

    def __init__(self, drop):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Linear(6, 6, bias=False) for _ in range(6))
        self.norms = nn.ModuleList(nn.LayerNorm(6) for _ in range(6))
        self.drop = drop

    def forward(self, x):
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = x + self.drop(norm(layer(x)), x.new_empty(len(x), 1))
        return x


@pytest.mark.parametrize(
    "drop",
    [
        lambda y, mask: y * mask.bernoulli_(0.1) / 0.1,
        lambda y, mask: y * torch.bernoulli(mask, 0.1) / 0.1,
        lambda y, mask: y / 0.1 * (0.1 + torch.rand(mask.shape)).floor_(),
    ],
)
def test_branches_that_are_dropped_by_chance_have_an_effect(drop):
    found = audit(DropsBranches(drop), (torch.randn(3, 6),))
    assert not [s for s in found.symmetries if s.kind == "inert"]
    assert [b.names for b in found.blocks] == [(f"layers.{i}.weight",) for i in range(6)]


class OneExpertEach(nn.Module):
    """Each of three tokens goes to one of many experts; most get none."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(8, 64, bias=False)
        self.experts = nn.ModuleList(nn.Linear(8, 4) for _ in range(64))

    def forward(self, x):
        share, chosen = self.router(x).softmax(-1).max(-1, keepdim=True)
        every = torch.stack([expert(x) for expert in self.experts], 1)
        return every.gather(1, chosen[..., None].expand(-1, 1, 4))[:, 0] * share


def test_what_no_sample_reached_is_no_proof_and_goes_on_to_decay():
    found = audit(OneExpertEach(), (torch.randn(3, 8),))
    (note,) = [note for note in found.notes if note.kind is NoteKind.NOT_REACHED]
    assert not [s for s in found.symmetries if s.kind == "inert"]
    assert {found.parameters[name].effect for name in note.names} == {DecayKind.NOT_REACHED}
    assert not any(set(note.names) & set(block.names) for block in found.blocks)
    decayed = found.param_groups(lr=0.1, weight_decay=0.1, mode=None)
    assert all(group["weight_decay"] == 0.1 for group in decayed)


def test_numbers_that_leave_a_log_are_noticed_in_noise():
    class Leaving(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.v = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            x = x + 0.1 * torch.randn_like(x)
            if float(x.sum()) > 1e9:
                return x
            return self.v(x) * float(self.w.weight.detach().numpy().sum())

    found = audit(Leaving(), (batch(),))
    assert not any(s.proved for s in found.symmetries if "w.weight" in s.exponents)


@pytest.mark.parametrize("measure", [True, False])
def test_gradients_inside_a_model_are_no_constants(measure):
    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.v = nn.Parameter(torch.rand(3, 2)), nn.Parameter(torch.rand(3, 2))

        def forward(self, x):
            return torch.func.grad(lambda w: (x @ w).tanh().sum())(self.w) * self.v

    found = audit(Inner(), (batch(),), measure=measure)
    assert found.tracer == "dispatch log"
    assert found.rank == 0  # w is inside a tanh, and the output is linear in v
    assert [dict(s.exponents) for s in found.symmetries] == [{"v": 1}]


class Branching(nn.Module):
    """A branch on values, which torch.export does not follow: the operators are logged."""

    def __init__(self, norm):
        super().__init__()
        self.linear, self.norm, self.head = nn.Linear(3, 12), norm, nn.Linear(12, 2)

    def forward(self, x):
        h = self.linear(x)
        if float(h.detach().sum()) > 1e9:
            h = -h
        return self.head(self.norm(h).relu())


@pytest.mark.parametrize(
    ("norm", "count"),
    [
        (nn.LayerNorm(12), 1),
        (nn.LayerNorm(12, eps=1e-4), 1),
        (nn.GroupNorm(2, 12), 2),
        (nn.GroupNorm(4, 12), 4),
        (nn.BatchNorm1d(12), 12),
    ],
    ids=["layer", "layer, other", "two groups", "four groups", "batch"],
)
def test_an_epsilon_that_a_log_leaves_out_is_taken_away_too(norm, count):
    """A log keeps no argument that is at its default, and ε often is."""
    torch.manual_seed(0)
    found = audit(Branching(norm), (torch.randn(16, 3),))
    assert any("logged as they ran" in note for note in found.notes)
    assert not any("denies" in note for note in found.notes)
    (block,) = [block for block in found.blocks if "linear.weight" in block.names]
    assert block.count == count
