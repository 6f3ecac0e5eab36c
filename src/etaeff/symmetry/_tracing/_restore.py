"""The model as it was, whatever an audit did to it."""

import contextlib
import copy
import random
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from torch import Tensor, nn

from etaeff.symmetry._tracing._torch import buffers_of


@contextlib.contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Put back modes, buffers, gradients and random states afterwards, also on errors."""
    chance = random.getstate()
    numpy = sys.modules.get("numpy")
    numbers = numpy.random.get_state() if numpy else None
    try:
        with module_unchanged(model), torch.random.fork_rng(range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(chance)
        if numpy:
            numpy.random.set_state(numbers)


@contextlib.contextmanager
def module_unchanged(model: nn.Module) -> Iterator[None]:
    """Put back modes, attributes, buffers and gradients, and leave chance alone."""
    attributes = [_attributes(module) for module in model.modules()]
    data = {p: p.data for p in model.parameters()}
    held = [
        (module, name, b) for module in model.modules() for name, b in buffers_of(module).items()
    ]
    values = [None if b is None or b.is_meta else b.detach().clone() for _, _, b in held]
    gradients = {p: p.grad for p in model.parameters()}
    flags = {p: p.requires_grad for p in model.parameters()}
    try:
        yield
    finally:
        for put_back in attributes:
            put_back()
        for (module, name, buffer), value in zip(held, values, strict=True):
            buffers_of(module)[name] = buffer  # a forward pass may have put another in its place
            if buffer is not None and value is not None:
                _put_back(buffer, value)
        for parameter, gradient in gradients.items():
            if _address(parameter) != _address(data[parameter]):
                parameter.data = data[parameter]
            parameter.grad = gradient
            parameter.requires_grad_(flags[parameter])


def _attributes(module: nn.Module) -> Callable[[], None]:
    """What puts a module's attributes back: mode, hooks, caches, and what it draws chance from."""
    attributes = vars(module)
    values = dict(attributes)
    contents = {key: copy.copy(v) for key, v in attributes.items() if type(v) in _CONTAINERS}
    generators = [v for v in attributes.values() if isinstance(v, torch.Generator)]
    states = [generator.get_state() for generator in generators]

    def put_back() -> None:
        for key in attributes.keys() - values.keys():
            del attributes[key]
        attributes.update(values)
        for key, before in contents.items():
            held: Any = attributes[key]
            held.clear()
            held.extend(before) if isinstance(held, list) else held.update(before)
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)

    return put_back


_CONTAINERS: Final = (dict, OrderedDict, list, set)


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
    if tensor.layout is not torch.strided or not torch.equal(_bits(tensor), _bits(value)):
        with torch.no_grad():
            tensor.copy_(value)


def _address(tensor: Tensor) -> int:
    """Where its entries lie; a sparse tensor does not say."""
    return tensor.data_ptr() if tensor.layout is torch.strided else 0


def _bits(tensor: Tensor) -> Tensor:
    """All of a tensor, so that NaN is NaN and −0 is not 0."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)
