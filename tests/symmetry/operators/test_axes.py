"""Pieces of tensors behind every operator that is said to keep them apart, measured.

Every parameter of a call is cut, and its pieces are scaled each by its own factor, along all
directions that the rules leave. Each piece of a result must then scale as its degree says.
"""

import inspect

import numpy as np
import pytest
import torch
from support.operator_modules import CASES, Calling

from etaeff.symmetry._operators._operator import Layout
from etaeff.symmetry._operators._table import OPERATORS
from etaeff.symmetry._proof._nullspace import null_space
from etaeff.symmetry._proof._pieces import pieces_of
from etaeff.symmetry._proof._places import Place
from etaeff.symmetry._proof._propagate import carried
from etaeff.symmetry._tracing._graph import of_program

FOLLOWED = [
    name
    for name, row in OPERATORS.items()
    if (row.axes is not None or row.layout is not Layout.NONE) and name != "_grouped_mm"
]
SCALE = 1.5
# Whose calls have no result with a piece of its own, or no tensor that can be cut.
WHOLE = frozenset(["sum_to_size"])


def classes_of(length, kind):
    """Halves, or every second position."""
    positions = np.arange(length)
    return positions * 2 // length if kind == "halves" else positions % 2


def cut(module, axis, kind):
    """Each parameter that has the axis, cut along it."""
    places = {}
    for i, parameter in enumerate(module.parameters()):
        if -parameter.ndim <= axis < parameter.ndim and parameter.shape[axis] > 1:
            at = axis % parameter.ndim
            places[i] = Place(at, classes_of(parameter.shape[at], kind).astype(np.intp))
    return pieces_of(places, range(len(list(module.parameters()))))


def factors(place, unknowns, vector, shape):
    """What each position of a parameter is multiplied by."""
    powers = [SCALE ** float(vector.get(unknown, 0)) for unknown in unknowns]
    line = torch.tensor(powers, dtype=torch.float64)[torch.from_numpy(place.classes)]
    return line.reshape([-1 if i == place.axis else 1 for i in range(len(shape))])


def outputs(module, pieces, vector):
    """All outputs with pieces of parameters scaled along a vector of exponents."""
    scaled = {}
    for i, (name, p) in enumerate(module.named_parameters()):
        factor = SCALE ** float(vector.get(i, 0))
        if i in pieces.places:
            factor = factors(pieces.places[i], pieces.unknowns[i], vector, p.shape)
        scaled[name] = p.detach() * factor
    torch.manual_seed(0)
    with torch.no_grad():
        return torch.func.functional_call(module, scaled, ())


def expected(old, value, vector):
    """An output as it should be."""
    powers = [
        0.0 if d is None else SCALE ** float(sum(vector.get(i, 0) * c for i, c in d.items()))
        for d in value.degrees
    ]
    if value.cut is None:
        return old * powers[0]
    line = torch.tensor(powers, dtype=torch.float64)[torch.from_numpy(value.cut.classes)]
    return old * line.reshape([-1 if i == value.cut.axis else 1 for i in range(old.ndim)])


def disagreement(module, pieces, flow, values):
    """What is wrong with the predicted degrees, in words; nothing if they hold."""
    used = [{index: 1} for index in pieces.places]
    space = null_space([*flow.constraints.rows, *used], pieces.count)
    mixed = {}
    for k, vector in enumerate(space):
        for i, v in vector.items():
            mixed[i] = mixed.get(i, 0) + v * (k + 1) / len(space)
    before = outputs(module, pieces, {})
    for vector in [*space, mixed]:
        after = outputs(module, pieces, vector)
        for k, (old, new, value) in enumerate(zip(before, after, values, strict=True)):
            size = float(old.abs()[old.isfinite()].max()) if old.isfinite().any() else 1.0
            close = torch.allclose(new, expected(old, value, vector), 1e-9, 1e-9 * size, True)
            if not close:
                return f"output {k}, {value}, along {vector}"
    return ""


@pytest.mark.parametrize("name", FOLLOWED)
def test_pieces_scale_as_is_said(name):
    for call in CASES[name]:
        module = Calling(name, call)
        torch.manual_seed(0)
        graph = of_program(torch.export.export(module, (), strict=False))
        index = {name: i for i, (name, _) in enumerate(module.named_parameters())}
        for axis in (0, 1, -1):
            for kind in ("halves", "every second"):
                pieces = cut(module, axis, kind)
                flow, values = carried(graph, index, pieces)
                assert not disagreement(module, pieces, flow, values), inspect.getsource(call)
