"""The sphere for any optimiser of torch's kind: normalise after each of its steps."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from etaeff._checks.tensors import check_dense_real, has_direction, quoted
from etaeff.errors import NumericalError, UsageError
from etaeff.geometry import (
    Block,
    BlockTensors,
    block_tensors,
    check_radii_of,
    norms_of,
    parameters_of,
    put_at_,
    scale_to_,
    sphere_radii,
    tensors_in_blocks,
)


class Constraint:
    """What `constrain_` returns.

    Attributes:
        radii: Radius of each piece, in the order of the blocks, in float64.
    """

    def __init__(
        self, blocks: Sequence[BlockTensors], radii: Sequence[Tensor], optimizer: Optimizer
    ) -> None:
        """Made by `constrain_`."""
        self.radii = tuple(radii)
        self._blocks = tuple(blocks)
        self._handle = optimizer.register_step_post_hook(self._after)

    def remove(self) -> None:
        """Let the weights go: the optimiser steps freely from now on."""
        self._handle.remove()

    def state_dict(self) -> dict[str, list[Tensor]]:
        """The radii, for a checkpoint."""
        return {"radii": [radius.clone() for radius in self.radii]}

    def load_state_dict(self, state_dict: Mapping[str, Sequence[Tensor]]) -> None:
        """Take the radii of a checkpoint; the weights are as the model loaded them.

        Raises:
            UsageError: If the radii are not of these blocks.
        """
        radii = _given(state_dict["radii"], self._blocks, self.radii)
        check_radii_of(self._blocks, radii)
        self.radii = tuple(radii)

    def _after(self, _optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        norms = norms_of(self._blocks)
        _check_directions(self._blocks, norms)
        scale_to_(self._blocks, self.radii, norms)


def constrain_(
    model: nn.Module | Mapping[str, Tensor],
    optimizer: Optimizer,
    blocks: Sequence[Block],
    *,
    radius: str | float | Sequence[Tensor] = "unit",
) -> Constraint:
    r"""Keep blocks on spheres under any optimiser: $w \leftarrow R\,w/\|w\|$ after each step.

    A post-step hook of torch does it, so it works with fused and third-party optimisers,
    schedulers, GradScaler, closures, and the wrappers of Accelerate and Lightning. A piece within
    two units in the last place of its radius is left alone: a step that changes nothing changes no
    bit. A step after which a piece is NaN, infinite or zero raises a `NumericalError`.

    Copies of an optimiser (`deepcopy`, `pickle`) have no hooks, as torch has it: call this again
    on them. To go on from a checkpoint with `radius="keep"`, save `handle.state_dict()` too, and
    load it after the weights: measured anew, the radii would differ by rounding.

    Args:
        model: A module, or its parameters by name.
        optimizer: The optimiser that steps them, or a wrapper with it in `.optimizer`. Of
            optimisers in each other, such as Lookahead, the outermost.
        blocks: Blocks on spheres, for example `audit.blocks`.
        radius: `"unit"`, `"keep"`, a positive number, or radii as `handle.radii` has them, one
            tensor for each block. The blocks are put there now.

    Returns:
        A handle; `remove()` ends it.

    Raises:
        UnknownNameError: If a block names no parameter.
        UsageError: If a piece has no direction, a radius is none in the dtype of the weights, the
            optimiser does not step a tensor or runs no hooks, or tensors are flattened shards.

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
    hooked = _hooked(optimizer)
    stepped = {id(p) for group in hooked.param_groups for p in group["params"]}
    bound = _block_tensors(model, blocks)
    for of in bound:
        for name, p in zip(of.block.names, of.params, strict=True):
            if id(p) not in stepped:
                raise UsageError(f"The optimiser does not step {name!r}, which is in a block.")
    return Constraint(bound, project_(model, blocks, radius=radius), hooked)


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
        UsageError: If a piece has no direction, a radius is none in the dtype of the weights, or
            tensors are flattened shards.

    Examples:
        >>> import torch
        >>> model = nn.Linear(3, 2, bias=False)
        >>> averaged = torch.optim.swa_utils.AveragedModel(model)
        >>> _ = project_(averaged.module, [Block(("weight",), count=2)])
        >>> (averaged.module.weight.norm(dim=1) - 1).abs().max() < 1e-6
        tensor(True)
    """
    bound = _block_tensors(model, blocks)
    norms = norms_of(bound)
    # Of listed radii too, this refuses pieces without direction.
    named: Any = "keep" if isinstance(radius, list | tuple) else radius
    radii = [
        sphere_radii(norm, named, of.block.names) for norm, of in zip(norms, bound, strict=True)
    ]
    if radius == "keep":
        return radii
    if isinstance(radius, list | tuple):
        radii = _given(radius, bound, norms)
    put_at_(bound, radii)
    return radii


def _block_tensors(
    model: nn.Module | Mapping[str, Tensor], blocks: Sequence[Block]
) -> list[BlockTensors]:
    """The blocks with their parameters, which are dense, real, and in one block each."""
    tensors = parameters_of(model)
    tensors_in_blocks(blocks, tensors)  # refuses those in two
    for block in blocks:
        for name in block.names:
            check_dense_real(name, tensors[name])
    return [block_tensors(block, tensors) for block in blocks]


def _given(
    radii: Sequence[Tensor], bound: Sequence[BlockTensors], like: Sequence[Tensor]
) -> list[Tensor]:
    """Radii from outside, where and in the precision that measured ones have."""
    if len(radii) != len(bound):
        raise UsageError(
            f"`radius` must have one tensor for each of the {len(bound)} blocks, got {len(radii)}."
        )
    for radius, of in zip(radii, bound, strict=True):
        if not isinstance(radius, Tensor) or tuple(radius.shape) != (of.block.count,):
            shape = list(radius.shape) if isinstance(radius, Tensor) else repr(radius)
            raise UsageError(
                f"The radii of the block of {of.block.names[0]!r} must be a tensor of shape "
                f"[{of.block.count}], got {shape}."
            )
    return [radius.detach().to(norm, copy=True) for radius, norm in zip(radii, like, strict=True)]


def _check_directions(bound: Sequence[BlockTensors], norms: Sequence[Tensor]) -> None:
    """One question for all blocks: each would wait for the device."""
    device = norms[0].device if norms else torch.device("cpu")
    captured = device.type == "cuda" and torch.cuda.is_current_stream_capturing()
    if not bound or captured or torch.compiler.is_compiling():
        return
    if bool(has_direction(torch.cat([norm.to(device) for norm in norms])).all()):
        return
    for of, norm in zip(bound, norms, strict=True):
        if not bool(has_direction(norm).all()):
            raise NumericalError(
                f"The weight of {quoted(of.block.names)} is NaN, infinite or zero "
                "after the step, which leaves it no direction: go back to a checkpoint, and look "
                "at the loss and the learning rate."
            )


# They call the `step` of the optimiser inside and no hooks of their own, and change no weights.
_DELEGATES: Final = {"AcceleratedOptimizer", "LightningOptimizer"}


def _hooked(optimizer: Any) -> Optimizer:
    """The outermost optimiser that runs its hooks: those in it may not be the last to step."""
    while not _runs_hooks(optimizer):
        kind, inner = type(optimizer), getattr(optimizer, "optimizer", None)
        if kind.__module__.startswith("deepspeed.runtime"):
            raise UsageError(
                f"{kind.__name__} (DeepSpeed) steps flattened shards, which have no channels. Use "
                "FSDP2 (`fully_shard`), which keeps shapes."
            )
        if inner is None and not isinstance(optimizer, Optimizer):
            raise UsageError(f"`optimizer` must be a torch.optim.Optimizer, got {kind.__name__}.")
        delegates = _DELEGATES & {base.__name__ for base in kind.__mro__}
        if isinstance(optimizer, Optimizer) and not delegates:
            raise UsageError(
                f"The `step` of {kind.__name__} runs no hooks, so that nothing can be done after "
                "it. Call `super().__init__` in its constructor, or `project_` after each step."
            )
        optimizer = inner
    outermost: Optimizer = optimizer
    return outermost


def _runs_hooks(optimizer: Any) -> bool:
    made = "_optimizer_step_post_hooks" in getattr(optimizer, "__dict__", {})
    return made and bool(getattr(type(optimizer).step, "hooked", False))
