"""The audit against the hand-made labels of `etaeff.testing.zoo`, in both directions."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from etaeff.symmetry import DecayKind, audit
from etaeff.symmetry._proof._basis import Span
from etaeff.testing import zoo

ALL = zoo.cases(*zoo.FAMILIES)


@pytest.fixture(scope="module", params=ALL)
def audited(request):
    """A case, and what the audit says of it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    case = ALL[request.param]
    model = case.build()
    discover = len(list(model.parameters())) < 30
    yield case, audit(model, (), case.inputs(), discover=discover)
    torch.set_num_threads(threads)


def vectors(case, names):
    """The labelled symmetries as vectors, inert directions included."""
    index = {name: i for i, name in enumerate(names)}
    return [
        {index[name]: Fraction(power) for name, power in row.items()} for row in case.basis(names)
    ]


def not_reached(case, found):
    """What the labels call inert, where no gradient ever comes to it and the graph is silent."""
    names = {n for n, p in found.parameters.items() if p.effect is DecayKind.NOT_REACHED}
    assert names <= {n for p in case.unproved.split() for n in zoo.matching(p, found.parameters)}
    return names


def scale_invariant(case, names):
    """The parameters that a combination of the labelled symmetries moves, and none down."""
    rows = [[float(row.get(name, 0)) for name in names] for row in case.basis(names)]
    rows = np.array(rows[: len(case.symmetries)]).reshape(-1, len(names))
    found = set()
    for i, name in enumerate(names):
        if rows[:, i].any():
            most = linprog(
                -rows[:, i], A_ub=-rows.T, b_ub=np.zeros(len(names)), bounds=[(-1, 1)] * len(rows)
            )
            found |= {name} if most.fun < -1e-7 else set()
    return found


def test_symmetries_span_what_was_derived_by_hand(audited):
    case, found = audited
    names = list(found.parameters)
    index = {name: i for i, name in enumerate(names)}
    truth = vectors(case, names)
    own = [
        {index[n]: v for n, v in s.exponents.items()}
        for s in found.symmetries
        if s.kind != "homogeneous"
    ]
    unreached = [{index[name]: Fraction(1)} for name in not_reached(case, found)]
    assert found.rank == case.rank - len(unreached) == len(own)
    assert all(vector in Span(truth) for vector in own)
    assert all(vector in Span([*own, *unreached]) for vector in truth)


def test_inert_parameters_are_those_derived_by_hand(audited):
    case, found = audited
    inert = {next(iter(s.exponents)): s.proved for s in found.symmetries if s.kind == "inert"}
    expected = [n for p in case.inert.split() for n in zoo.matching(p, found.parameters)]
    assert sorted(inert) == sorted(set(expected) - not_reached(case, found))
    unproved = [n for p in case.unproved.split() for n in zoo.matching(p, found.parameters)]
    assert {n for n, proved in inert.items() if not proved} <= set(unproved)


def test_blocks_are_cut_as_finely_as_they_are_invariant(audited):
    case, found = audited
    names = list(found.parameters)
    for block in case.blocks:
        whole = tuple(n for p in block.names for n in zoo.matching(p, names))
        same = [b for b in found.blocks if set(b.names) == set(whole)]
        assert [(b.count, b.axis) for b in same] == [(block.count, block.axis)], block


def test_decay_does_what_was_derived_by_hand(audited):
    case, found = audited
    moved = {n for s in found.symmetries if s.kind != "homogeneous" for n in s.exponents}
    for text, effect in (
        (case.lr, "sets the effective learning rate"),
        (case.balances, "balances a product"),
    ):
        for pattern in text.split():
            for name in moved.intersection(zoo.matching(pattern, found.parameters)):
                assert found.parameters[name].effect == effect, name


def test_what_lies_in_a_direction_of_one_sign_is_called_scale_invariant(audited):
    case, found = audited
    named = {name for name, p in found.parameters.items() if p.group == "scale-invariant"}
    assert named == scale_invariant(case, list(found.parameters))


def test_of_small_models_all_is_known(audited):
    _, found = audited
    if len(found.parameters) < 30:
        effects = {p.effect for p in found.parameters.values()}
        assert DecayKind.NOT_KNOWN not in effects, found.notes


def test_the_measurement_denies_nothing(audited):
    _, found = audited
    assert all(s.defect is None or s.defect < 1e-9 for s in found.symmetries)
    for word in ("denies", "could not be measured"):
        assert not any(word in note for note in found.notes), found.notes
    compared = [note for note in found.notes if "samples alone" in note]
    assert all("missed none" in note for note in compared), compared
