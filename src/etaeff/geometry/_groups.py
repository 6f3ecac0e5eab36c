"""Parameter groups in which some weights live on spheres: plain values, for any optimiser."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from etaeff.errors import UnknownNameError, UsageError
from etaeff.geometry._block import Block, block_pieces

STEPS: Final = ("projected", "angle", "equilibrium")


def param_groups(
    model: nn.Module | Mapping[str, Tensor],
    blocks: Sequence[Block],
    *,
    lr: float | Tensor,
    weight_decay: float = 0.0,
    sphere_lr: float | Tensor | None = None,
    step: str = "projected",
    radius: str | float = "unit",
    without_decay: Collection[str] = (),
    separate: bool = False,
) -> list[dict[str, Any]]:
    """Groups for the optimisers of `etaeff.optim`: the blocks on their spheres, and the rest.

    Every value is plain, so a checkpoint holds all of it. Optimisers of torch take the groups too,
    and read nothing from `blocks`, `step` and `radius`.

    Args:
        model: A module, or its parameters by name.
        blocks: Blocks on spheres, for example `audit.blocks`. No tensor may be in two.
        lr: Of the rest, and of the blocks unless `sphere_lr` is given.
        weight_decay: Of the rest. Blocks have none, except with `step="equilibrium"`, which
            takes their angle from it.
        sphere_lr: Of the blocks; its unit depends on `step`.
        step: `"projected"` (lr is the effective learning rate at radius 1), `"angle"` (lr is in
            radians per step) or `"equilibrium"` (lr and weight decay are those of the free
            optimiser).
        radius: `"unit"`, `"keep"` (the norm that a piece has when the optimiser is made), or a
            positive number.
        without_decay: Names that have no weight decay, for example those without effect.
        separate: A group for each block, as `ZeroRedundancyOptimizer` needs, which deals out the
            tensors of a group.

    Returns:
        Up to three groups, with `kind` "sphere", "other" and "without decay".

    Raises:
        UnknownNameError: If a block names no parameter.
        UsageError: If blocks share a tensor or cannot be cut as they say, or a value is none of
            those above.

    Examples:
        >>> model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4))
        >>> groups = param_groups(model, [Block(("0.weight",), count=4)], lr=0.1, weight_decay=1e-4)
        >>> [(group["kind"], group["weight_decay"], len(group["params"])) for group in groups]
        [('sphere', 0.0, 1), ('other', 0.0001, 2)]
        >>> groups[0]["blocks"]
        [{'names': ['0.weight'], 'params': [0], 'shapes': [[4, 3]], 'axis': 0, 'count': 4}]
    """
    if step not in STEPS:
        raise UsageError(f"`step` must be one of {', '.join(map(repr, STEPS))}, got {step!r}.")
    check_radius(radius)
    tensors = parameters_of(model)
    _refuse_names(without_decay, tensors)
    held = refuse_shared(blocks, tensors)
    once = {id(tensor): name for name, tensor in reversed(tensors.items())}
    rest = [name for own, name in reversed(once.items()) if own not in held]
    groups: list[dict[str, Any]] = []
    for together in [[block] for block in blocks] if separate else [blocks]:
        if together:
            names = [name for block in together for name in block.names]
            groups.append({
                "params": [tensors[name] for name in names],
                "lr": lr if sphere_lr is None else sphere_lr,
                "weight_decay": weight_decay if step == "equilibrium" else 0.0,
                "kind": "sphere",
                "blocks": [_plain(block, names, tensors) for block in together],
                "step": step,
                "radius": radius,
            })  # fmt: skip
    for kind, decay, names in (
        ("other", weight_decay, [name for name in rest if name not in without_decay]),
        ("without decay", 0.0, [name for name in rest if name in without_decay]),
    ):
        own = [tensors[name] for name in names]
        if own:
            groups.append({"params": own, "lr": lr, "weight_decay": decay, "kind": kind})
    return groups


def _refuse_names(names: Collection[str], tensors: Mapping[str, Tensor]) -> None:
    for name in names:
        if name not in tensors:
            raise UnknownNameError("parameter", name, tensors)


def refuse_shared(blocks: Sequence[Block], tensors: Mapping[str, Tensor]) -> set[int]:
    """The ids of the tensors in blocks, each of which is in one block, once.

    Raises:
        UnknownNameError: If a block names no parameter.
        UsageError: If a tensor is named twice, or cannot be cut as its block says.
    """
    # Without data: a parameter may be spread over processes.
    metas = {name: torch.empty(t.shape, device="meta") for name, t in tensors.items()}
    held: dict[int, str] = {}
    for block in blocks:
        block_pieces(block, metas)  # refuses what cannot be cut
        for name in block.names:
            first = held.get(id(tensors[name]))
            if first == name:
                raise UsageError(f"Parameter {name!r} is in two blocks; it can be in one.")
            if first is not None:
                raise UsageError(f"{first!r} and {name!r} are one tensor; name it once.")
            held[id(tensors[name])] = name
    return set(held)


def _plain(block: Block, names: Sequence[str], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """A block of a group whose parameters have these names."""
    return {
        "names": list(block.names),
        "params": [names.index(name) for name in block.names],
        "shapes": [list(tensors[name].shape) for name in block.names],
        "axis": block.axis,
        "count": block.count,
    }


def parameters_of(model: nn.Module | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameters by name.

    Raises:
        UsageError: If they are flattened shards, whatever their names are.
    """
    modules: Iterable[nn.Module] = ()
    if isinstance(model, nn.Module):
        modules, model = model.modules(), dict(model.named_parameters())
    tensors = dict(model)
    wrapped = any(type(module).__name__ == "FullyShardedDataParallel" for module in modules)
    if wrapped or any(map(is_flattened, tensors.values())):
        raise UsageError(FLATTENED)
    return tensors


