"""What the audit is given: unwrapped, named, and checked."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
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

    First names are without the prefixes of wrappers inside the model.

    Raises:
        UsageError: If one of them has no scale.
    """
    wrappers = {
        f"{path}.{inner}.": f"{path}."
        for path, module in model.named_modules()
        if (inner := _inner(module)) and path
    }
    first: dict[int, str] = {}
    aliases = {}
    tensors = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        _check_parameter(name, parameter)
        first_name = first.setdefault(id(parameter), _without(name, wrappers))
        aliases[name] = first_name
        tensors[first_name] = parameter
    _check_memory(tensors)
    return tensors, aliases


def frozen(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Parameters that do not train or have no entries, and so are not scaled, with the reason."""
    empty = {name: "it has no entries." for name, p in tensors.items() if not p.numel()}
    still = {
        name: "it has requires_grad=False." for name, p in tensors.items() if not p.requires_grad
    }
    return empty | still


def mode_of(model: nn.Module) -> tuple[str, list[Note]]:
    """Whether a model is in training mode, in eval mode or in both, and a note if not the first."""
    modes = {path: module.training for path, module in model.named_modules()}
    off = [path or "the model" for path, training in modes.items() if not training]
    if not off:
        return "train", []
    if len(off) == len(modes):
        return "eval", [NoteKind.EVAL_MODE.note()]
    return "mixed", [NoteKind.MIXED_MODES.note(off)]


def _check_memory(tensors: Mapping[str, Tensor]) -> None:
    """Refuse two parameters in the same memory: what scales one, scales the other."""
    spans = sorted(
        (p.untyped_storage().data_ptr(), *_entries(p), name)
        for name, p in tensors.items()
        if not p.is_meta and p.numel()
    )
    for (storage, _, last, name), (other, first, _, second) in pairwise(spans):
        if storage == other and first <= last:
            raise UsageError(
                f"Parameters {name!r} and {second!r} are two objects in the same memory, so that "
                "one cannot be scaled without the other. Tie them as one parameter, as in "
                "`a.weight = b.weight`."
            )


def _entries(tensor: Tensor) -> tuple[int, int]:
    """Places of the first and last entry in its memory, in bytes."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    first = tensor.storage_offset()
    last = first + sum((length - 1) * stride for length, stride in steps)
    return int(first) * tensor.element_size(), int(last) * tensor.element_size()


def _check_parameter(name: str, parameter: Tensor) -> None:
    """Refuse a parameter that has no scale."""
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
    if not parameter.is_floating_point():
        raise UsageError(
            f"Parameter {name!r} is {str(parameter.dtype).removeprefix('torch.')}; only real "
            "numbers can be audited."
        )
    if parameter.layout is not torch.strided:
        raise UsageError(f"Parameter {name!r} is sparse; only dense tensors can be audited.")
    if not parameter.is_meta and not _is_finite(parameter):
        raise UsageError(
            f"Parameter {name!r} holds NaN or infinity; nothing can be measured. Audit the model "
            "before training broke it."
        )


def _is_finite(parameter: Tensor) -> bool:
    """Whether all entries are finite."""
    values = parameter.detach()
    values = values.float() if values.itemsize == 1 else values
    # A sum needs no memory; it can overflow, so only then all entries are asked.
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())


def _kind(value: object) -> str:
    """What a value is, in words."""
    return "None" if value is None else f"of type {type(value).__name__}"
