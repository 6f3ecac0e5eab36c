"""What a group on spheres must be; refused before a weight or a moment changes."""

import json
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from etaeff.errors import UsageError
from etaeff.geometry import FLATTENED, STEPS, is_flattened
from etaeff.optim._layout import Sphere, refuse_kind, spheres


def checked(group: dict[str, Any]) -> list[Sphere]:
    """The blocks of a group: at every step, because it may have been changed since."""
    refuse_step(group["step"])
    if group["step"] != "equilibrium":
        refuse_decay(group["weight_decay"])
    _refuse_shapes(group)
    found = spheres(group)
    for sphere in found:
        _refuse_frozen(sphere)
        _refuse_points(sphere, group["step"])
    return found


def refuse_step(step: object) -> None:
    if step not in STEPS:
        raise UsageError(f"`step` must be one of {', '.join(map(repr, STEPS))}, got {step!r}.")


def refuse_decay(weight_decay: float | Tensor) -> None:
    if weight_decay != 0:
        raise UsageError(
            f"A group on spheres has no weight decay, and was given {float(weight_decay):g}: the "
            "norm is fixed, so that decay has nothing to do. Set it to 0, or use "
            "step='equilibrium', which takes the angle from lr and weight_decay."
        )


def _refuse_frozen(sphere: Sphere) -> None:
    """Refuse a sphere of which a part is not to move: the others cannot turn without it."""
    for i, p in enumerate(sphere.params):
        if p.requires_grad != sphere.params[0].requires_grad:
            frozen = sphere.block.names[0 if p.requires_grad else i]
            raise UsageError(
                f"{frozen!r} is frozen (requires_grad=False), and other tensors of its block are "
                "not. A joint block is one sphere, and moves as one: train all its tensors or "
                "none, or make the block without it."
            )


def _refuse_points(sphere: Sphere, step: str) -> None:
    """Refuse pieces of one number, which have no angle to turn by: they would stand still."""
    if step != "projected" and sum(p.numel() for p in sphere.params) == sphere.block.count:
        raise UsageError(
            f"A piece of {', '.join(map(repr, sphere.block.names))} has one entry, so that its "
            f"sphere is two points and step={step!r} has nothing to turn. Leave it out of the "
            "blocks, or use larger pieces."
        )


def refuse_flags(defaults: dict[str, Any]) -> None:
    """As torch does, which adds the groups first, so that weights would be at their radius."""
    if defaults.get("fused") and defaults.get("differentiable"):
        raise RuntimeError("`fused` does not support `differentiable`")
    if defaults.get("fused") and defaults.get("foreach"):
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def _refuse_shapes(group: dict[str, Any]) -> None:
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


def refuse_leftovers(group: dict[str, Any]) -> None:
    """Refuse a tensor that no block has, or two: it would not be stepped, or twice."""
    placed = sorted(i for block in group["blocks"] for i in block["params"])
    if len(set(placed)) < len(placed):
        raise UsageError("A tensor of a sphere group is in two blocks; it can be in one.")
    if set(range(len(group["params"]))) - set(placed):
        raise UsageError(
            f"A sphere group has {len(group['params'])} tensors, and its blocks name "
            f"{len(placed)}. Put the others into a group without blocks."
        )


def refuse_layout(own: Any, saved: Any) -> None:
    """Refuse to load groups of other blocks."""
    if json.dumps(own or []) != json.dumps(saved or []):
        raise UsageError(
            "The saved groups have other blocks on spheres than this optimiser. Make it with the "
            "groups that it was saved with; to begin on spheres from a free run, load the model "
            "and make a new optimiser."
        )


def refuse_kinds(found: Sequence[Sphere]) -> None:
    """Refuse parameters that are no dense tensors of real numbers, or flattened."""
    for sphere in found:
        for name, p in zip(sphere.block.names, sphere.params, strict=True):
            refuse_kind(name, p)
            if is_flattened(p):
                raise UsageError(f"Parameter {name!r} is a flattened shard. {FLATTENED}")
