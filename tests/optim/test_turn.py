"""One step as a weighted sum of w and d, against the step written out with vectors."""

import math

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

from etaeff.optim._turn import projected, turned

F64 = torch.float64


def drawn(seed, size, count=3):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(count, size, generator=generator, dtype=F64) for _ in range(2))


def sums(w, d):
    return (w * w).sum(1), (w * d).sum(1), (d * d).sum(1)


def made(turn, w, d):
    return turn.weight[:, None] * w + turn.direction[:, None] * d


def close(found, expected, tolerance):
    return bool(((found - expected).norm(dim=1) <= tolerance * expected.norm(dim=1)).all())


seeds = st.integers(0, 2**31)
sizes = st.integers(2, 40)
scales = st.floats(-12, 12).map(lambda power: 10**power)
radii = st.floats(-3, 3).map(lambda power: 10**power)
angles = st.floats(-8, math.log10(math.pi)).map(lambda power: 10**power)


# -------------------------------------------------------------------------------------- projected


@given(seeds, sizes, scales, scales, radii)
def test_projected_is_the_step_and_then_the_normalisation(seed, size, scale, lr, radius):
    w, d = drawn(seed, size)
    w, d = radius * w, scale * d
    new = w - lr * d
    # Where the step all but cancels the weight, its norm is a difference of large numbers.
    cancelled = (new.norm(dim=1) / (w.norm(dim=1) + lr * d.norm(dim=1))).min().item()
    assume(cancelled > 0.03)
    turn = projected(*sums(w, d), lr, torch.full((3,), radius, dtype=F64))
    expected = radius * new / new.norm(dim=1, keepdim=True)
    # Squares of 1/0.03, and some ten roundings.
    assert close(made(turn, w, d), expected, 1e-11)
    assert not turn.stays.any()


@pytest.mark.parametrize("tangent", [0.0, 1.0])
@pytest.mark.parametrize(("left", "finite"), [(1e-2, True), (3e-4, True), (5e-5, False),
                                              (1e-7, False), (1e-12, False)])  # fmt: skip
def test_a_step_that_nearly_cancels_the_weight_ends_at_the_radius_or_is_not_finite(
    left, finite, tangent
):
    w, t = drawn(1, 30)
    t = t - (w * t).sum(1, keepdim=True) * w / w.square().sum(1, keepdim=True)
    rest = t / t.norm(dim=1, keepdim=True) * w.norm(dim=1, keepdim=True) if tangent else w
    d = w - left * rest
    turn = projected(*sums(w, d), 1.0, torch.ones(3, dtype=F64))
    assert torch.isfinite(turn.weight).tolist() == [finite] * 3
    if finite:
        norms = made(turn, w, d).norm(dim=1)
        torch.testing.assert_close(norms, torch.ones(3, dtype=F64), rtol=1e-7, atol=0)


@given(seeds, sizes, radii, st.floats(0.5, 2))
def test_projected_puts_a_weight_that_has_drifted_at_its_radius(seed, size, radius, drift):
    w, d = drawn(seed, size)
    w = drift * radius * w / w.norm(dim=1, keepdim=True)
    turn = projected(*sums(w, d), 0.1 * radius, torch.full((3,), radius, dtype=F64))
    found = made(turn, w, d).norm(dim=1)
    torch.testing.assert_close(found, torch.full((3,), radius, dtype=F64), rtol=1e-12, atol=0)


# ----------------------------------------------------------------------------------------- turned


@given(seeds, sizes, scales, angles, radii)
@example(0, 2, 1.0, math.pi / 2, 1.0)
def test_turned_is_a_rotation_away_from_the_direction(seed, size, scale, angle, radius):
    w, d = drawn(seed, size)
    w, d = radius * w, scale * d
    unit = w / w.norm(dim=1, keepdim=True)
    tangent = d - (unit * d).sum(1, keepdim=True) * unit
    share = (tangent.norm(dim=1) / d.norm(dim=1)).min().item()
    assume(share > 0.03)
    tangent = tangent / tangent.norm(dim=1, keepdim=True)
    turn = turned(*sums(w, d), angle, torch.full((3,), radius, dtype=F64))
    expected = radius * (math.cos(angle) * unit - math.sin(angle) * tangent)
    found = made(turn, w, d)
    assert close(found, expected, 1e-11)
    assert not turn.stays.any()
    # The angle has all its digits, small ones too.
    along = -(found * tangent).sum(1) / radius
    tolerance = 1e-11 * math.sin(angle) + 1e-15 / share
    assert (along - math.sin(angle)).abs().max() <= tolerance


