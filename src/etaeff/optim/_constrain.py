"""The sphere for any optimiser of torch's kind: normalise after each of its steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from etaeff.errors import UnknownNameError, UsageError
from etaeff.geometry import Block, sphere_radii
from etaeff.optim._layout import Sphere, norms_of, put_at_


class Constraint:
    """What `constrain_` returns.

    Attributes:
        radii: Radius of each piece, in the order of the blocks.
    """

    def __init__(self, spheres: Sequence[Sphere], radii: Sequence[Tensor], handle: Any) -> None:
        """Made by `constrain_`."""
        self.radii = tuple(radii)
        self._spheres = tuple(spheres)
        self._handle = handle

    def remove(self) -> None:
        """Let the weights go: the optimiser steps freely from now on."""
        self._handle.remove()


def constrain_(
    model: nn.Module | Mapping[str, Tensor],
    optimizer: Optimizer,
    blocks: Sequence[Block],
    *,
    radius: str | float = "unit",
) -> Constraint:
    r"""Keep blocks on spheres under any optimiser: $w \leftarrow R\,w/\|w\|$ after each step.

    A post-step hook of torch does it, so it works with fused and third-party optimisers,
    schedulers, GradScaler, closures, and the wrappers of Accelerate and Lightning. A piece within
    two units in the last place of its radius is left alone: a step that changes nothing changes no
    bit.

    Args:
        model: A module, or its parameters by name.
        optimizer: The optimiser that steps them, or a wrapper with it in `.optimizer`.
        blocks: Blocks on spheres, for example `audit.blocks`.
        radius: `"unit"`, `"keep"` or a positive number. The blocks are put there now.

    Returns:
        A handle; `remove()` ends it.

    Raises:
        UnknownNameError: If a block names no parameter.
        UsageError: If a piece has no direction, or the optimiser does not step a tensor.

    Examples:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4))
        >>> optimizer = torch.optim.RMSprop(model.parameters(), lr=0.01)
        >>> handle = constrain_(model, optimizer, [Block(("0.weight",), count=4)])
        >>> model(torch.randn(8, 3)).square().sum().backward()
        >>> optimizer.step()
        >>> (model[0].weight.norm(dim=1) - 1).abs().max() < 1e-6
        tensor(True)
        >>> handle.remove()

    References:
        van Laarhoven 2017, section 5.5.
    """
    inner = _unwrapped(optimizer)
    stepped = {id(p) for group in inner.param_groups for p in group["params"]}
    found = _spheres_of(model, blocks)
    for sphere in found:
        for name, p in zip(sphere.block.names, sphere.params, strict=True):
            if id(p) not in stepped:
                raise UsageError(f"The optimiser does not step {name!r}, which is in a block.")
    radii = project_(model, blocks, radius=radius)

    def after(_optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        put_at_(found, radii)

    return Constraint(found, radii, inner.register_step_post_hook(after))


def project_(
    model: nn.Module | Mapping[str, Tensor],
    blocks: Sequence[Block],
    *,
    radius: str | float | Sequence[Tensor] = "unit",
) -> list[Tensor]:
    r"""Put blocks at their radius, once: $w \leftarrow R\,w/\|w\|$.

    An average of points on a sphere lies inside it. After averaging weights, as `AveragedModel` or
    an exponential moving average do, this puts the average where the optimiser would have it.

    Args:
        model: A module, or its parameters by name.
        blocks: Blocks on spheres.
        radius: `"unit"`, `"keep"`, a positive number, or the radii that this or `constrain_`
            gave, one tensor for each block.

    Returns:
        The radii, of shape (count,) in float64, one tensor for each block.

    Raises:
        UnknownNameError: If a block names no parameter.
        UsageError: If a piece has no direction.

    Examples:
        >>> import torch
        >>> model = nn.Linear(3, 2, bias=False)
        >>> averaged = torch.optim.swa_utils.AveragedModel(model)
        >>> _ = project_(averaged.module, [Block(("weight",), count=2)])
        >>> (averaged.module.weight.norm(dim=1) - 1).abs().max() < 1e-6
        tensor(True)
    """
    found = _spheres_of(model, blocks)
    norms = norms_of(found)
    if isinstance(radius, str | int | float):
        radii = [sphere_radii(n, radius, own.block) for n, own in zip(norms, found, strict=True)]
    else:
        radii = [own.to(norm) for own, norm in zip(radius, norms, strict=True)]
        for norm, own in zip(norms, found, strict=True):
            sphere_radii(norm, "keep", own.block)
    put_at_(found, radii)
    return radii


def _spheres_of(model: nn.Module | Mapping[str, Tensor], blocks: Sequence[Block]) -> list[Sphere]:
    tensors = dict(model.named_parameters()) if isinstance(model, nn.Module) else dict(model)
    for block in blocks:
        for name in block.names:
            if name not in tensors:
                raise UnknownNameError("parameter", name, tensors)
    return [Sphere(block, tuple(tensors[name] for name in block.names)) for block in blocks]


def _unwrapped(optimizer: Any) -> Optimizer:
    """The optimiser inside wrappers, whose hooks run whoever calls `step`."""
    while isinstance(getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = optimizer.optimizer
    if not isinstance(optimizer, Optimizer):
        raise UsageError(
            f"`optimizer` must be a torch.optim.Optimizer, got {type(optimizer).__name__}."
        )
    return optimizer
