"""Rounding by chance: the bits are those of the entry, the count and the name, and look random."""

import pytest
import torch

from etaeff.geometry import Shard
from etaeff.optim._rounding import chances, write_

MANY = 1 << 16


def drawn(count=1, name="w", entry_ids=None):
    entry_ids = torch.arange(MANY, dtype=torch.int32) if entry_ids is None else entry_ids
    return chances(entry_ids, torch.tensor(count), name)


def correlation(x, y):
    return float(torch.corrcoef(torch.stack([x, y]).double())[0, 1])


def test_bits_are_uniform():
    bits = torch.cat([drawn(count) for count in range(16)])
    assert bits.min() >= 0
    assert bits.max() < MANY
    for shift in (0, 8):  # the low and the high byte; 255 degrees of freedom: 255 ± 23
        seen = torch.bincount(bits >> shift & 0xFF, minlength=256).double()
        mean = len(bits) / 256
        assert 150 < float(((seen - mean) ** 2 / mean).sum()) < 360


@pytest.mark.parametrize(
    "other",
    [
        lambda: drawn(2),
        lambda: drawn(name="v"),
        lambda: drawn().roll(1),
        lambda: drawn().roll(64),
        lambda: torch.arange(MANY),
    ],
    ids=["next step", "another tensor", "next entry", "next row", "place"],
)
def test_bits_are_independent(other):
    if other().equal(drawn()):
        pytest.fail("the same bits")
    assert abs(correlation(drawn(), other())) < 5 / MANY**0.5


def test_the_bits_of_an_entry_do_not_depend_on_the_others():
    some = torch.tensor([5, 3, 60_000], dtype=torch.int32)
    assert torch.equal(drawn(entry_ids=some), drawn()[some.long()])


def test_the_mean_of_many_roundings_is_the_number():
    exact = 1 + torch.linspace(0, 1, 64) / 128  # between two neighbours in bfloat16
    total = torch.zeros(64, dtype=torch.float64)
    entry_ids = torch.arange(64, dtype=torch.int32)
    for count in range(1000):
        target = torch.ones(64, dtype=torch.bfloat16)
        write_(target, exact, torch.tensor(False), chances(entry_ids, torch.tensor(count), "w"))
        total += target.double()
    # A thousand draws of at most half a distance: 5 σ.
    torch.testing.assert_close(total / 1000, exact.double(), rtol=0, atol=5 / 256 / 1000**0.5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_entry_ids_are_those_of_the_entries(axis):
    weight = torch.arange(24).reshape(2, 3, 4)
    shard = Shard(weight, axis, 1)
    assert torch.equal(shard.entry_ids, shard.rows(weight).int())
    assert torch.equal(Shard(torch.ones(()), 0, 1).entry_ids, torch.zeros(1, dtype=torch.int32))
