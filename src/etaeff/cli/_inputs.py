"""The batch on which `etaeff audit` runs a model."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etaeff.errors import DataError, UsageError, as_clause

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that stands for one argument of the forward pass.

    Attributes:
        name: Of the argument; empty if it goes by its position.
        shape: Its shape.
        ids: Whether it holds ids in place of noise.
    """

    name: str
    shape: tuple[int, ...]
    ids: bool


def tensor_specs(inputs: Sequence[str], ids: Sequence[str]) -> list[TensorSpec]:
    """The tensors that `--input` and `--ids` describe, in this order.

    Raises:
        UsageError: If a text is no shape.
    """
    specs = [_spec("--input", text, ids=False) for text in inputs]
    specs += [_spec("--ids", text, ids=True) for text in ids]
    names = [spec.name for spec in specs if spec.name]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise UsageError(f"The input '{twice[0]}' was given twice.")
    return specs


def check_inputs(specs: Sequence[TensorSpec], file: Path | None, vocab: int | None) -> None:
    """Refuse inputs of a model that are missing or given twice over.

    Args:
        specs: What `--input` and `--ids` describe.
        file: That of `--args`.
        vocab: Number of ids.
    """
    if file is not None and specs:
        raise UsageError(
            "`--args` stands in place of `--input` and `--ids`: give one or the other."
        )
    if file is not None:
        _check_file(file)
    elif not specs:
        raise UsageError(
            "A model is traced on inputs: give `--input`, `--ids` or `--args`, a small batch of "
            "real size."
        )
    if vocab is not None and not any(spec.ids for spec in specs):
        raise UsageError("`--vocab` goes with `--ids` only.")
    if vocab is not None and vocab < 1:
        raise UsageError(f"`--vocab` must be at least 1, got {vocab}.")


def _spec(option: str, text: str, *, ids: bool) -> TensorSpec:
    """The tensor that one text describes."""
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
    return TensorSpec(name, sizes, ids)


def sampled(
    specs: Sequence[TensorSpec], vocab: int | None, model: "nn.Module"
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Noise and random ids, of the model's type and on its device.

    Args:
        specs: What they are.
        vocab: Number of ids; by default, that of the model's configuration.
        model: The model.
    """
    import torch

    if vocab is None and any(spec.ids for spec in specs):
        vocab = _vocabulary(model)
    parameter = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for spec in specs:
        if spec.ids:
            assert vocab is not None
            value = torch.randint(0, vocab, spec.shape)
        else:
            value = torch.randn(spec.shape).to(parameter.dtype)
        value = value.to(parameter.device)
        if spec.name:
            kwargs[spec.name] = value
        else:
            args.append(value)
    return tuple(args), kwargs


def _vocabulary(model: Any) -> int:
    """The number of ids that the model's configuration names."""
    config = getattr(model, "config", None)
    for part in (config, getattr(config, "get_text_config", lambda: None)()):
        size = getattr(part, "vocab_size", None)
        if isinstance(size, int) and size > 0:
            return size
    raise UsageError(
        f"`--ids` needs `--vocab`, the number of ids: {type(model).__name__} has no configuration "
        "that says it."
    )


def _check_file(file: Path) -> None:
    """Refuse a file of arguments that is not there."""
    if not file.is_file():
        raise DataError(f"There is no file of arguments '{file}'.")


def loaded(file: Path, model: "nn.Module") -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments in a file of `torch.save`: a tensor, a list of arguments, or a dict by name.

    Nothing of the file is run, as `torch.load(weights_only=True)` has it.

    Raises:
        DataError: If it is missing, unreadable or holds something else.
    """
    import torch
    import torch.utils._pytree as pytree  # private; nothing public maps over a batch of any nest

    _check_file(file)
    try:
        value = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise DataError(
            f"'{file}' is no file of torch.save, or holds more than tensors, numbers, texts and "
            "lists or dicts of them; no code of a file is run."
        ) from None
    except Exception as error:  # each version of torch has its own for damaged files
        raise DataError(f"'{file}' cannot be read: {as_clause(error)}.") from error
    parameter = next(model.parameters(), torch.empty(0))
    value = pytree.tree_map_only(torch.Tensor, lambda t: t.to(parameter.device), value)
    if isinstance(value, torch.Tensor):
        return (value,), {}
    if isinstance(value, list | tuple):
        return tuple(value), {}
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return (), dict(value)
    raise DataError(
        f"'{file}' must hold a tensor, a list of arguments, or a dict of arguments by name; it "
        f"holds {type(value).__name__}."
    )
