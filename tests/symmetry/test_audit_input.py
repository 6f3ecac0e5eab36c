"""What `audit` does with models and arguments that are unusual or wrong."""

import json
import logging
import warnings
from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.nn.parallel import DistributedDataParallel

from etaeff import audit
from etaeff.errors import UsageError
from etaeff.symmetry import NoteKind


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def batch(*shape):
    return torch.randn(*(shape or (8, 3)), generator=torch.Generator().manual_seed(1))


def kinds(found):
    """Symmetries without what was measured."""
    return {(s.kind, tuple(sorted(s.exponents.items())), s.degree) for s in found.symmetries}


def groups(found):
    return {name: report.group for name, report in found.parameters.items()}


def refusal(model, args=None, *words, **options):
    """The sentence with which it is refused; it holds all `words`."""
    with pytest.raises(UsageError) as caught:
        audit(model, (batch(),) if args is None else args, **options)
    text = str(caught.value)
    assert text.strip().endswith((".", "!", "?")) or ": " in text
    assert "\n" not in text
    missing = [word for word in words if word.lower() not in text.lower()]
    assert not missing, text
    return text


class Net(nn.Module):
    """A weight before Batch Normalization; `end` makes the outputs of what comes out."""

    def __init__(self, end=lambda x: x, begin=lambda x: x):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
        self.begin, self.end = begin, end

    def forward(self, x):
        return self.end(self.norm(self.linear(self.begin(x))))


NET = {
    ("scale-invariant", (("linear.weight", 1),), 0),
    ("inert", (("linear.bias", 1),), 0),
    ("homogeneous", (("norm.bias", 1), ("norm.weight", 1)), 1),
}


class Holder(nn.Module):
    """A parameter of any kind beside a linear layer."""

    def __init__(self, value, use=lambda x, p: x):
        super().__init__()
        self.linear, self.use = nn.Linear(3, 2), use
        self.own = nn.Parameter(value, requires_grad=value.is_floating_point())

    def forward(self, x):
        return self.use(self.linear(x), self.own)


def test_a_failing_model_is_framed_with_class_shapes_and_its_own_error():
    text = refusal(small(), (batch(8, 5),), "Sequential", "8, 5", "float32", "mat1 and mat2")
    assert text.count("RuntimeError") <= 1
    refusal(small(), (), "Sequential", "input")
    refusal(small(), (batch(), batch()), "Sequential")
    refusal(small(), (batch(),), "Sequential", "mask", kwargs={"mask": batch(2, 7)})
    refusal(small(), ("text",), "Sequential", "text")
    refusal(small(), ({"x": batch()},), "Sequential", "8, 3")


def test_the_error_of_the_model_is_the_cause():
    class Boom(nn.Module):
        def forward(self, x):
            raise KeyError("first\nsecond")

    with pytest.raises(UsageError, match=r"Boom.*KeyError") as caught:
        audit(Boom(), (batch(),))
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    "model", [None, 3, "net", nn.Linear, lambda x: x, [nn.Linear(3, 2)], torch.zeros(3)]
)
def test_what_is_no_module_is_refused(model):
    refusal(model, None, "module")


@pytest.mark.parametrize("args", [batch(), "text", 3, None, {"input": batch()}])
def test_args_that_are_no_tuple_are_refused(args):
    with pytest.raises(UsageError, match="tuple"):
        audit(small(), args)


def test_args_may_be_a_list():
    assert kinds(audit(small(), [batch()])) == kinds(audit(small(), (batch(),)))


@pytest.mark.parametrize("kwargs", [[("input", 1)], "text", 3, batch()])
def test_kwargs_that_are_no_dict_of_names_are_refused(kwargs):
    refusal(small(), (), "kwargs", kwargs=kwargs)
    refusal(small(), (), "string", kwargs={1: batch()})


def test_kwargs_are_passed_by_name():
    assert kinds(audit(small(), kwargs={"input": batch()})) == kinds(audit(small(), (batch(),)))


@pytest.mark.parametrize("seed", ["a", 1.5, None, 2**70])
def test_a_seed_that_is_none_is_refused(seed):
    refusal(small(), None, "seed", seed=seed)


