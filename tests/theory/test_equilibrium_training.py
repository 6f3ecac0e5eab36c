"""`equilibrium` against training with torch.optim: a small network with Batch Normalization."""

import pytest
import torch
from support import equilibrium_training as training


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("row", training.ROWS, ids=str)
def test_radius_and_angle_are_those_of_training(row):
    for radius, angle in training.ratios(row):
        assert radius.mean() == pytest.approx(1, abs=row.radius)
        assert angle.mean() == pytest.approx(1, abs=row.angle)
