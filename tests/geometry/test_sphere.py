import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from etaeff.geometry import angle, norm, normalize

ANGLES = [1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 0.03, 1.0, math.pi / 2, 3.0]
RADII = [1e-6, 1e-3, 1.0, 1e3, 1e6]
BOTH = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def turned(theta, size=50, seed=0):
    """Two unit vectors at the angle `theta`, in float64."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.standard_normal((size, 2)))
    return basis[:, 0], math.cos(theta) * basis[:, 0] + math.sin(theta) * basis[:, 1]


def exact_angle(x, y):
    """From the part of y that is orthogonal to x, in float64: no cosine near 1 is inverted."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    x = x / np.linalg.norm(x)
    along = y @ x
    across = y - along * x
    across -= (across @ x) * x
    return math.atan2(np.linalg.norm(across), along)


def vectors(size=5):
    entry = st.floats(-1e3, 1e3).map(lambda v: v + math.copysign(1e-2, v))
    return st.lists(entry, min_size=size, max_size=size).map(
        lambda values: torch.tensor([values], dtype=torch.float64)
    )


@pytest.mark.parametrize("theta", ANGLES)
def test_angle_recovers_a_rotation_in_float64(theta):
    x, y = (torch.from_numpy(v)[None] for v in turned(theta))
    assert angle(x, y, dims=(1,)).item() == pytest.approx(theta, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("theta", ANGLES)
@pytest.mark.parametrize("seed", range(5))
def test_angle_recovers_a_rotation_in_float32(theta, seed):
    # Rounding to float32 turns a vector by up to 6e-8 by itself, so that is what is known.
    x, y = (v.astype(np.float32) for v in turned(theta, seed=seed))
    found = angle(torch.from_numpy(x)[None], torch.from_numpy(y)[None], dims=(1,)).item()
    assert found == pytest.approx(exact_angle(x, y), rel=1e-6, abs=1e-7)
    assert found == pytest.approx(theta, rel=1e-6, abs=2e-7)


@BOTH
@pytest.mark.parametrize("before", RADII)
@pytest.mark.parametrize("after", RADII)
def test_angle_is_the_same_at_every_pair_of_radii(before, after, dtype):
    x, y = turned(1e-3)
    x, y = (torch.from_numpy(v)[None].to(dtype) for v in (before * x, after * y))
    tolerance = 1e-3 if dtype == torch.float32 else 1e-10
    assert angle(x, y, dims=(1,)).item() == pytest.approx(1e-3, rel=tolerance)


@BOTH
def test_angle_is_zero_for_a_weight_and_itself_and_pi_for_its_opposite(dtype):
    w = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 30))).to(dtype)
    assert angle(w, w, dims=(1,)).flatten().tolist() == [0.0] * 4
    assert angle(w, -w, dims=(1,)).flatten().tolist() == pytest.approx([math.pi] * 4, rel=1e-6)


def test_angle_of_a_zero_block_is_nan_and_its_neighbours_are_not():
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    y = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    found = angle(x, y, dims=(1,)).flatten()
    assert math.isnan(found[0])
    assert found[1].item() == pytest.approx(math.pi / 2)


def test_angle_takes_each_filter_of_a_convolution_by_itself():
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((6, 3, 2, 2)) for _ in range(2))
    found = angle(torch.from_numpy(x), torch.from_numpy(y), dims=(1, 2, 3))
    assert found.shape == (6, 1, 1, 1)
    own = [exact_angle(a.ravel(), b.ravel()) for a, b in zip(x, y, strict=True)]
    assert found.flatten().tolist() == pytest.approx(own, rel=1e-12)


def test_angle_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"^`x` and `y` must have the same shape, got \(1, 2\) "):
        angle(torch.zeros(1, 2), torch.zeros(1, 3), dims=(1,))


@given(vectors(), vectors(), st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_angle_does_not_depend_on_the_scales(x, y, a, b):
    assert angle(a * x, b * y, (1,)).item() == pytest.approx(angle(x, y, (1,)).item(), abs=1e-14)


@given(vectors(), vectors())
def test_angle_is_symmetric_and_between_0_and_pi(x, y):
    found = angle(x, y, (1,)).item()
    assert 0 <= found <= math.pi
    assert angle(y, x, (1,)).item() == found


def test_norm_of_ten_million_float32_entries_is_accurate():
    x = np.random.default_rng(0).standard_normal(10**7).astype(np.float32)
    exact = math.sqrt(np.square(x, dtype=np.float64).sum())
    assert norm(torch.from_numpy(x), dims=(0,)).item() == pytest.approx(exact, rel=1e-6)


def test_norm_keeps_the_axes_of_a_block():
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 4, 5)))
    found = norm(x, dims=(1, 3))
    assert found.shape == (2, 1, 4, 1)
    exact = [np.linalg.norm(x.numpy()[i, :, j, :]) for i in range(2) for j in range(4)]
    assert found.flatten().tolist() == pytest.approx(exact, rel=1e-14)


@given(vectors(), st.floats(1e-6, 1e6))
def test_norm_scales_with_the_block(x, a):
    assert norm(a * x, (1,)).item() == pytest.approx(a * norm(x, (1,)).item(), rel=1e-14)


@BOTH
@pytest.mark.parametrize("radius", RADII)
def test_normalize_gives_norm_1_and_keeps_the_direction(dtype, radius):
    x = radius * torch.from_numpy(np.random.default_rng(0).standard_normal((4, 300))).to(dtype)
    unit = normalize(x, dims=(1,)).double().numpy()
    # Ten roundings, of which the norm averages most out.
    tolerance = 10 * torch.finfo(dtype).eps
    assert np.linalg.norm(unit, axis=1) == pytest.approx(np.ones(4), rel=tolerance)
    exact = x.double().numpy() / np.linalg.norm(x.double().numpy(), axis=1, keepdims=True)
    assert unit == pytest.approx(exact, rel=tolerance)


@given(vectors(), st.floats(1e-6, 1e6))
def test_normalize_does_not_depend_on_the_scale(x, a):
    torch.testing.assert_close(normalize(a * x, (1,)), normalize(x, (1,)), rtol=1e-14, atol=0)


def test_normalize_gives_nan_for_a_zero_block_alone():
    unit = normalize(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), dims=(1,))
    assert unit[0].isnan().all()
    assert unit[1].tolist() == pytest.approx([0.6, 0.8])
