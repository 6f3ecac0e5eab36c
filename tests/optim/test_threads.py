"""Sphere optimisers on DTensors over four ranks, which are threads of this process."""

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from etaeff.convert import rescale_
from etaeff.geometry import Block, block_norms, param_groups
from etaeff.optim import SphereAdam, SphereLion, SphereSGD

pytest.importorskip("expecttest")
# Of torch's own tests: nothing is promised of it.
common = pytest.importorskip("torch.testing._internal.common_distributed")
tensor = pytest.importorskip("torch.distributed.tensor")

RANKS, STEPS = 4, 5
SHAPES = {"w": (10, 6), "v": (8, 6, 3), "b": (10,)}
OPTIMIZERS = {
    "sgd": lambda groups: SphereSGD(groups, momentum=0.9, nesterov=True),
    "adam": SphereAdam,
    "adam by block": lambda groups: SphereAdam(groups, second_moment="block"),
    "tangent": lambda groups: SphereAdam(groups, tangent=True),
    "lion": SphereLion,
}
BLOCKS = {
    "rows": [Block(("w",), count=10), Block(("v",), count=8)],
    "pairs of rows": [Block(("w",), count=5), Block(("v",), count=4)],
    "tensors": [Block(("w",)), Block(("v",))],
    "joint": [Block(("w", "b"), count=10)],
    "joint tensors": [Block(("w", "v", "b"))],
    "second axis": [Block(("w",), axis=1, count=3), Block(("v",), axis=1, count=6)],
    "last axis": [Block(("v",), axis=-1, count=3)],
}


def values(step):
    """Weights, or the gradients of a step; the same on every rank."""
    generator = torch.Generator().manual_seed(step)
    return {n: torch.randn(s, generator=generator) for n, s in SHAPES.items()}


def trained(kind, layout, spread):
    """Weights after some steps with given gradients; `spread` makes DTensors."""
    params = {name: nn.Parameter(spread(value)) for name, value in values(0).items()}
    groups = param_groups(params, BLOCKS[layout], lr=0.05, weight_decay=0.01)
    optimizer = OPTIMIZERS[kind](groups)
    for step in range(1, STEPS + 1):
        for name, value in values(step).items():
            params[name].grad = spread(value)
        optimizer.step()
    return {name: p.detach() for name, p in params.items()}


@pytest.mark.skipif(
    torch.__version__ < torch.torch_version.TorchVersion("2.13"),
    reason="MultiThreadedTestCase of older versions of torch lacks `comms`",
)
class Threads(common.MultiThreadedTestCase):
    """Ten rows over four ranks: 3, 3, 3 and 1; pairs of rows cross them."""

    world_size = RANKS

    def setUp(self):
        super().setUp()
        self._spawn_threads()

    def compare(self, shape, placements, kinds, layouts):
        mesh = init_device_mesh("cpu", shape)

        def spread(value):
            return tensor.distribute_tensor(value, mesh, placements(value))

        for kind in kinds:
            for layout in layouts:
                alone, found = (trained(kind, layout, make) for make in (torch.clone, spread))
                for name, weight in alone.items():
                    full = found[name].full_tensor()
                    assert torch.allclose(full, weight, rtol=1e-6, atol=1e-6), (kind, layout, name)

    def test_rows(self):
        self.compare((RANKS,), lambda value: [tensor.Shard(0)], OPTIMIZERS, BLOCKS)

    def test_last_axis(self):
        self.compare((RANKS,), lambda value: [tensor.Shard(value.ndim - 1)], ["sgd"], BLOCKS)

    def test_replicas(self):
        self.compare((RANKS,), lambda value: [tensor.Replicate()], ["adam"], BLOCKS)

    def test_replicas_of_shards(self):
        both = [tensor.Replicate(), tensor.Shard(0)]
        self.compare((2, 2), lambda value: both, ["adam", "adam by block"], BLOCKS)

    def test_shards_along_two_axes(self):
        def both(value):
            return [tensor.Shard(0), tensor.Shard(1) if value.ndim > 1 else tensor.Replicate()]

        self.compare((2, 2), both, ["adam"], BLOCKS)

    def test_norms_are_plain_and_the_same_on_every_rank(self):
        """Of evenly and unevenly sharded weights, and of pieces that cross ranks."""
        mesh = init_device_mesh("cpu", (RANKS,))
        for layout, blocks in BLOCKS.items():
            for axis in (0, 1):
                whole = values(0)
                sharded = {
                    name: tensor.distribute_tensor(
                        value, mesh, [tensor.Shard(axis if axis < value.ndim else 0)]
                    )
                    for name, value in whole.items()
                }
                for block in blocks:
                    norms = block_norms(block, sharded)
                    assert type(norms) is torch.Tensor, (layout, axis)
                    torch.testing.assert_close(norms, block_norms(block, whole), rtol=1e-14, atol=0)

    def test_rescaled_weights_are_those_of_one_process(self):
        """Each piece has a factor of its own; the factors are plain tensors."""
        mesh = init_device_mesh("cpu", (RANKS,))
        for layout in ("rows", "pairs of rows", "joint", "second axis", "joint tensors"):
            models = []
            for spread in (
                torch.clone,
                lambda value: tensor.distribute_tensor(value, mesh, [tensor.Shard(0)]),
            ):
                model = nn.Module()
                for name, value in values(0).items():
                    model.register_parameter(name, nn.Parameter(spread(value)))
                models.append((model, rescale_(model, BLOCKS[layout], radius=2.0)))
            (alone, factors), (sharded, found) = models
            for name, factor in factors.items():
                assert type(found[name]) is torch.Tensor
                torch.testing.assert_close(found[name], factor, rtol=1e-14, atol=0)
                full = sharded.get_parameter(name).full_tensor()
                torch.testing.assert_close(full, alone.get_parameter(name).detach())
