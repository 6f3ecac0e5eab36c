"""That `benchmarks/optim.py` times what it says."""

import math

import optim
import torch


def test_the_shapes_are_those_of_resnet_18():
    shapes = [shape for _, shape in optim.named_shapes(optim.CONVOLUTIONS)]
    # He et al. 2016: 17 convolutions and a linear layer, and three projections of shortcuts.
    assert sum(len(shape) == 4 for shape in shapes) == 17 + 3
    assert sum(math.prod(shape) for shape in shapes) == 11_689_512


def test_every_contestant_takes_steps_and_the_sphere_ones_keep_their_rows_on_spheres():
    few = (((4, 3, 3, 3), 2),)
    for name, optimizer in optim.optimizers(few, "cpu"):
        tensors = [p for group in optimizer.param_groups for p in group["params"]]
        before = [p.detach().clone() for p in tensors]
        optimizer.step()
        assert all(not torch.equal(a, b) for a, b in zip(before, tensors, strict=True)), name
        norms = torch.cat([p.detach().flatten(1).norm(dim=1) for p in tensors if p.ndim == 4])
        on_spheres = torch.allclose(norms, torch.ones(8), atol=1e-5)
        assert on_spheres == ("Sphere" in name or "constrain_" in name), name
