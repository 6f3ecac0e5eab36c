"""What an optimiser's learning rate and weight decay come to for scale-invariant parameters."""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

from etaeff._words import typed
from etaeff.errors import EtaeffError, NoLawError, UsageError
from etaeff.records.audits import DecayKind
from etaeff.symmetry._effects import DecayEffect
from etaeff.theory import Forecast, Setting, forecast
from etaeff.theory.settings import of_torch, optimizer_of, title

Optimiser: TypeAlias = torch.optim.Optimizer | Setting | str
_ERRATIC: Final = "erratic"


@dataclass(frozen=True, kw_only=True)
class GroupForecast:
    """What lr and weight decay come to for the scale-invariant parameters of a param group.

    Attributes:
        setting: The optimiser and its numbers, as `Setting.parse` reads them; empty where no law
            is known.
        names: The scale-invariant parameters of the group.
        angle: How far they turn in a step at equilibrium, in radians; the largest if they differ.
            `None` if it is not known.
        half_life: Steps in which a deviation of ‖w‖² from equilibrium halves.
        settled: Steps until a twentieth of it is left.
        sentence: All that in words, or why it is not known.
    """

    setting: str
    names: tuple[str, ...]
    angle: float | None = None
    half_life: float | None = None
    settled: float | None = None
    sentence: str = ""


@dataclass(frozen=True)
class _Group:
    """A param group: what it is called, its setting or why there is none, its parameters."""

    label: str
    setting: Setting | None
    reason: str
    names: tuple[str, ...]
    mode: str = ""  # of spheres


def checked_optimizer(optimizer: object, tensors: Mapping[str, Tensor]) -> Optimiser | None:
    """The optimiser, a text as the setting that it is.

    Raises:
        UnknownNameError: If a setting names no optimiser.
        UsageError: If it is none, or trains none of these parameters.
    """
    if optimizer is None:
        return None
    if isinstance(optimizer, Setting | str):
        setting = Setting.parse(optimizer) if isinstance(optimizer, str) else optimizer
        with contextlib.suppress(NoLawError):  # which the forecast then says
            optimizer_of(setting.optimizer)
        return setting
    groups = getattr(optimizer, "param_groups", None)
    if not isinstance(groups, list):
        raise UsageError(
            "`optimizer` must be an optimiser of torch.optim or etaeff.optim, or a setting such as "
            f"'sgd lr=0.1 wd=5e-4 momentum=0.9'; it is of type {type(optimizer).__name__}."
        )
    known = {id(p) for p in tensors.values()}
    if not any(id(p) in known for group in groups for p in group["params"]):
        raise UsageError(
            "`optimizer` trains no parameter of this model. Make it from the parameters of the "
            "model that is audited, after that was moved and changed."
        )
    return optimizer  # type: ignore[return-value]


def forecasts(
    optimizer: Optimiser | None,
    tensors: Mapping[str, Tensor],
    parameters: Mapping[str, DecayEffect],
) -> tuple[GroupForecast, ...]:
    """What an optimiser does to the scale-invariant parameters, a forecast for each param group.

    Args:
        optimizer: It, as `checked_optimizer` gives it.
        tensors: The parameters.
        parameters: What decay does to each.
    """
    found = []
    for group in _groups(optimizer, tensors, parameters) if optimizer is not None else ():
        names = tuple(n for n in group.names if parameters[n].effect is DecayKind.SETS_LR)
        found.append(_forecast(replace(group, names=names), len(group.names), tensors))
    return tuple(found)


def not_trained(
    optimizer: Optimiser | None,
    tensors: Mapping[str, Tensor],
    parameters: Mapping[str, DecayEffect],
) -> list[str]:
    """Parameters that are not frozen and that the optimiser does not have."""
    if optimizer is None or isinstance(optimizer, Setting | str):
        return []
    given = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return [
        name
        for name, tensor in tensors.items()
        if id(tensor) not in given and parameters[name].effect is not DecayKind.FROZEN
    ]


def _groups(
    optimizer: Optimiser, tensors: Mapping[str, Tensor], parameters: Mapping[str, DecayEffect]
) -> Iterator[_Group]:
    """The param groups; a setting is one of all that is trained."""
    if isinstance(optimizer, str):
        optimizer = Setting.parse(optimizer)
    if isinstance(optimizer, Setting):
        names = [name for name, own in parameters.items() if own.effect is not DecayKind.FROZEN]
        yield _Group(f"With {optimizer}", optimizer, "", tuple(names))
        return
    name_of = {id(tensor): name for name, tensor in tensors.items()}
    kind = type(optimizer).__name__
    for i, group in enumerate(optimizer.param_groups):
        names = [name_of[id(p)] for p in group["params"] if id(p) in name_of]
        mode = group.get("mode", "") if group.get("kind") == "sphere" else ""
        setting, reason = _setting(kind, group)
        yield _Group(f"Param group {i} ({_told(kind, group)})", setting, reason, tuple(names), mode)


