"""The audit against the hand-made labels of `etaeff.testing.zoo`, in both directions."""

from fractions import Fraction

import pytest
import torch

from etaeff.symmetry import audit
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
    assert found.rank == case.rank == len(own)
    assert all(vector in Span(truth) for vector in own)
    assert all(vector in Span(own) for vector in truth)


def test_inert_parameters_are_those_derived_by_hand(audited):
    case, found = audited
    inert = {next(iter(s.exponents)): s.proved for s in found.symmetries if s.kind == "inert"}
    expected = [n for p in case.inert.split() for n in zoo.matching(p, found.parameters)]
    assert sorted(inert) == sorted(expected)
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


def test_the_measurement_denies_nothing(audited, request):
    _, found = audited
    assert all(s.defect is None or s.defect < 1e-9 for s in found.symmetries)
    for word in ("denies", "moved", "could not be measured"):
        assert not any(word in note for note in found.notes), found.notes
    compared = [note for note in found.notes if "samples alone" in note]
    if any(bounded in request.node.name for bounded in ("relu6", "mobilenet")):
        # Near the weights that are drawn ReLU6 is ReLU, and has its symmetries.
        assert all("missed none" in note or "change along" in note for note in compared), compared
    else:
        assert all("missed none" in note for note in compared), compared
