import pytest
import torch

from etaeff.errors import UsageError
from etaeff.geometry import sphere_radii


@pytest.mark.parametrize(
    ("radius", "expected"), [("unit", [1, 1]), ("keep", [0.5, 3]), (2.5, [2.5, 2.5]), (7, [7, 7])]
)
def test_radii_of_pieces(radius, expected):
    norms = torch.tensor([0.5, 3.0], dtype=torch.float64)
    radii = sphere_radii(norms, radius, ["w"])
    assert radii.dtype == torch.float64
    assert radii.tolist() == expected


@pytest.mark.parametrize("norm", [0.0, 1e-30, 1e-15, 1e15, float("inf"), float("nan")])
@pytest.mark.parametrize("radius", ["unit", "keep", 2.0])
def test_a_piece_without_direction_is_refused(norm, radius):
    norms = torch.tensor([1.0, norm, 1.0], dtype=torch.float64)
    with pytest.raises(UsageError, match=r"^Piece 1 of 3 of 'a', 'b', 'c', … has norm "):
        sphere_radii(norms, radius, ["a", "b", "c", "d"])


@pytest.mark.parametrize("norm", [2e-15, 5e14])
def test_small_and_large_pieces_have_a_direction(norm):
    norms = torch.tensor([norm], dtype=torch.float64)
    assert sphere_radii(norms, "keep", ["w"]).tolist() == [norm]