@pytest.mark.parametrize("measure", [True, False])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_of_a_parameter_that_is_not_finite_nothing_is_known(bad, measure):
    model = small()
    model[1].weight.data[1] = bad
    found = audit(model, (batch(),), measure=measure)
    assert found.parameters["1.weight"].effect == "has an effect that is not known"
    assert "NaN or infinity" in found.parameters["1.weight"].why
    others = {kind for kind in kinds(audit(small(), (batch(),), measure=False)) if kind[2] == 0}
    without = {kind for kind in others if "1.weight" not in dict(kind[1])}
    assert {kind for kind in kinds(found) if kind[2] == 0} == without


def not_silent(found, truth):
    """What came of numbers that are not finite: said, and no claim that is wrong."""
    json.dumps(found.to_dict(), allow_nan=False)
    assert [n for n in found.notes if "NaN" in n or "nan" in n or "finite" in n or "infin" in n]
    assert kinds(found) == truth


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_inputs_that_are_not_finite_are_no_evidence(bad):
    model, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), batch()
    x[0, 0] = bad
    truth = kinds(audit(model, (batch(),)))
    try:
        found = audit(model, (x,))
    except UsageError as error:
        assert "finite" in str(error) or "NaN" in str(error)  # noqa: PT017
    else:
        not_silent(found, truth)


@pytest.mark.parametrize("training", [True, False])
def test_buffers_that_are_not_finite_are_no_evidence(training):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    # Without a measurement: as long as the running mean is zero, samples know one symmetry more.
    truth = kinds(audit(model, (batch(),), training=training, measure=training))
    model[1].running_mean.fill_(torch.nan)
    try:
        found = audit(model, (batch(),), training=training)
    except UsageError as error:
        assert "1.running_mean" in str(error)  # noqa: PT017
    else:
        if training:  # the running mean is not used
            assert kinds(found) == truth
        else:
            not_silent(found, truth)


class Root(nn.Module):
    """A positive weight under a root: some of many, shaken, are below zero."""

    def __init__(self, size, looks):
        super().__init__()
        self.linear, self.gain = nn.Linear(3, size), nn.Parameter(torch.ones(size))
        self.looks = looks

    def forward(self, x):
        if self.looks and float(x.detach().sum()) > 1e9:
            return -x
        return torch.tanh(self.linear(x) * self.gain.sqrt())


@pytest.mark.parametrize("looks", [False, True])
def test_a_measurement_that_is_not_finite_claims_nothing(looks):
    torch.manual_seed(0)
    found = audit(Root(5000, looks), (batch(),))
    json.dumps(found.to_dict(), allow_nan=False)
    assert set(groups(found).values()) == {"other"}
    assert found.blocks == ()
    # The gain under its root against the weight and its bias, if the graph is known.
    assert found.rank == len([s for s in found.symmetries if s.proved and s.kind == "rescaling"])
    assert looks or found.rank == 1
    told = [n for n in found.notes if "NaN" in n or "finite" in n]
    assert told or all(0 < s.defect <= 1e-9 for s in found.symmetries)


def test_outputs_that_are_not_finite_are_said():
    model = Net(lambda x: torch.exp(torch.exp(1e3 * x.abs() + 1e3)))
    found = audit(model, (batch(),))
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.notes
    assert groups(found)["norm.weight"] == "other"
    assert groups(found)["norm.bias"] == "other"


class Block(nn.Module):
    """A residual layer whose last gain begins at zero."""

    def __init__(self, zero):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.linear, self.norm = nn.Linear(3, 4), nn.Linear(4, 4), nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 2)
        if zero:
            nn.init.zeros_(self.norm.weight)

    def forward(self, x):
        x = self.stem(x)
        return self.head(x + self.norm(self.linear(x)))


def test_a_branch_that_begins_at_zero_is_audited_as_any_other():
    zero, one = (audit(Block(begins), (batch(),)) for begins in (True, False))
    assert kinds(zero) == kinds(one)
    assert zero.blocks == one.blocks
    assert groups(zero) == groups(one)
    assert ("linear.weight",) in [b.names for b in zero.blocks]


def test_a_weight_of_zeros_before_batch_norm_is_invariant():
    model = small()
    nn.init.zeros_(model[0].weight)
    nn.init.zeros_(model[0].bias)
    found, plain = audit(model, (batch(),)), audit(small(), (batch(),))
    assert kinds(found) == kinds(plain)
    assert found.blocks == plain.blocks
    assert all(s.defect <= 1e-9 for s in found.symmetries if s.kind != "homogeneous" and s.defect)
    assert not model[0].weight.any()


