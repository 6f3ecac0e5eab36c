"""What several tests of the optimisers need."""

import pytest
import torch


@pytest.fixture
def alone(tmp_path):
    """A process group of this process alone."""
    store = f"file://{tmp_path / 'store'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()
