"""Parameter groups in which some weights live on spheres: plain values, for any optimiser."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from torch import Tensor, nn

from etaeff._checks.tensors import FLATTENED, check_radius, is_flattened
from etaeff.errors import UnknownNameError, UsageError
from etaeff.geometry._block import Block, check_block

MODES: Final = ("projected", "angle", "equilibrium")


def param_groups(
    model: nn.Module | Mapping[str, Tensor],
    blocks: Sequence[Block],
    *,
    lr: float | Tensor,
    weight_decay: float = 0.0,
    sphere_lr: float | Tensor | None = None,
    sphere_weight_decay: float | None = None,
    mode: str = "projected",
    radius: str | float = "unit",
    without_decay: Collection[str] = (),
    separate: bool = False,
    step: str | None = "",
) -> list[dict[str, Any]]:
    """Groups for the optimisers of `etaeff.optim`: the blocks on their spheres, and the rest.

    Every value is plain, so a checkpoint holds all of it. Optimisers of torch take the groups too,
    and read nothing from `blocks`, `mode` and `radius`.

    Args:
        model: A module, or its parameters by name.
        blocks: Blocks on spheres, for example `audit.blocks`. No tensor may be in two.
        lr: Of the rest, and of the blocks unless `sphere_lr` is given.
        weight_decay: Of the rest. Blocks have none, except with `mode="equilibrium"`, which
            takes their angle from it.
        sphere_lr: Of the blocks; its unit depends on `mode`.
        sphere_weight_decay: Of the blocks with `mode="equilibrium"`; `weight_decay` by default.
        mode: `"projected"` (lr is the effective learning rate at radius 1), `"angle"` (lr is in
            radians per step) or `"equilibrium"` (lr and weight decay are those of the free
            optimiser).
        radius: `"unit"`, `"keep"` (the norm that a piece has when the optimiser is made), or a
            positive number.
        without_decay: Names that have no weight decay, for example those without effect.
        separate: A group for each block, as `ZeroRedundancyOptimizer` needs, which deals out the
            tensors of a group.
        step: The old name of `mode`; refused.

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
    check_mode(mode, step)
    check_radius(radius)
    decay_on_spheres = _decay_on_spheres(mode, weight_decay, sphere_weight_decay)
    tensors = parameters_of(model)
    _check_names(without_decay, tensors)
    on_spheres = tensors_in_blocks(blocks, tensors)
    once = {id(tensor): name for name, tensor in reversed(tensors.items())}
    rest = [name for key, name in reversed(once.items()) if key not in on_spheres]
    groups: list[dict[str, Any]] = []
    for together in [[block] for block in blocks] if separate else [blocks]:
        if together:
            names = [name for block in together for name in block.names]
            groups.append({
                "params": [tensors[name] for name in names],
                "lr": lr if sphere_lr is None else sphere_lr,
                "weight_decay": decay_on_spheres,
                "kind": "sphere",
                "blocks": [_plain(block, names, tensors) for block in together],
                "mode": mode,
                "radius": radius,
            })  # fmt: skip
    for kind, decay, names in (
        ("other", weight_decay, [name for name in rest if name not in without_decay]),
        ("without decay", 0.0, [name for name in rest if name in without_decay]),
    ):
        if names:
            params = [tensors[name] for name in names]
            groups.append({"params": params, "lr": lr, "weight_decay": decay, "kind": kind})
    return groups


def _decay_on_spheres(mode: str, weight_decay: float, given: float | None) -> float:
    """The weight decay of the blocks: what their angle comes from, or none."""
    if mode == "equilibrium":
        return weight_decay if given is None else given
    if given:
        raise UsageError(
            f"`sphere_weight_decay` goes with mode='equilibrium', which takes the angle from it; "
            f"with mode={mode!r} blocks have no decay, since their norm is fixed. Got {given:g}."
        )
    return 0.0


def _check_names(names: Collection[str], tensors: Mapping[str, Tensor]) -> None:
    for name in names:
        if name not in tensors:
            raise UnknownNameError("parameter", name, tensors)


def tensors_in_blocks(blocks: Sequence[Block], tensors: Mapping[str, Tensor]) -> set[int]:
    """The ids of the tensors in blocks, each of which is in one block, once.

    Raises:
        UnknownNameError: If a block names no parameter.
        UsageError: If a tensor is named twice, or cannot be cut as its block says.
    """
    names: dict[int, str] = {}
    for block in blocks:
        check_block(block, tensors)
        for name in block.names:
            first = names.get(id(tensors[name]))
            if first == name:
                raise UsageError(f"Parameter {name!r} is in two blocks; it can be in one.")
            if first is not None:
                raise UsageError(f"{first!r} and {name!r} are one tensor; name it once.")
            names[id(tensors[name])] = name
    return set(names)


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


def check_mode(mode: Any, step: Any = "") -> None:
    """Refuse what is no mode of a step on spheres, and `step`, the old name of the argument."""
    if step != "":
        raise UsageError(
            f"`step` is called `mode` now, since an optimiser's `step` is its method: write "
            f"mode={step!r}."
        )
    if mode not in MODES:
        raise UsageError(f"`mode` must be one of {', '.join(map(repr, MODES))}, got {mode!r}.")
