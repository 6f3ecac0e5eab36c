"""From an audit to the param groups of an optimiser."""

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from torch import Tensor

from etaeff._words import named
from etaeff.errors import UsageError
from etaeff.records.audits import DecayKind
from etaeff.symmetry._effects import DecayEffect

STANDARD: Final = "standard"
POLICIES: Final = ("other", "without_decay", "refuse")
UNCERTAIN: Final = (DecayKind.NOT_KNOWN, DecayKind.NOT_REACHED)


def trained(
    tensors: Mapping[str, Tensor], parameters: Mapping[str, DecayEffect]
) -> dict[str, Tensor]:
    """The parameters that an optimiser is to have: all but those that are frozen."""
    return {
        name: tensor
        for name, tensor in tensors.items()
        if parameters[name].effect is not DecayKind.FROZEN
    }


def undecayed(
    tensors: Mapping[str, Tensor], without_decay: str | Collection[str] | None
) -> set[str]:
    """The names that are to have no decay by the caller's choice.

    Args:
        tensors: The parameters.
        without_decay: `"standard"` for all of at most one axis and all biases; or names, or globs
            for them.

    Raises:
        UsageError: If a glob fits no parameter, since nothing would be left without decay.
    """
    if without_decay is None:
        return set()
    if without_decay == STANDARD:
        return {name for name, tensor in tensors.items() if tensor.ndim < 2 or _is_bias(name)}
    globs = [without_decay] if isinstance(without_decay, str) else list(without_decay)
    chosen: set[str] = set()
    for glob in globs:
        fitting = {name for name in tensors if name == glob or fnmatchcase(name, glob)}
        if not fitting:
            raise UsageError(
                f"`without_decay` must be {STANDARD!r}, or names of parameters or globs for them; "
                f"{glob!r} fits none that is trained."
            )
        chosen |= fitting
    return chosen


def without_verdict(parameters: Mapping[str, DecayEffect], not_known: str) -> set[str]:
    """The parameters that have no decay because nothing is known of them.

    Args:
        parameters: What decay does to each.
        not_known: What becomes of them: `"other"` (they are treated as any other),
            `"without_decay"`, or `"refuse"`.

    Raises:
        UsageError: If there are some, and that is to be refused; or for another policy.
    """
    if not_known not in POLICIES:
        raise UsageError(
            f"`not_known` must be one of {', '.join(map(repr, POLICIES))}, got {not_known!r}."
        )
    names = [name for name, own in parameters.items() if own.effect in UNCERTAIN]
    if names and not_known == "refuse":
        number = "1 parameter" if len(names) == 1 else f"{len(names)} parameters"
        raise UsageError(
            f"What decay does to {number} is not known: {named(names)}. Audit on inputs that "
            "reach all of the model, or let `not_known` say where they go: 'other' or "
            "'without_decay'."
        )
    return set(names) if not_known == "without_decay" else set()


def with_group_of(
    groups: Sequence[dict[str, Any]], invariant: Collection[int]
) -> list[dict[str, Any]]:
    """The groups, with the decayed parameters of these ids in a group of their own."""
    apart: list[dict[str, Any]] = []
    for group in groups:
        if group["kind"] == "other":
            first = [p for p in group["params"] if id(p) in invariant]
            rest = [p for p in group["params"] if id(p) not in invariant]
            apart.append(group | {"params": first, "kind": DecayKind.SETS_LR.group})
            apart.append(group | {"params": rest})
        else:
            apart.append(group)
    return [group for group in apart if group["params"]]


def _is_bias(name: str) -> bool:
    """Whether a parameter is a bias by its name, such as `bias`, `in_proj_bias`, `bias_hh_l0`."""
    return "bias" in name.rpartition(".")[2].split("_")