def test_one_channel_of_zeros_is_cut_like_the_others():
    model = small()
    model[0].weight.data[2] = 0.0
    assert audit(model, (batch(),)).blocks == audit(small(), (batch(),)).blocks


@pytest.mark.parametrize("shape", [(0,), (0, 2), (3, 0)])
@pytest.mark.parametrize("measure", [True, False])
def test_parameters_without_entries_are_listed(shape, measure):
    model = Holder(torch.empty(shape), lambda x, p: x + p.sum())
    found = audit(model, (batch(),), measure=measure)
    assert found.shapes == {"own": shape, "linear.weight": (2, 3), "linear.bias": (2,)}
    assert all("own" not in b.names for b in found.blocks)
    assert "own" in str(found)
    json.dumps(found.to_dict(), allow_nan=False)
    held = [p for g in found.param_groups(lr=0.1, weight_decay=0.1) for p in g["params"]]
    assert len(held) == 3


def test_a_batch_without_rows_is_no_evidence():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    try:
        found = audit(model, (torch.empty(0, 3),))
    except UsageError as error:
        assert "0, 3" in str(error)  # noqa: PT017
    else:
        assert set(groups(found).values()) == {"other"}
        assert found.notes


def test_a_normalisation_that_leaves_only_signs_is_not_denied():
    found = audit(small(), (batch(2, 3),))  # two rows: Batch Normalization makes them ±1
    assert groups(found)["0.weight"] in ("scale-invariant", "inert")
    assert not [n for n in found.notes if "denies" in n]


@pytest.mark.parametrize("lazy", [nn.LazyLinear(4), nn.LazyBatchNorm1d()])
def test_lazy_modules_are_refused(lazy):
    text = refusal(nn.Sequential(nn.Linear(3, 3), lazy), None, "1.weight")
    assert "initial" in text or "run" in text or "lazy" in text.lower()


@dataclass
class Output:
    logits: torch.Tensor
    none: None = None


class Opaque:
    def __init__(self, logits):
        self.logits = logits


Pair = namedtuple("Pair", ["first", "second"])

ENDS = {
    "dict": lambda x: {"x": x, "none": None, "word": "a", "number": 3},
    "nested": lambda x: [None, ({"x": (x,)},), 7],
    "named tuple": lambda x: Pair(x, None),
    "dataclass": lambda x: Output(x),
    "dataclass in a dict": lambda x: {"out": Output(x)},
    "with whole numbers": lambda x: (x, x.argmax(1)),
    "twice": lambda x: (x, x),
    "complex": lambda x: torch.fft.fft(x),
    "half of it": lambda x: x.half(),
}


@pytest.mark.parametrize("name", ENDS)
def test_outputs_of_all_kinds_count(name):
    found = audit(Net(ENDS[name]), (batch(),))
    assert kinds(found) - NET == set()
    assert groups(found) == groups(audit(Net(), (batch(),)))
    assert ("linear.weight",) in [b.names for b in found.blocks]


NO_REAL_OUTPUT = {
    "whole numbers": lambda x: x.argmax(1),
    "truth": lambda x: x > 0,
    "nothing": lambda x: None,
    "an empty tuple": lambda x: (),
    "a number": lambda x: 3.0,
    "an unknown object": Opaque,
}


@pytest.mark.parametrize("measure", [True, False])
@pytest.mark.parametrize("name", NO_REAL_OUTPUT)
def test_outputs_that_tell_nothing_are_said(name, measure):
    try:
        text = " ".join(audit(Net(NO_REAL_OUTPUT[name]), (batch(),), measure=measure).notes)
    except UsageError as error:
        text = str(error)
    assert "output" in text


def test_outputs_without_gradients_are_no_evidence():
    found = audit(Net(lambda x: x.detach()), (batch(),))
    assert groups(found)["norm.weight"] == "other"
    assert groups(found)["norm.bias"] == "other"


def test_inputs_may_be_nested():
    class Nested(Net):
        def forward(self, x, *, more):
            return super().forward(x["x"] + more[0][0])

    found = audit(Nested(), ({"x": batch(), "none": None},), {"more": [(batch(), 3)]})
    assert kinds(found) == NET


def test_inputs_of_classes_that_are_not_known_are_defined():
    class Box:
        def __init__(self, x):
            self.x = x

    try:
        found = audit(Net(begin=lambda box: box.x), (Box(batch()),))
    except UsageError as error:
        assert "Box" in str(error)  # noqa: PT017
    else:
        assert [n for n in found.notes if "Box" in n] or kinds(found) == NET


