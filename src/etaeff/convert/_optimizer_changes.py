"""Changes of an optimiser, planned as a whole before the first of them is made.

A plan is a list of calls without arguments. Whoever plans may refuse; whoever carries out a
plan never fails half-way.
"""

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from etaeff.convert._optimizer_scalings import Scaling, takes_plain_steps
from etaeff.errors import UsageError

Change = Callable[[], object]
Group = dict[str, Any]  # what torch calls a param group


@dataclass(frozen=True)
class Part:
    """The parameters of one param group that share a factor.

    Args:
        source: Index of the group that they are in.
        members: Their indices in it.
        factor: c.
    """

    source: int
    members: list[int]
    factor: float


def parts(optimizer: Optimizer, factors: Mapping[Tensor, float]) -> list[Part]:
    """The param groups that an optimiser must have for every parameter to have its factor.

    Args:
        optimizer: The optimiser.
        factors: c by parameter; 1 for those that are not named.

    Returns:
        First what stays in each of the present groups, that is the parameters with the factor
        of its first one; then, in the same order, what has to leave for a new group.
    """
    stay, leave = [], []
    for source, group in enumerate(optimizer.param_groups):
        members: dict[float, list[int]] = {}
        for index, parameter in enumerate(group["params"]):
            members.setdefault(factors.get(parameter, 1.0), []).append(index)
        first, *others = [Part(source, indices, c) for c, indices in members.items()] or [
            Part(source, [], 1.0)
        ]
        stay.append(first)
        leave += others
    return stay + leave


def group_changes(optimizer: Optimizer, scaling: Scaling, wanted: Iterable[Part]) -> list[Change]:
    """Put every part into a group of its own, with the settings that its factor needs.

    The present groups keep their place; new ones come after them, with equal settings but for
    those that depend on c.

    Args:
        optimizer: The optimiser.
        scaling: Its row of the table.
        wanted: What `parts` returned.
    """
    groups: list[Group] = optimizer.param_groups
    changes: list[Change] = []
    for index, part in enumerate(wanted):
        group = groups[part.source]
        powers = scaling.settings(group)
        factors = {key: part.factor**power for key, power in powers.items()}
        if index < len(groups):
            if len(part.members) < len(group["params"]):
                changes.append(partial(group.update, _members(group, part)))
            changes += setting_changes(optimizer, group, factors)
        else:  # `new` is a copy made now, before the old group changes
            new = {key: _own_copy(value) for key, value in group.items() if key != "params"}
            new |= {key: times(new[key], factor) for key, factor in factors.items()}
            changes.append(partial(optimizer.add_param_group, new | _members(group, part)))
    return changes


def setting_changes(
    optimizer: Optimizer, group: Group, factors: Mapping[str, float]
) -> list[Change]:
    """Multiply settings of a param group.

    A tensor, such as the learning rate of a captured graph, changes in place, unless other
    groups have the same one. The optimiser's defaults keep their value.

    Args:
        optimizer: The optimiser.
        group: One of its param groups.
        factors: The factor of each setting.
    """
    changes: list[Change] = []
    for key, factor in factors.items():
        old: Tensor | float | tuple[float, ...] = group[key]
        holders = sum(other.get(key) is old for other in optimizer.param_groups)
        if isinstance(old, Tensor) and holders == 1:
            if optimizer.defaults.get(key) is old:  # a new group must get what was asked for
                changes.append(partial(optimizer.defaults.__setitem__, key, old.clone()))
            changes.append(partial(old.mul_, factor))
        else:
            changes.append(partial(group.__setitem__, key, times(old, factor)))
    return changes


def state_changes(
    optimizer: Optimizer, scaling: Scaling, factors: Mapping[Tensor, float]
) -> list[Change]:
    """Multiply the state of the parameters by its powers of their factors.

    Args:
        optimizer: The optimiser.
        scaling: Its row of the table.
        factors: c by parameter.

    Raises:
        UsageError: If the state holds something that the table does not know.
    """
    changes: list[Change] = []
    for parameter, c in factors.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            if key not in scaling.state:
                raise UsageError(
                    f"`optimizer` must hold no state but {', '.join(scaling.state)}, got {key!r}: "
                    "how it follows the radius is not known."
                )
            if scaling.state[key] and isinstance(value, Tensor):
                changes.append(partial(value.mul_, c ** scaling.state[key]))
    return changes


def check_exact(optimizer: Optimizer, names: Mapping[Tensor, str]) -> None:
    """Refuse an optimiser whose next steps follow another law than the later ones.

    Args:
        optimizer: The optimiser.
        names: Names by parameter, of those that are to be moved.

    Raises:
        UsageError: If RAdam is still in its first steps.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter in names and takes_plain_steps(
                optimizer, parameter, group.get("betas", (0.0, 0.0))
            ):
                raise UsageError(
                    f"`optimizer` must have left RAdam's first steps, and {names[parameter]!r} "
                    "has not: these are linear in the gradient, so that no one learning rate "
                    "suits them and the later ones. Take a few steps more."
                )


def check_holds(optimizer: Optimizer, names: Mapping[Tensor, str]) -> None:
    """Refuse parameters that the optimiser does not train.

    Args:
        optimizer: The optimiser.
        names: Names by parameter.

    Raises:
        UsageError: If it lacks one.
    """
    held = {parameter for group in optimizer.param_groups for parameter in group["params"]}
    absent = [repr(name) for parameter, name in names.items() if parameter not in held]
    if absent:
        raise UsageError(
            f"`optimizer` must hold every parameter of `blocks`, and lacks {', '.join(absent)}: "
            "leave their blocks out, or pass the optimizer that trains them."
        )


def times(value: Any, factor: float) -> Any:
    """A number, a tensor or a tuple of them, multiplied; the tensor is a new one."""
    if isinstance(value, tuple):
        return tuple(times(entry, factor) for entry in value)
    return value * factor


def _members(group: Group, part: Part) -> Group:
    """What a group that consists of `part` has of its own."""
    keys = [key for key in ("params", "param_names") if key in group]
    return {key: [group[key][index] for index in part.members] for key in keys}


def _own_copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else copy(value)
