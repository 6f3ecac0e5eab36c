"""The graph of a model's forward pass in training mode, without running it on data."""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import torch
import torch.utils._pytree as pytree
from torch import Tensor, nn

from etaeff.errors import UsageError
from etaeff.symmetry._float64 import TINY

_EPSILON_NAMES: Final = ("eps", "epsilon", "variance_epsilon", "layer_norm_eps")


def trace(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[torch.export.ExportedProgram | None, str]:
    """The exported program of `model` in the mode that it is in, or why there is none.

    Raises:
        UsageError: If the model itself fails on these arguments, with its own error.
    """
    with unchanged(model), _quiet():
        try:
            return torch.export.export(model, tuple(args), dict(kwargs), strict=False), ""
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
        try:
            with torch.no_grad():
                model(*args, **kwargs)
        except Exception as error:
            raise UsageError(
                f"{type(model).__name__} fails on {described(args, kwargs)}: "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error
    return None, reason


def eager(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Callable[[Mapping[str, Tensor], Sequence[Any]], list[Tensor]]:
    """A copy of `model` in float64 as a function of its parameters and flat inputs.

    For models that cannot be traced. Dropout is off, and so is ε where a module holds it.
    """
    own = copy.deepcopy(model).to("cpu", torch.float64)
    for module in own.modules():
        for name in _EPSILON_NAMES:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, TINY)
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
    _, shape = pytree.tree_flatten((tuple(args), dict(kwargs)))

    def run(parameters: Mapping[str, Tensor], inputs: Sequence[Any]) -> list[Tensor]:
        whole = [
            v.double() if isinstance(v, Tensor) and v.is_floating_point() else v for v in inputs
        ]
        positional, named = pytree.tree_unflatten(whole, shape)
        found = torch.func.functional_call(own, dict(parameters), positional, named)
        leaves = pytree.tree_leaves(found)
        return [v for v in leaves if isinstance(v, Tensor) and v.is_floating_point()]

    return run


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what export warns of and logs on its way to an exception, which we raise."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
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