def test_a_parameter_without_axes():
    found = audit(Holder(torch.tensor(0.7), lambda x, p: x * p), (batch(),))
    assert found.shapes["own"] == ()
    rescalings = [s for s in found.symmetries if s.kind == "rescaling"]
    assert [set(s.exponents) for s in rescalings] == [{"own", "linear.weight", "linear.bias"}]
    assert rescalings[0].exponents["own"] == -rescalings[0].exponents["linear.weight"]
    joint = audit(Holder(torch.tensor(0.7), lambda x, p: torch.tanh(p) * x / x.norm()), (batch(),))
    assert groups(joint)["own"] == "other"
    assert [b.names for b in joint.blocks] == [("linear.weight", "linear.bias")]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("training", [True, False])
def test_other_precisions_are_audited_alike(dtype, training):
    found = audit(small().to(dtype), (batch().to(dtype),), training=training)
    plain = audit(small(), (batch(),), training=training)
    assert kinds(found) == kinds(plain)
    assert found.blocks == plain.blocks
    assert groups(found) == groups(plain)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_parameters_in_eight_bits_are_refused_or_audited(dtype):
    model = Holder(torch.ones(2).to(dtype), lambda x, p: x * p.float())
    try:
        found = audit(model, (batch(),))
    except UsageError as error:
        assert "float8" in str(error)  # noqa: PT017
    else:
        assert ("rescaling" in {s.kind for s in found.symmetries}) is True


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_default_type_does_not_matter(dtype):
    plain = audit(small(), (batch(),), seed=3).to_dict()
    model, x = small(), batch()
    torch.set_default_dtype(dtype)
    try:
        found = audit(model, (x,), seed=3).to_dict()
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(torch.float32)
    assert found["notes"] == plain["notes"] == []
    assert found == plain


def test_a_model_made_with_another_default_type():
    torch.set_default_dtype(torch.float64)
    try:
        found = audit(small(), (torch.randn(8, 3),))
    finally:
        torch.set_default_dtype(torch.float32)
    assert kinds(found) == kinds(audit(small(), (batch(),)))
    assert not found.notes


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("looks", [False, True])
def test_the_callers_grad_mode_does_not_matter(mode, looks):
    def end(x):
        return x if not looks or float(x.detach().sum()) < 1e9 else -x

    plain, model = audit(Net(end), (batch(),)).to_dict(), Net(end)
    with mode():
        found = audit(model, (batch(),)).to_dict()
        assert not torch.is_grad_enabled()
        assert torch.is_inference_mode_enabled() == (mode is torch.inference_mode)
    assert found == plain


def test_inputs_made_in_inference_mode():
    with torch.inference_mode():
        x = batch()
    found, plain = audit(small(), (x,)), audit(small(), (batch(),))
    assert kinds(found) == kinds(plain)
    assert found.blocks == plain.blocks


def test_a_model_made_in_inference_mode_is_audited_or_refused():
    with torch.inference_mode():
        model = small()
    try:
        found = audit(model, (batch(),))
    except UsageError as error:
        assert "inference" in str(error).lower()  # noqa: PT017
    else:
        assert kinds(found) == kinds(audit(small(), (batch(),)))


def test_frozen_parameters_are_not_scaled():
    half = small()
    half[0].requires_grad_(False)
    found = audit(half, (batch(),))
    assert {name for name, p in found.parameters.items() if p.group == "frozen"} == {
        "0.weight",
        "0.bias",
    }
    assert not any(name.startswith("0.") for s in found.symmetries for name in s.exponents)
    assert not any(name.startswith("0.") for block in found.blocks for name in block.names)
    groups = found.param_groups(lr=0.1, weight_decay=0.1)
    assert half[0].weight not in {p for group in groups for p in group["params"]}


def test_of_a_frozen_model_nothing_is_scaled():
    model = small().requires_grad_(False)
    found = audit(model, (batch(),))
    assert (found.rank, found.symmetries, found.blocks) == (0, (), ())
    assert {p.group for p in found.parameters.values()} == {"frozen"}
    assert not any(p.requires_grad for p in model.parameters())


def test_tied_parameters_have_one_exponent():
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    found = audit(model, (batch(),))
    assert list(found.parameters) == ["0.weight", "0.bias", "1.weight", "1.bias", "2.bias"]
    assert not [s for s in found.symmetries if set(s.exponents) == {"0.weight", "0.bias"}]
    untied = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 3))
    joint = [set(s.exponents) for s in audit(untied, (batch(),)).symmetries]
    assert {"0.weight", "0.bias"} in joint