FLATTENED: Final = (
    "FullyShardedDataParallel (FSDP1) and DeepSpeed's stage 3 hold flattened shards, which have no "
    "channels. Use FSDP2 (`fully_shard`), which keeps shapes."
)


def is_flattened(tensor: Tensor) -> bool:
    """Whether FSDP1, with original parameters or without, or DeepSpeed has marked it."""
    return any(hasattr(tensor, mark) for mark in ("_is_flat_param", "_fsdp_flattened", "ds_id"))


def check_radius(radius: object) -> None:
    """Refuse what is no radius of a sphere."""
    number = isinstance(radius, int | float) and not isinstance(radius, bool)
    if radius not in ("unit", "keep") and not (number and 0 < float(radius) < float("inf")):  # type: ignore[arg-type]
        raise UsageError(f"`radius` must be 'unit', 'keep', or a positive number, got {radius!r}.")


def sphere_radii(norms: Tensor, radius: str | float, block: Block) -> Tensor:
    """The radius of each piece, from the norms that they have.

    Raises:
        UsageError: If a piece has no direction: its norm is zero, too small or large for squares
            in float32, or not finite.
    """
    check_radius(radius)
    bad = ~has_direction(norms)
    if bool(bad.any()):
        first = int(bad.nonzero()[0])
        raise UsageError(
            f"Piece {first} of {block.count} of {_named(block)} has norm "
            f"{float(norms[first]):.3g}, which gives it no direction. Initialise it at random, or "
            "leave it out of the blocks, as for a branch that is meant to begin at zero."
        )
    if radius == "keep":
        return norms
    return torch.full_like(norms, 1.0 if radius == "unit" else float(radius))


def check_radii(radii: Tensor, block: Block, dtype: torch.dtype) -> None:
    """Refuse radii at which weights of a dtype have no direction, or overflow.

    Raises:
        UsageError: If a radius is NaN, infinite, not positive, or too small or large.
    """
    own = torch.finfo(dtype)
    low, high = max(_SMALLEST, own.tiny), min(1 / _SMALLEST, own.max)
    bad = ~((radii > low) & (radii < high))
    if bool(bad.any()):
        first = int(bad.nonzero()[0])
        raise UsageError(
            f"`radius` must be above {low:.3g} and below {high:.3g} for weights in "
            f"{str(dtype).removeprefix('torch.')}, got {float(radii[first]):.3g} for piece {first} "
            f"of {block.count} of {_named(block)}."
        )


def has_direction(norms: Tensor) -> Tensor:
    """Which pieces with these norms are neither zero nor NaN, nor beyond squares in float32."""
    return (norms > _SMALLEST) & (norms < 1 / _SMALLEST)


def _named(block: Block) -> str:
    return ", ".join(map(repr, block.names[:3])) + (", …" if len(block.names) > 3 else "")


_SMALLEST: Final = 1e-15
