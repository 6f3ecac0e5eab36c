"""Which of the tensors that a model returns count."""

import copy
from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from etaeff.errors import UnknownNameError, UsageError
from etaeff.symmetry import Audit, DecayKind, NoteKind, audit
from etaeff.symmetry._outputs import named_tensors

# What `Model.trace` may be: followed by torch.export, by the log alone, or by none.
TRACERS = ("torch.export", "dispatch log", "none")
LOGITS = {"outputs": "logits"}
# Of the loss: the encoder's scale is divided out of the logits, and no other output's.
INVARIANT = "inner.encoder.weight"

Pair = namedtuple("Pair", ["logits", "hidden"])


@dataclass
class Result:
    logits: torch.Tensor
    hidden: torch.Tensor
    loss: torch.Tensor | None = None


class Plain:
    """An object that no tracer knows, with attributes."""

    def __init__(self, logits, hidden):
        self.logits, self.hidden = logits, hidden


class Model(nn.Module):
    """Returns what is normalised, and what it was made of."""

    def __init__(self, made=dict, tracer="torch.export"):
        super().__init__()
        self.made, self.tracer = made, tracer
        self.inner = nn.Module()
        self.inner.encoder = nn.Linear(3, 4, bias=False)
        self.norm = nn.LayerNorm(4, elementwise_affine=False)
        self.head = nn.Linear(4, 2)
        self.register_buffer("one", torch.ones(()))

    def forward(self, x):
        hidden = self.inner.encoder(x) * self.one
        if self.tracer == "dispatch log" and hidden.sum() > 1e9:
            return None
        logits = self.head(self.norm(hidden))
        if self.tracer == "none":  # a number that leaves torch
            logits = logits * float(np.abs(self.head.weight.detach().double().numpy()).sum())
        return self.made(logits=logits, hidden=hidden)


def found(model, **choice):
    torch.manual_seed(0)
    return audit(model, (torch.randn(8, 3),), **choice)


def nested(logits, hidden):
    return {"aux": [hidden], "main": {"logits": logits}}


MADE = {
    "a dict": dict,
    "an ordered dict": lambda **v: OrderedDict(v),
    "a data class": Result,
    "a named tuple": Pair,
    "an object": Plain,
}


@pytest.mark.parametrize("tracer", TRACERS)
def test_all_count_by_default(tracer):
    seen = found(Model(tracer=tracer))
    assert seen.tracer == tracer
    assert seen.outputs == ("logits", "hidden")
    assert seen.parameters[INVARIANT].group == "other"
    (note,) = (n for n in seen.notes if n.kind is NoteKind.MANY_OUTPUTS)
    assert "returns 2 tensors" in note


@pytest.mark.parametrize("tracer", TRACERS)
@pytest.mark.parametrize(
    "choice",
    [
        LOGITS,
        {"outputs": ["logits"]},
        {"outputs": 0},
        {"outputs": -2},
        {"outputs": lambda result: result["logits"]},
        {"loss": lambda result: F.cross_entropy(result["logits"], torch.zeros(8).long())},
    ],
)
def test_a_choice_is_heeded_whatever_traces_the_model(tracer, choice):
    seen = found(Model(tracer=tracer), **choice)
    assert seen.tracer == tracer
    assert len(seen.outputs) == 1
    assert seen.parameters[INVARIANT].group == "scale-invariant"
    assert list(seen.parameters) == [INVARIANT, "head.weight", "head.bias"]
    assert not [n for n in seen.notes if n.kind is NoteKind.MANY_OUTPUTS]


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_names_are_fields_keys_and_attributes(made):
    seen = found(Model(made), outputs="logits")
    assert seen.outputs == ("logits",)
    assert seen.parameters[INVARIANT].group == "scale-invariant"


def test_names_of_parts_inside_parts_have_dots():
    model = Model(nested)
    assert found(model).outputs == ("aux.0", "main.logits")
    assert found(model, outputs="main").outputs == ("main.logits",)
    assert found(model, outputs="main.logits").outputs == ("main.logits",)
    assert found(model, outputs=["aux", "main", "aux.0"]).outputs == ("aux.0", "main.logits")


def test_places_of_a_tuple_have_numbers():
    model = Model(lambda logits, hidden: (logits, (hidden,)))
    assert found(model).outputs == ("output 0", "output 1.0")
    assert found(model, outputs=0).outputs == ("output 0",)
    assert found(model, outputs=-1).outputs == ("output 1.0",)


def test_one_tensor_is_the_output():
    model = Model(lambda logits, hidden: logits)
    assert found(model).outputs == found(model, outputs=0).outputs == ("output",)


def test_functions_are_called_by_their_names():
    def pooled(result):
        return result["logits"].mean(0)

    assert found(Model(), outputs=pooled).outputs == ("pooled()",)
    assert found(Model(), outputs=lambda r: list(r.values())).outputs == (
        "outputs().0",
        "outputs().1",
    )
    assert found(Model(), loss=lambda r: r["logits"].sum()).outputs == ("loss",)


