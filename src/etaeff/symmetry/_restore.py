"""The model as it was, whatever an audit did to it."""

import contextlib
import random
import sys
from collections.abc import Iterator

import torch
from torch import Tensor, nn


@contextlib.contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Put back modes, buffers, gradients and random states afterwards, also on errors."""
    modes = {module: module.training for module in model.modules()}
    data = {p: p.data for p in model.parameters()}
    held = [(module, name, b) for module in model.modules() for name, b in module._buffers.items()]
    values = [None if b is None or b.is_meta else b.detach().clone() for _, _, b in held]
    chance = random.getstate()
    numpy = sys.modules.get("numpy")
    numbers = numpy.random.get_state() if numpy else None
    gradients = {p: p.grad for p in model.parameters()}
    flags = {p: p.requires_grad for p in model.parameters()}
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
        for (module, name, buffer), value in zip(held, values, strict=True):
            module._buffers[name] = buffer  # a forward pass may have put another in its place
            if buffer is not None and value is not None:
                _put_back(buffer, value)
        random.setstate(chance)
        if numpy:
            numpy.random.set_state(numbers)
        for parameter, gradient in gradients.items():
            if parameter.data_ptr() != data[parameter].data_ptr():
                parameter.data = data[parameter]
            parameter.grad = gradient
            parameter.requires_grad_(flags[parameter])


@contextlib.contextmanager
def unwritten(model: nn.Module) -> Iterator[None]:
    """Put back the weights too, for a forward pass of the model itself, which may write to them."""
    values = {p: p.detach().clone() for p in model.parameters() if not p.is_meta}
    try:
        yield
    finally:
        for parameter, value in values.items():
            _put_back(parameter, value)


def _put_back(tensor: Tensor, value: Tensor) -> None:
    """Write only what has changed, or autograd would call it newer than it is."""
    if not torch.equal(_bits(tensor), _bits(value)):
        with torch.no_grad():
            tensor.copy_(value)


def _bits(tensor: Tensor) -> Tensor:
    """All of a tensor, so that NaN is NaN and −0 is not 0."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)
