import pytest
import torch

from etaeff._checks.tensors import check_radii, check_radius, has_direction
from etaeff.errors import UsageError

BAD_RADII = ["small", 0, 0.0, -1.0, float("inf"), float("nan"), True, None, (1.0,)]


@pytest.mark.parametrize("radius", BAD_RADII, ids=repr)
def test_a_wrong_radius_is_refused(radius):
    with pytest.raises(UsageError, match=r"^`radius` must be 'unit', 'keep', or a positive num"):
        check_radius(radius)


@pytest.mark.parametrize(
    ("dtype", "least", "most"),
    [
        (torch.float16, 2.0**-14, 65504.0),
        (torch.bfloat16, 1e-15, 1e15),
        (torch.float32, 1e-15, 1e15),
        (torch.float64, 1e-15, 1e15),
    ],
)
def test_radii_lie_where_the_weights_have_a_direction(dtype, least, most):
    for radius in (1.01 * least, 0.99 * most):
        radii = torch.tensor([1.0, radius], dtype=torch.float64)
        check_radii(radii, ["w"], dtype)
        assert radii.to(dtype).isfinite().all()
        assert (radii.to(dtype) > 0).all()
    for radius in (0.99 * least, 1.01 * most, 0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(UsageError, match=r"^`radius` must be above .* for piece 1 of 2 of 'w'"):
            check_radii(torch.tensor([1.0, radius], dtype=torch.float64), ["w"], dtype)


def test_which_norms_give_a_direction():
    norms = [0.0, 1e-15, 2e-15, 1.0, 5e14, 1e15, float("inf"), float("nan")]
    found = has_direction(torch.tensor(norms, dtype=torch.float64))
    assert found.tolist() == [False, False, *[True] * 3, *[False] * 3]
