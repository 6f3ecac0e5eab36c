"""What a group on spheres must be: checked before a weight or a moment changes."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from etaeff._checks.tensors import check_dense_real, check_radius, quoted
from etaeff.errors import UsageError
from etaeff.geometry import Block, BlockTensors, check_mode, check_radii_of, norms_of, sphere_radii


def checked_blocks(group: Mapping[str, Any]) -> list[BlockTensors]:
    """The blocks of a group: at every step, because it may have been changed since."""
    check_mode(group.get("mode"), group.get("step", ""))
    if group["mode"] != "equilibrium":
        check_no_decay(group["weight_decay"])
    _check_shapes(group)
    blocks = blocks_of(group)
    for of in blocks:
        _check_trained_as_one(of)
        _check_has_angle(of, group["mode"])
    return blocks


def check_sphere_group(group: Mapping[str, Any]) -> None:
    """Refuse a group that cannot be on spheres; its weights are not touched."""
    check_radius(group["radius"])
    if not group["params"]:  # another process has them
        return
    _check_no_leftovers(group)
    blocks = checked_blocks(group)
    _check_kinds(blocks)
    radii = radii_of(group, blocks)
    if group["radius"] != "keep":
        check_radii_of(blocks, radii)


def radii_of(group: Mapping[str, Any], blocks: Sequence[BlockTensors]) -> list[Tensor]:
    """The radius of each piece of each block, as the group says, at the weights as they are.

    Raises:
        UsageError: If a piece has no direction.
    """
    return [
        sphere_radii(norm, group["radius"], of.block.names)
        for norm, of in zip(norms_of(blocks), blocks, strict=True)
    ]


def blocks_of(group: Mapping[str, Any]) -> list[BlockTensors]:
    """The blocks of a group with their parameters."""
    return [
        BlockTensors(
            Block(tuple(plain["names"]), axis=plain["axis"], count=plain["count"]),
            tuple(group["params"][i] for i in plain["params"]),
        )
        for plain in group["blocks"]
    ]


def check_no_decay(weight_decay: float | Tensor) -> None:
    if weight_decay != 0:
        raise UsageError(
            f"A group on spheres has no weight decay, and was given {float(weight_decay):g}: the "
            "norm is fixed, so that decay has nothing to do. Set it to 0, or use "
            "mode='equilibrium', which takes the angle from lr and weight_decay."
        )


def _check_trained_as_one(of: BlockTensors) -> None:
    """Refuse a sphere of which a part is not to move: the others cannot turn without it."""
    for i, p in enumerate(of.params):
        if p.requires_grad != of.params[0].requires_grad:
            frozen = of.block.names[0 if p.requires_grad else i]
            raise UsageError(
                f"{frozen!r} is frozen (requires_grad=False), and other tensors of its block are "
                "not. A joint block is one sphere, and moves as one: train all its tensors or "
                "none, or make the block without it."
            )


def _check_has_angle(of: BlockTensors, mode: str) -> None:
    """Refuse pieces of one number, which have no angle to turn by: they would stand still."""
    if mode != "projected" and sum(p.numel() for p in of.params) == of.block.count:
        raise UsageError(
            f"A piece of {quoted(of.block.names)} has one entry, so that its "
            f"sphere is two points and mode={mode!r} has nothing to turn. Leave it out of the "
            "blocks, or use larger pieces."
        )


def _check_shapes(group: Mapping[str, Any]) -> None:
    """Refuse groups whose tensors are no longer those that the blocks were made for."""
    params = group["params"]
    for block in group["blocks"]:
        shapes = block.get("shapes") or [list(params[i].shape) for i in block["params"]]
        for name, i, shape in zip(block["names"], block["params"], shapes, strict=True):
            if i < len(params) and list(params[i].shape) == list(shape):
                continue
            there = f"has shape {list(params[i].shape)}" if i < len(params) else "is not there"
            raise UsageError(
                f"{name!r} had shape {list(shape)} when its block was made, and in this group it "
                f"{there}. Flattened shards (FSDP1, DeepSpeed) have no channels: use FSDP2. "
                "ZeroRedundancyOptimizer deals out the tensors of a group: "
                + _dealt(block["names"])
            )


def _dealt(names: list[str]) -> str:
    if len(names) == 1:
        return "use `param_groups(..., separate=True)`."
    return (
        f"it cannot have a block of several tensors ({', '.join(map(repr, names))}); use DDP or "
        "FSDP2 for those."
    )


def _check_no_leftovers(group: Mapping[str, Any]) -> None:
    """Refuse a tensor that no block has, or two: it would not be stepped, or twice."""
    placed = sorted(i for block in group["blocks"] for i in block["params"])
    if len(set(placed)) < len(placed):
        raise UsageError("A tensor of a sphere group is in two blocks; it can be in one.")
    if set(range(len(group["params"]))) - set(placed):
        raise UsageError(
            f"A sphere group has {len(group['params'])} tensors, and its blocks name "
            f"{len(placed)}. Put the others into a group without blocks."
        )


def check_same_blocks(present: Any, saved: Any) -> None:
    """Refuse to load groups of other blocks."""
    if json.dumps(present or []) != json.dumps(saved or []):
        raise UsageError(
            "The saved groups have other blocks on spheres than this optimiser. Make it with the "
            "groups that it was saved with; to begin on spheres from a free run, load the model "
            "and make a new optimiser."
        )


def _check_kinds(blocks: Sequence[BlockTensors]) -> None:
    """Refuse parameters that are no dense tensors of real numbers, or flattened."""
    for of in blocks:
        for name, p in zip(of.block.names, of.params, strict=True):
            check_dense_real(name, p)
