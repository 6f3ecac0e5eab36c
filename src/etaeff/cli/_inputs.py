"""The batch on which `etaeff audit` runs a model."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etaeff.errors import DataError, UsageError, told

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Asked:
    """A tensor that was asked for.

    Attributes:
        name: Of the argument of the forward pass; empty if it goes by its place.
        shape: Its shape.
        ids: Whether it holds ids in place of noise.
    """

    name: str
    shape: tuple[int, ...]
    ids: bool


def asked(inputs: Sequence[str], ids: Sequence[str]) -> list[Asked]:
    """What `--input` and `--ids` asked for, in this order.

    Raises:
        UsageError: If a text is no shape.
    """
    found = [_asked("--input", text, ids=False) for text in inputs]
    found += [_asked("--ids", text, ids=True) for text in ids]
    names = [tensor.name for tensor in found if tensor.name]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise UsageError(f"The input '{twice[0]}' was given twice.")
    return found


def _asked(option: str, text: str, *, ids: bool) -> Asked:
    name, _, shape = text.rpartition("=")
    try:
        sizes = tuple(int(part) for part in shape.split(","))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 1 or ("=" in text and not name.isidentifier()):
        example = "2,16" if ids else "2,3,32,32"
        raise UsageError(
            f"`{option}` must be whole numbers from 1 with commas between them, such as "
            f"{example}, or an argument's name and such numbers, such as x={example}; got {text!r}."
        )
    return Asked(name, sizes, ids)


def made(
    tensors: Sequence[Asked], vocab: int | None, model: "nn.Module"
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Noise and random ids, of the model's type and on its device.

    Args:
        tensors: What is asked for.
        vocab: Number of ids; by default, that of the model's configuration.
        model: The model.
    """
    import torch

    if vocab is None and any(tensor.ids for tensor in tensors):
        vocab = _vocabulary(model)
    parameter = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for tensor in tensors:
        if tensor.ids:
            assert vocab is not None
            value = torch.randint(0, vocab, tensor.shape)
        else:
            value = torch.randn(tensor.shape).to(parameter.dtype)
        value = value.to(parameter.device)
        if tensor.name:
            kwargs[tensor.name] = value
        else:
            args.append(value)
    return tuple(args), kwargs


def _vocabulary(model: Any) -> int:
    config = getattr(model, "config", None)
    for part in (config, getattr(config, "get_text_config", lambda: None)()):
        size = getattr(part, "vocab_size", None)
        if isinstance(size, int) and size > 0:
            return size
    raise UsageError(
        f"`--ids` needs `--vocab`, the number of ids: {type(model).__name__} has no configuration "
        "that says it."
    )


def check_file(file: Path) -> None:
    """Refuse a file of arguments that is not there."""
    if not file.is_file():
        raise DataError(f"There is no file of arguments '{file}'.")


def read(file: Path, model: "nn.Module") -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments in a file of `torch.save`: a tensor, a list of arguments, or a dict by name.

    Nothing of the file is run, as `torch.load(weights_only=True)` has it.

    Raises:
        DataError: If it is missing, unreadable or holds something else.
    """
    import torch
    import torch.utils._pytree as pytree

    check_file(file)
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise DataError(
            f"'{file}' is no file of torch.save, or holds more than tensors, numbers, texts and "
            "lists or dicts of them; no code of a file is run."
        ) from None
    except Exception as error:  # each version of torch has its own for damaged files
        raise DataError(f"'{file}' cannot be read: {told(error)}.") from error
    parameter = next(model.parameters(), torch.empty(0))
    found = pytree.tree_map_only(torch.Tensor, lambda t: t.to(parameter.device), found)
    if isinstance(found, torch.Tensor):
        return (found,), {}
    if isinstance(found, list | tuple):
        return tuple(found), {}
    if isinstance(found, Mapping) and all(isinstance(name, str) for name in found):
        return (), dict(found)
    raise DataError(
        f"'{file}' must hold a tensor, a list of arguments, or a dict of arguments by name; it "
        f"holds {type(found).__name__}."
    )
