"""The null space of samples, for samples whose null space is known."""

from fractions import Fraction

import pytest
import torch

from etaeff.symmetry._measurement._bound import open_directions, rational
from etaeff.symmetry._measurement._samples import Sample

NAMES = [f"p{i}" for i in range(6)]


def drawn(symmetries, count, sizes=None, noise=0.0):
    """Samples of random u, orthogonal to some exponents."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.tensor(symmetries, dtype=torch.float64).T).Q
    sizes = torch.ones(len(NAMES), dtype=torch.float64) if sizes is None else sizes
    found = []
    for _ in range(count):
        u = torch.randn(len(NAMES), generator=generator, dtype=torch.float64) * sizes
        u = u - basis @ (basis.T @ u)
        u += noise * torch.randn(len(NAMES), generator=generator, dtype=torch.float64)
        sums = {
            name: [torch.tensor([[float(x)], [1.0], [float(size) ** 2]], dtype=torch.float64)]
            for name, x, size in zip(NAMES, u, sizes, strict=True)
        }
        found.append(Sample(1.0, sums))
    return found


JOINT, AGAINST = [1, 1, 0, 0, 0, 0], [0, 0, 2, -1, 0, 0]


def named(row):
    return {NAMES[i]: float(v) for i, v in enumerate(row) if v}


def test_nothing_is_open_where_all_is_known():
    found = open_directions(drawn([JOINT, AGAINST], 8), NAMES, [named(JOINT), named(AGAINST)])
    assert len(found) == 0


def test_what_is_not_known_is_open():
    found = open_directions(drawn([JOINT, AGAINST], 8), NAMES, [named(JOINT)])
    assert len(found) == 1
    torch.testing.assert_close(
        found[0] / found[0][2] * 2, torch.tensor(AGAINST, dtype=torch.float64)
    )


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_samples_leave_more_open(count):
    found = open_directions(drawn([JOINT, AGAINST], count), NAMES, [named(JOINT), named(AGAINST)])
    assert len(found) == len(NAMES) - 2 - count


def test_small_tensors_count_as_large_ones_do():
    sizes = torch.tensor([1, 1, 1e-6, 1e-6, 1e3, 1e-4], dtype=torch.float64)
    known = [named(JOINT), named(AGAINST)]
    assert len(open_directions(drawn([JOINT, AGAINST], 8, sizes), NAMES, known)) == 0


def test_rounding_as_large_as_known_symmetries_leave_does_not_close_what_is_open():
    found = open_directions(drawn([JOINT, AGAINST], 8, noise=1e-7), NAMES, [named(JOINT)])
    assert len(found) == 1


def test_exponents_are_written_in_small_fractions():
    generator = torch.Generator().manual_seed(0)
    space = torch.tensor([JOINT, AGAINST, [0, 0, 0, 0, 3, 2]], dtype=torch.float64)
    mixed = torch.randn(3, 3, generator=generator, dtype=torch.float64) @ space
    found = rational(mixed)
    assert len(found) == 3
    for row in found:
        line = torch.tensor([float(row.get(i, 0)) for i in range(6)], dtype=torch.float64)
        rest = line - line @ torch.linalg.pinv(space) @ space
        assert float(rest.abs().max()) < 1e-12
        assert all(isinstance(v, Fraction) and v.denominator <= 6 for v in row.values())


def test_what_is_no_fraction_is_left_out():
    space = torch.tensor([[1.0, 2**0.5, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0]], dtype=torch.float64)
    assert rational(space) == [{2: Fraction(1), 3: Fraction(1)}]
