"""The graph of a model's forward pass in training mode, without running it on data."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from etaeff.errors import UsageError


def trace(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> torch.export.ExportedProgram:
    """The exported program of `model` in the mode that it is in.

    Raises:
        UsageError: If the model cannot be exported on these arguments, with the cause.
    """
    with unchanged(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of export, on what it does to the model meanwhile
        try:
            return torch.export.export(model, tuple(args), dict(kwargs), strict=False)
        except Exception as error:
            raise UsageError(
                f"{type(model).__name__} could not be traced on "
                f"{described(args, kwargs)}: {type(error).__name__}: {first_line(error)}"
            ) from error


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Put back modes, buffers, gradients and random states afterwards, also on errors."""
    modes = {module: module.training for module in model.modules()}
    buffers = {
        name: b.detach().clone() for name, b in model.named_buffers() if b.device.type != "meta"
    }
    gradients = {p: p.grad for p in model.parameters()}
    flags = {p: p.requires_grad for p in model.parameters()}
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
        for name, buffer in model.named_buffers():
            if name in buffers and not torch.equal(buffer, buffers[name]):
                with torch.no_grad():
                    buffer.copy_(buffers[name])
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
            parameter.requires_grad_(flags[parameter])


def described(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """The arguments of a call, tensors by their shapes."""
    parts = [_shown(value) for value in args]
    parts += [f"{name}={_shown(value)}" for name, value in kwargs.items()]
    return f"({', '.join(parts)})"


def first_line(error: BaseException) -> str:
    """The first line of an error's text that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else "no text"


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    return type(value).__name__ if not isinstance(value, int | float | str) else repr(value)