CONTROL = {
    "branch": lambda x: x if x.sum() > -1e9 else -x,
    "item": lambda x: x * (1.0 if x.sum().item() > -1e9 else 2.0),
    "item, multiplied": lambda x: x * x.abs().sum().item() / 7,
    "nonzero": lambda x: x[(x[:, 0] > -1e9).nonzero()[:, 0]],
    "mask": lambda x: x[x[:, 0] > -1e9],
    "loop": lambda x: sum(x for _ in range(int(x.abs().sum() > 0))),
    "list": lambda x: torch.tensor(x.tolist()) + x,
}


@pytest.mark.parametrize("name", CONTROL)
@pytest.mark.parametrize("measure", [True, False])
def test_control_flow_that_depends_on_data(name, measure):
    found = audit(Net(begin=CONTROL[name]), (batch(),), measure=measure)
    proved = [s for s in found.symmetries if s.proved]
    if not proved:
        assert [n for n in found.notes if "traced" in n]
    if proved or measure:
        assert ("scale-invariant", (("linear.weight", 1),), 0) in kinds(found)
        assert groups(found)["linear.bias"] == "inert"
    else:
        assert kinds(found) == set()
    assert groups(found)["norm.weight"] == "other"


TAKEN_OUT = {
    "float": lambda w: float(w.mean()),
    "item": lambda w: w.mean().item(),
    "list": lambda w: w.tolist()[0][0],
    "numpy": lambda w: float(w.numpy().mean()),
}


class TakesOut(Net):
    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, x):
        return torch.tanh(super().forward(x) * self.how(self.linear.weight.detach()))


@pytest.mark.parametrize("how", TAKEN_OUT)
def test_a_number_taken_out_of_a_weight_is_no_constant(how):
    found = audit(TakesOut(TAKEN_OUT[how]), (batch(),))
    assert not [s for s in found.symmetries if s.proved and "linear.weight" in s.exponents]


def test_models_on_the_meta_device_are_not_measured():
    found = audit(small().to("meta"), (batch().to("meta"),))
    assert kinds(found) == kinds(audit(small(), (batch(),)))
    assert all(s.defect is None and s.proved for s in found.symmetries)
    assert found.shapes["0.weight"] == (4, 3)
    assert [note.kind for note in found.notes] == [NoteKind.NOT_KNOWN]


def test_models_on_the_meta_device_cannot_be_measured():
    refusal(small().to("meta"), (batch().to("meta"),), "meta", "measure", measure=True)


def test_models_on_the_meta_device_that_cannot_be_traced_are_said():
    model = Net(begin=CONTROL["branch"]).to("meta")
    try:
        found = audit(model, (batch().to("meta"),))
    except UsageError as error:
        assert "Net" in str(error)  # noqa: PT017
    else:
        assert [n for n in found.notes if "traced" in n]
        assert found.symmetries == ()


