"""What the audit is given: unwrapped, named, and checked."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from etaeff._checks.tensors import is_flattened, is_sharded
from etaeff.errors import UsageError
from etaeff.records.audits import Note, NoteKind
from etaeff.symmetry._tracing._torch import WRAPPED_UNDER
from etaeff.symmetry._tracing._values import copied


def checked_model(model: object) -> nn.Module:
    """The module inside wrappers of compilation and data parallelism.

    Raises:
        UsageError: If it is no module, or its parameters are not there yet or not any more.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(f"An audit needs a torch.nn.Module; it was given {_kind(model)}.")
    inner = _inner(model)
    if inner:
        return checked_model(getattr(model, inner))
    for module in model.modules():
        if "FullyShardedDataParallel" in _classes(module):
            raise UsageError(
                "FullyShardedDataParallel (FSDP1) holds flattened shards, which have no channels. "
                "Audit the model before it is wrapped."
            )
    return model


def checked_arguments(args: object, kwargs: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of the forward pass."""
    if isinstance(args, Tensor | str | bytes) or not isinstance(args, Sequence):
        raise UsageError(
            f"The arguments of the forward pass go into a tuple, such as (x,); `args` is "
            f"{_kind(args)}."
        )
    if not isinstance(kwargs, Mapping):
        raise UsageError(
            f"The keyword arguments of the forward pass go into a dict; `kwargs` is "
            f"{_kind(kwargs)}."
        )
    return tuple(copied(args)), dict(copied(kwargs))


def _inner(module: nn.Module) -> str:
    """Where a wrapper keeps its module; nothing for what is no wrapper."""
    kinds = _classes(module)
    return next((name for kind, name in WRAPPED_UNDER.items() if kind in kinds), "")


def _classes(module: nn.Module) -> set[str]:
    """The names of a module's class and of all that it inherits from."""
    return {kind.__name__ for kind in type(module).__mro__}


def _without(name: str, wrappers: Mapping[str, str]) -> str:
    """A name without the prefixes of wrappers."""
    for prefix in sorted(wrappers, key=len, reverse=True):
        if name.startswith(prefix):
            name = wrappers[prefix] + name.removeprefix(prefix)
    return name


def parameters_by_name(model: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, str]]:
    """Parameters by their first name, and the first name of every name.

    First names are without the prefixes of wrappers inside the model. Two objects in the same
    memory are one parameter with two names.

    Raises:
        UsageError: If one of them is not there yet, or not as a whole.
    """
    wrappers = {
        f"{path}.{inner}.": f"{path}."
        for path, module in model.named_modules()
        if (inner := _inner(module)) and path
    }
    first: dict[tuple[Any, ...], str] = {}
    aliases = {}
    tensors: dict[str, nn.Parameter] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        _check_parameter(name, parameter)
        first_name = first.setdefault(_same(parameter), _without(name, wrappers))
        aliases[name] = first_name
        known = tensors.setdefault(first_name, parameter)
        if parameter.requires_grad and not known.requires_grad:
            tensors[first_name] = parameter  # it is trained by that name
    return tensors, aliases


def mode_of(model: nn.Module) -> tuple[str, list[Note]]:
    """Whether a model is in training mode, in eval mode or in both, and a note if not the first."""
    modes = {path: module.training for path, module in model.named_modules()}
    off = [path or "the model" for path, training in modes.items() if not training]
    if not off:
        return "train", []
    if len(off) == len(modes):
        return "eval", [NoteKind.EVAL_MODE.note()]
    return "mixed", [NoteKind.MIXED_MODES.note(off)]


def _same(parameter: Tensor) -> tuple[Any, ...]:
    """What two objects have in common that are one parameter: itself, or all of their memory."""
    if parameter.is_meta or parameter.layout is not torch.strided or not parameter.numel():
        return (id(parameter),)
    place = parameter.device, parameter.data_ptr(), tuple(parameter.shape), parameter.stride()
    return *place, parameter.dtype, parameter.is_conj()


def _check_parameter(name: str, parameter: Tensor) -> None:
    """Refuse a parameter that is not there yet, or not as a whole."""
    if nn.parameter.is_lazy(parameter):
        raise UsageError(
            f"Parameter {name!r} of a lazy module has no shape yet. Run the model once on a batch, "
            "then audit it."
        )
    if is_flattened(parameter):
        raise UsageError(
            f"Parameter {name!r} is a flattened shard, which has no channels. Audit the model "
            "before it is sharded."
        )
    if is_sharded(parameter):
        raise UsageError(
            f"Parameter {name!r} is spread over processes (DTensor). Audit the model before it is "
            "sharded; names and blocks stay the same."
        )
    if parameter.is_inference():
        raise UsageError(
            f"Parameter {name!r} was made in inference mode, where nothing can be differentiated. "
            "Make the model outside `torch.inference_mode`."
        )


def _kind(value: object) -> str:
    """What a value is, in words."""
    return "None" if value is None else f"of type {type(value).__name__}"