def _setting(kind: str, group: Mapping[str, Any]) -> tuple[Setting | None, str]:
    """The setting of a param group, or why there is none."""
    try:
        return of_torch(kind, group), ""
    except EtaeffError as error:
        return None, str(error)


def _told(kind: str, group: Mapping[str, Any]) -> str:
    """A param group in a few words."""
    words = {"lr": "lr", "weight_decay": "weight decay"}
    parts = [f"{word} {float(group[key]):g}" for key, word in words.items() if key in group]
    return ", ".join([kind, *parts])


def _forecast(group: _Group, count: int, tensors: Mapping[str, Tensor]) -> GroupForecast:
    """What a group's numbers come to for the parameters in it that are scale-invariant.

    Args:
        group: The group, with those alone.
        count: How many parameters it has.
        tensors: All parameters.
    """
    empty = GroupForecast(setting=str(group.setting or ""), names=group.names)
    one = len(group.names) == 1
    those = (
        f"its {'' if one else f'{len(group.names)} '}scale-invariant parameter{'' if one else 's'}"
    )
    if not group.names:
        none = "its parameter is not" if count == 1 else f"none of its {count} parameters is"
        text = f"{none} scale-invariant."
    elif group.mode == "projected":
        text = (
            f"{those} {'stays on its sphere' if one else 'stay on spheres'}, where lr alone sets "
            "the turn of a step, and nothing has to settle."
        )
    elif group.mode == "angle" and group.setting is not None:
        empty = replace(empty, angle=group.setting.lr)
        turns = "turns" if one else "turn"
        text = f"{those} {turns} {_turn([group.setting.lr])} a step, from the first step on."
    elif group.setting is not None and group.setting.wd == 0:
        text = (
            f"without decay the norm of {'' if one else 'each of '}{those} only grows, and its "
            "effective learning rate falls."
        )
    else:
        return _settling(empty, group, f"{those} {'turns' if one else 'turn'}", tensors)
    return replace(empty, sentence=f"{group.label}: {text}")


def _settling(
    empty: GroupForecast, group: _Group, they_turn: str, tensors: Mapping[str, Tensor]
) -> GroupForecast:
    """Where decay and steps balance, and how long that takes."""
    try:
        if group.setting is None:
            raise UsageError(group.reason)
        seen = [forecast(group.setting, **size) for size in _sizes(group, tensors)]
    except EtaeffError as error:
        reason = str(error)
    else:
        if seen[0].equilibrium.angle is not None:
            return _settled(empty, group, they_turn, seen)
        reason = (
            f"The decay that {title(group.setting.optimizer)} sees depends on the size of the "
            "gradients, which `etaeff predict` takes as `--grad-norm-sq`."
        )
    text = f"how far {they_turn} in a step is not known. {reason}"
    return replace(empty, sentence=f"{group.label}: {text}")


def _settled(
    empty: GroupForecast, group: _Group, they_turn: str, seen: Sequence[Forecast]
) -> GroupForecast:
    """The forecast where all of it is known."""
    values = [one.to_dict() for one in seen]
    furthest = max(values, key=lambda one: float(one["angle"]))
    text = f"{they_turn} {_turn([one['angle'] for one in values])} a step"
    if group.mode:
        text += ", from the first step on"
    else:
        text += (
            f" at equilibrium, reached in {_steps(furthest['settled'])} steps: a deviation of ‖w‖² "
            f"halves in {_steps(furthest['half_life'])}"
        )
    if furthest["regime"] == _ERRATIC:
        text += ". A step as long as the weight is too long to train with"
    times = {key: furthest[key] for key in ("angle", "half_life", "settled")}
    return replace(empty, **times, sentence=f"{group.label}: {text}.")


def _sizes(group: _Group, tensors: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """What the law needs to know of the parameters: of Muon's matrices, their shapes."""
    if group.setting is None or group.setting.optimizer != "muon":
        return [{}]
    shapes = {tuple(tensors[name].shape) for name in group.names if tensors[name].ndim == 2}
    return [{"shape": shape} for shape in sorted(shapes)] or [{}]


def _turn(angles: Sequence[float]) -> str:
    """Angles in radians and degrees."""
    low, high = min(angles), max(angles)
    if typed(low) == typed(high):
        return f"{typed(high)} rad ({typed(math.degrees(high))}°)"
    degrees = f"{typed(math.degrees(low))}° to {typed(math.degrees(high))}°"
    return f"{typed(low)} to {typed(high)} rad ({degrees})"


def _steps(number: float) -> str:
    """A number of steps; whole, but for the first few."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
