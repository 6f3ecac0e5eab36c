"""Where results lie, by the table and the schemas, against where torch puts them."""

import inspect

import pytest
import torch
from support import operator_calls as calls
from torch import fx

from etaeff.symmetry._operators._memory import is_certain_view, shares_memory
from etaeff.symmetry._operators._operator import Memory
from etaeff.symmetry._operators._table import OPERATORS

X = torch.ones(2, 3)
# Calls in which an operator gives back its input.
IDENTITIES = {
    "dropout": lambda op, x: op(x, 0.5, False),
    "feature_dropout": lambda op, x: op(x, 0.5, False),
    "type_as": lambda op, x: op(x, torch.zeros(1)),
    "broadcast_tensors": lambda op, x: op([x, torch.ones(2, 3)]),
    "meshgrid": lambda op, x: op([x[0]]),
    "atleast_1d": lambda op, x: op(x),
    "atleast_2d": lambda op, x: op(x),
    "atleast_3d": lambda op, x: op(x[None]),
}


def tensors(values):
    """Those that have memory of their own, which a sparse one has not."""
    found = [v for v in torch.utils._pytree.tree_leaves(values) if isinstance(v, torch.Tensor)]
    return [v for v in found if v.layout is torch.strided]


def lies_in(results, given):
    memory = {v.untyped_storage().data_ptr() for v in tensors(given)}
    return [v.untyped_storage().data_ptr() in memory for v in tensors(results)]


class Recorder:
    """An operator that notes whether its results lie in the memory of its first argument."""

    def __init__(self, name):
        self.op, self.seen = calls.operator_called(name), []

    def __call__(self, *args, **kwargs):
        results = self.op(*args, **kwargs)
        self.seen += lies_in(results, args[:1])
        return results

    def __getattr__(self, overload):
        return getattr(self.op, overload)


def measured(name):
    """Whether the results of each call of an operator lie in the memory of its first argument."""
    recorder = Recorder(name)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for call, names in calls.CALLS:
            if name in names.split():
                arguments = list(inspect.signature(call).parameters)[1:]
                call(recorder, **{a: calls.TENSORS[a](generator) for a in arguments})
    return recorder.seen


def says_so_in_its_schema(name):
    packet = calls.operator_called(name)
    schemas = [getattr(packet, overload)._schema for overload in packet.overloads()]
    return any(result.alias_info for schema in schemas for result in schema.returns)


VIEWS = sorted(name for name, row in OPERATORS.items() if row.memory is Memory.VIEW)


@pytest.mark.parametrize("name", VIEWS)
def test_certain_views_lie_in_their_argument(name):
    seen = measured(name)
    assert seen
    assert all(seen)
    assert says_so_in_its_schema(name)


def test_what_lies_in_its_argument_is_known_to():
    rules = [n for n, row in OPERATORS.items() if row.degree is not None]
    silent = [n for n in rules if not says_so_in_its_schema(n)]
    lying = [name for name in silent if any(measured(name))]
    assert [n for n in lying if OPERATORS[n].memory is not Memory.MAY_BE_ITS_INPUT] == []


def node_of(name, args):
    """A node of a graph that calls an operator on a placeholder."""
    graph = fx.Graph()
    placeholder = graph.placeholder("x")
    packet = calls.operator_called(name)
    node = graph.call_function(getattr(packet, packet.overloads()[0]), (placeholder, *args))
    return node, placeholder


@pytest.mark.parametrize("name", IDENTITIES)
def test_what_may_be_its_input_is_taken_for_it(name):
    x = X.clone()
    results = IDENTITIES[name](calls.operator_called(name), x)
    assert lies_in(results, x)[0]  # torch gives the input itself back
    assert OPERATORS[name].memory is Memory.MAY_BE_ITS_INPUT
    node, placeholder = node_of(name, ())
    assert shares_memory(node) is placeholder
    assert not is_certain_view(node)


@pytest.mark.parametrize(("name", "shared", "certain"), [
    ("transpose", True, True), ("reshape", True, False), ("relu", False, False),
    ("add_", True, True), ("contiguous", True, False), ("mul", False, False),
])  # fmt: skip
def test_views_copies_and_writes(name, shared, certain):
    node, placeholder = node_of(name, ())
    assert (shares_memory(node) is placeholder) == shared
    assert is_certain_view(node) == certain