def test_whole_numbers_and_foreign_objects_do_not_count():
    def made(logits, hidden):
        return {"logits": logits, "best": logits.argmax(-1), "cache": Plain(logits, hidden)}

    seen = found(Model(made))
    assert seen.outputs == ("logits",)
    assert seen.parameters[INVARIANT].group == "scale-invariant"


def test_tensors_are_named_in_the_order_in_which_they_stand():
    one, two, three = torch.zeros(3).unbind()
    nest = {"b": one, "a": [two, None, {"c": three}], "n": 3}
    assert named_tensors(nest) == [("b", one), ("a.0", two), ("a.2.c", three)]


def test_the_model_is_as_it_was():
    model = Model()
    before = copy.deepcopy(model.state_dict())
    x = torch.randn(8, 3)
    model.register_forward_hook(lambda module, args, result: {**result, "mine": result["hidden"]})
    hooks = dict(model._forward_hooks)
    assert audit(model, (x,), outputs=["logits", "mine"]).outputs == ("logits", "mine")
    with pytest.raises(UsageError):
        audit(model, (x,), outputs="nothing")
    assert model._forward_hooks == hooks
    assert set(model(x)) == {"logits", "hidden", "mine"}
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_model_that_calls_itself_has_its_own_results():
    class Twice(Model):
        def forward(self, x, again=True):
            return super().forward(self(x, again=False)["hidden"][:, :3] if again else x)

    seen = found(Twice(), outputs="logits")
    assert seen.outputs == ("logits",)
    assert seen.parameters[INVARIANT].group == "scale-invariant"


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_scripted_modules_have_no_hooks():
    scripted = torch.jit.trace(nn.Linear(3, 2), (torch.randn(8, 3),))
    assert {p.effect for p in found(scripted).parameters.values()} == {DecayKind.NOT_KNOWN}
    assert "runs no forward hooks" in str(refusal(scripted, outputs=0))


def test_an_audit_read_back_knows_its_outputs():
    seen = found(Model(), outputs="logits")
    assert seen.to_dict()["outputs"] == ["logits"]
    assert Audit.from_dict(seen.to_dict()).outputs == ("logits",)
    older = {key: value for key, value in seen.to_dict().items() if key != "outputs"}
    assert Audit.from_dict(older).outputs == ()


def refusal(model=None, **choice):
    with pytest.raises(UsageError) as refused:
        found(Model() if model is None else model, **choice)
    return refused.value


def test_an_unknown_name_lists_what_there_is():
    error = refusal(outputs="logit")
    assert isinstance(error, UnknownNameError)
    assert str(error) == "Unknown output 'logit'. Known: logits, hidden. Did you mean 'logits'?"


def test_an_index_that_is_not_there_lists_what_there_is():
    assert str(refusal(outputs=2)) == (
        "There is no output 2: the model returns `logits`, `hidden`."
    )
    one = Model(lambda logits, hidden: logits)
    assert "one tensor, which needs no choice" in str(refusal(one, outputs=1))
    assert "one tensor, which needs no choice" in str(refusal(one, outputs="logits"))


def test_an_output_without_numbers_is_refused():
    made = Model(Result)
    assert str(refusal(made, outputs="loss")) == (
        "The output 'loss' must hold a tensor of numbers, and is None. The model returns "
        "`logits`, `hidden`."
    )
    whole = Model(lambda logits, hidden: {"ids": logits.argmax(-1)})
    assert "is a tensor of int64" in str(refusal(whole, outputs="ids"))
    assert "it returned None" in str(refusal(outputs=lambda result: None))


@pytest.mark.parametrize("choice", [[], True, 1.5, [None], {"logits"}])
def test_what_chooses_nothing_is_refused(choice):
    assert str(refusal(outputs=choice)).startswith("`outputs` must be a name, an index, a list")


def test_a_loss_is_a_function_that_returns_one_tensor():
    assert "give one of them" in str(refusal(outputs=0, loss=lambda r: r["logits"]))
    assert "it is of type str" in str(refusal(loss="logits"))
    assert "it returned of type dict" in str(refusal(loss=lambda r: r))


def test_what_a_function_raises_is_told_as_its_own():
    assert str(refusal(outputs=lambda r: r["foo"])) == (
        "`outputs` fails on what the model returns: KeyError: 'foo'"
    )
    assert str(refusal(loss=lambda r: r["foo"])).startswith("`loss` fails on what")


def test_a_model_without_hooks_has_no_choice():
    class Bare(Model):
        def __call__(self, *args, **kwargs):
            return self.forward(*args, **kwargs)

    assert "runs no forward hooks" in str(refusal(Bare(), outputs="logits"))
