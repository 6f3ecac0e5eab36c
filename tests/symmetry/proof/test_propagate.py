"""Degrees where memory is shared, and where graphs stand inside operators."""

import pytest
import torch
from torch import nn
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop

from etaeff import audit


class Written(nn.Module):
    """A layer whose outputs are written into a place, which the next one reads."""

    def __init__(self, write):
        super().__init__()
        torch.manual_seed(0)
        self.w, self.h = nn.Linear(6, 6, bias=False), nn.Linear(6, 2, bias=False)
        self.write = write

    def forward(self, x):
        return self.h(self.write(x, self.w(x)))


def zeros(x):
    return x.new_zeros(4, 6)


def by_transpose(x, y):
    place = zeros(x)
    place.mT.copy_(y.mT)
    return place


def by_numpys_transpose(x, y):
    place = zeros(x)
    place.T.add_(y.T)
    return place


def by_ravel(x, y):
    place = zeros(x)
    place.ravel().add_(y.ravel())
    return place


def by_real_part(x, y):
    place = torch.zeros(4, 6, dtype=torch.complex64)
    place.real.copy_(y)
    return place.real


def by_parts(x, y):
    place = zeros(x)
    for own, new in zip(place.split(2), y.split(2), strict=True):
        own.copy_(new)
    return place


def by_a_view_from_before(x, y):
    place = zeros(x)
    top = place[:]
    place += y
    return top


def by_out(x, y):
    with torch.no_grad():
        place = zeros(x)
    place.copy_(y)
    return place.clone()


def without_gradient(x, y):
    place = zeros(x)
    with torch.no_grad():
        place.copy_(y)
    return place + 0 * y


WRITES = [
    by_transpose, by_numpys_transpose, by_ravel, by_real_part, by_parts, by_a_view_from_before,
    by_out, without_gradient,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("measure", [True, False])
def test_what_is_written_into_a_view_has_its_scale(write, measure):
    found = audit(Written(write), (torch.randn(4, 6),), measure=measure)
    kinds = [(s.kind, dict(s.exponents)) for s in found.symmetries if s.kind != "homogeneous"]
    # A symmetry may be missed where memory is shared, but nothing else may be claimed.
    assert kinds in ([("rescaling", {"w.weight": 1, "h.weight": -1})], []), found
    if measure:
        assert kinds, found.notes


def test_a_copy_keeps_its_scale():
    class Copied(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.g = nn.Linear(6, 4, bias=False), nn.Parameter(torch.ones(4))

        def forward(self, x):
            y = self.w(x)
            kept = y.mT.contiguous()  # a copy here, and elsewhere perhaps none
            y.mul_(self.g)
            return kept.mT + y

    found = audit(Copied(), (torch.randn(5, 6),), measure=False)
    assert [s.kind for s in found.symmetries] == ["homogeneous"]
    assert dict(found.symmetries[0].exponents) == {"w.weight": 1}


def powers_by_scan(w, v, x):
    def once(h, row):
        new = h * w + row
        return new, new.clone()

    return scan(once, torch.zeros(6), x)[1] * v


def powers_by_loop(w, v, x):
    def going_on(i, h):
        return i < 3

    def once(i, h):
        return i + 1, h * w

    return while_loop(going_on, once, (torch.tensor(0), x))[1] * v


@pytest.mark.parametrize("measure", [True, False])
@pytest.mark.parametrize("forward", [powers_by_scan, powers_by_loop])
def test_loops_are_said_to_be_unknown(forward, measure):
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.v = nn.Parameter(torch.rand(6)), nn.Parameter(torch.rand(6))

        def forward(self, x):
            return forward(self.w, self.v, x)

    found = audit(Loop(), (torch.randn(4, 6),), measure=measure)
    assert not [s for s in found.symmetries if s.kind != "homogeneous" and "w" in s.exponents]
    assert any("No rule is known" in note or "nothing is proved" in note for note in found.notes)