def test_parameters_on_several_devices():
    class Split(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
            self.last = nn.Linear(4, 2, device="meta")

        def forward(self, x):
            return self.last(self.norm(self.first(x)).to("meta"))

    found = audit(Split(), (batch(),))
    assert ("scale-invariant", (("first.weight", 1),), 0) in kinds(found)
    assert all(s.proved and s.defect is None for s in found.symmetries)
    assert found.shapes["last.weight"] == (2, 4)
    refusal(Split(), None, "last.weight", "meta", measure=True)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A process group of this process alone."""
    store = tmp_path_factory.mktemp("gloo") / "store"
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def same_as_inside(wrapped, inside):
    modes = {name: m.training for name, m in wrapped.named_modules()}
    found = audit(wrapped, (batch(),), training=True)
    assert found.to_dict() == audit(inside, (batch(),), training=True).to_dict()
    assert list(found.parameters) == [name for name, _ in small().named_parameters()]
    assert {name: m.training for name, m in wrapped.named_modules()} == modes
    assert found.effect_of_decay("0.weight").endswith("BatchNorm1d `1`.")


# Warnings of torch itself, when it loads its compiler.
COMPILES = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


class SubclassOfDDP(DistributedDataParallel):
    pass


@COMPILES
@pytest.mark.parametrize("kind", [DistributedDataParallel, SubclassOfDDP])
def test_ddp_is_taken_off(alone, kind):
    model = small()
    wrapped = kind(model)
    wrapped.eval()
    same_as_inside(wrapped, model)


WRAPPERS = {
    "DataParallel": nn.DataParallel,
    "compile": torch.compile,
    "both": lambda model: nn.DataParallel(torch.compile(model)),
}


@COMPILES
@pytest.mark.parametrize("name", WRAPPERS)
def test_data_parallel_and_compilation_are_taken_off(name):
    model = small()
    same_as_inside(WRAPPERS[name](model), model)


@COMPILES
@pytest.mark.parametrize("name", WRAPPERS)
def test_groups_of_a_wrapped_model_hold_its_parameters(name):
    wrapped = WRAPPERS[name](small())
    groups = audit(wrapped, (batch(),), measure=False).param_groups(lr=0.1, weight_decay=0.1)
    held = {id(p) for group in groups for p in group["params"]}
    assert held == {id(p) for p in wrapped.parameters()}


@COMPILES
def test_wrappers_inside_a_model_leave_no_prefix():
    model = small()
    model[0] = torch.compile(model[0])
    model[3] = nn.DataParallel(model[3])
    found = audit(model, (batch(),))
    assert list(found.parameters) == [name for name, _ in small().named_parameters()]
    assert kinds(found) == kinds(audit(small(), (batch(),)))


@COMPILES
def test_a_model_compiled_in_place():
    model = small()
    model.compile()
    assert audit(model, (batch(),)).to_dict() == audit(small(), (batch(),)).to_dict()


@pytest.mark.parametrize("inside", [False, True])
def test_fsdp1_is_refused(alone, inside):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = FullyShardedDataParallel(small(), device_id=torch.device("cpu"))
    refusal(nn.Sequential(wrapped) if inside else wrapped, None, "FullyShardedDataParallel")


@pytest.mark.parametrize("mark", ["_is_flat_param", "_fsdp_flattened", "ds_id"])
def test_flattened_shards_are_refused(mark):
    model = small()
    setattr(model[0].weight, mark, True)  # as FSDP1 and DeepSpeed mark them
    refusal(model, None, "'0.weight'", "flattened shard", measure=False)


def test_fsdp2_is_audited_or_refused(alone):
    mesh = dist.device_mesh.init_device_mesh("cpu", (1,))
    wrapped = fully_shard(small(), mesh=mesh)
    try:
        found = audit(wrapped, (batch(),))
    except UsageError as error:
        assert "shard" in str(error).lower() or "FSDP" in str(error)  # noqa: PT017
    else:
        assert kinds(found) == kinds(audit(small(), (batch(),)))
        assert not found.notes


def test_a_quiet_audit(capfd, caplog):
    caplog.set_level(logging.WARNING)
    audit(Net(begin=CONTROL["branch"]), (batch(),))
    audit(small(), (batch(),))
    assert capfd.readouterr() == ("", "")
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_parts_of_one_memory_are_parameters_of_their_own():
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.Linear(4, 2))
    whole = torch.randn(40)
    model[0].weight = nn.Parameter(whole[:12].view(4, 3))
    model[2].weight = nn.Parameter(whole[12:20].view(2, 4))
    assert [b.names for b in audit(model, (batch(),)).blocks] == [("0.weight",)]


def test_indices_that_a_table_does_not_have_are_the_models_own_error():
    model = nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 2))
    with pytest.raises(UsageError, match=r"Sequential fails on \(int64\[1, 2\]\): IndexError"):
        audit(model, (torch.tensor([[3, 12]]),))


def test_whole_numbers_that_cannot_be_shuffled_are_taken_as_they_are():
    class Bags(nn.Module):
        def __init__(self):
            super().__init__()
            self.bag, self.norm = nn.EmbeddingBag(9, 5), nn.LayerNorm(5)

        def forward(self, ids, offsets):
            return self.norm(self.bag(ids, offsets))

    found = audit(Bags(), (torch.arange(8), torch.tensor([0, 3, 5])))
    assert not found.notes
    assert found.parameters["bag.weight"].group == "scale-invariant"


def test_sparse_outputs_are_measured():
    model = Holder(torch.randn(2), lambda x, p: (x * p).to_sparse())
    found = audit(model, (batch(),))
    assert found.symmetries[0].exponents == {"own": -1, "linear.weight": 1, "linear.bias": 1}