@pytest.mark.parametrize("share", [1e-1, 1e-2, 1e-3, 1e-4])
def test_a_direction_that_is_nearly_radial_turns_by_the_angle_all_the_same(share):
    w, t = drawn(1, 30)
    w = w / w.norm(dim=1, keepdim=True)
    t = t - (w * t).sum(1, keepdim=True) * w
    d = w + share * t / t.norm(dim=1, keepdim=True)
    turn = turned(*sums(w, d), 0.1, torch.ones(3, dtype=F64))
    found = made(turn, w, d)
    angle = torch.atan2(
        (found - (found * w).sum(1, keepdim=True) * w).norm(dim=1), (found * w).sum(1)
    )
    # ‖t‖² is a difference of two numbers 1/share² as large.
    torch.testing.assert_close(
        angle, torch.full((3,), 0.1, dtype=F64), rtol=1e-15 / share**2, atol=1e-15 / share
    )


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_radial_direction_turns_nothing(sign, scale):
    w, _ = drawn(0, 30)
    turn = turned(*sums(w, sign * scale * w), 0.1, torch.ones(3, dtype=F64))
    assert turn.stays.all()
    assert torch.isfinite(torch.cat([turn.weight, turn.direction])).all()


# ------------------------------------------------------------------------------------------- both

BOTH = pytest.mark.parametrize("step", [projected, turned])


@BOTH
@pytest.mark.parametrize("lr", [0.0, torch.tensor(0.0), torch.tensor(0.0, dtype=F64)])
def test_no_rate_stays(step, lr):
    w, d = drawn(0, 5)
    assert step(*sums(w, d), lr, torch.ones(3, dtype=F64)).stays.all()


@BOTH
def test_only_the_piece_without_a_direction_stays(step):
    w, d = drawn(0, 5)
    d[1] = 0
    turn = step(*sums(w, d), 0.1, torch.ones(3, dtype=F64))
    assert turn.stays.tolist() == [False, True, False]
    assert torch.isfinite(torch.cat([turn.weight, turn.direction])).all()


@BOTH
def test_a_rate_in_a_tensor_is_the_same_rate(step):
    w, d = drawn(0, 5)
    radius = torch.tensor([0.5, 1.0, 2.0], dtype=F64)
    number = step(*sums(w, d), 0.25, radius)
    for lr in (torch.tensor(0.25), torch.tensor(0.25, dtype=F64)):
        for found, expected in zip(step(*sums(w, d), lr, radius), number, strict=True):
            assert torch.equal(found, expected)


@BOTH
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", [0, 1])
def test_what_is_not_finite_is_not_hidden(step, bad, where):
    vectors = drawn(0, 5)
    vectors[where][1, 2] = bad
    turn = step(*sums(*vectors), 0.1, torch.ones(3, dtype=F64))
    assert torch.isfinite(turn.weight + turn.direction).tolist() == [True, False, True]
    assert not turn.stays[1]


@BOTH
def test_each_piece_has_its_own_radius(step):
    w, d = drawn(0, 5)
    radius = torch.tensor([0.5, 1.0, 2.0], dtype=F64)
    w = radius[:, None] * w / w.norm(dim=1, keepdim=True)
    found = made(step(*sums(w, d), 0.3, radius), w, d).norm(dim=1)
    torch.testing.assert_close(found, radius, rtol=1e-14, atol=0)


def test_a_step_that_cancels_the_weight_is_not_finite():
    w = torch.eye(3, dtype=F64)
    turn = projected(*sums(w, 2 * w), 0.5, torch.ones(3, dtype=F64))
    assert not torch.isfinite(turn.weight).any()
