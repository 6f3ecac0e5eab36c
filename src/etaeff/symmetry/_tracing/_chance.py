"""Chance that torch does not know: Python's and NumPy's generators."""

import contextlib
import inspect
import random
import sys
from collections.abc import Iterator
from typing import Any

from torch import nn


class Generators:
    """The generators that a model may draw from: the global ones, and those that it holds.

    Args:
        model: It is looked at, and nothing else.
    """

    def __init__(self, model: nn.Module) -> None:
        """Find them."""
        self._numpy: Any = getattr(sys.modules.get("numpy"), "random", None)
        kinds = (self._numpy.Generator, self._numpy.RandomState) if self._numpy else ()
        held = [v for v in _within_reach(model) if isinstance(v, (random.Random, *kinds))]
        self._held: list[Any] = list({id(generator): generator for generator in held}.values())

    def states(self) -> list[str]:
        """Where all of them stand: two such lists are equal if nothing was drawn between them."""
        states = [random.getstate(), self._numpy.get_state() if self._numpy else None]
        return [repr(state) for state in (*states, *map(_state, self._held))]

    def seed(self, number: int) -> None:
        """Begin all of them anew."""
        random.seed(number)
        if self._numpy:
            self._numpy.seed(number)
        for generator in self._held:
            if hasattr(generator, "bit_generator"):
                bits = generator.bit_generator
                bits.state = type(bits)(number).state
            else:
                generator.seed(number)

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """Put back where those that are held stood; see `_restore.unchanged` for the others."""
        before = list(map(_state, self._held))
        try:
            yield
        finally:
            for generator, state in zip(self._held, before, strict=True):
                if hasattr(generator, "bit_generator"):
                    generator.bit_generator.state = state
                elif isinstance(generator, random.Random):
                    generator.setstate(state)
                else:
                    generator.set_state(state)


def _state(generator: Any) -> Any:
    """Where a generator stands."""
    if hasattr(generator, "bit_generator"):
        return generator.bit_generator.state
    if isinstance(generator, random.Random):
        return generator.getstate()
    return generator.get_state()


def _within_reach(model: nn.Module) -> Iterator[Any]:
    """What modules hold, and the global values that their forward passes name."""
    for module in model.modules():
        for value in vars(module).values():
            yield from value if isinstance(value, list | tuple) else (value,)
            yield getattr(value, "__self__", None)  # of a bound method
    for kind in {type(module) for module in model.modules()}:
        forward = inspect.getattr_static(kind, "forward", None)  # a script's may not be asked
        code = getattr(forward, "__code__", None)
        names = code.co_names if code else ()
        values = getattr(forward, "__globals__", {})
        yield from (values[name] for name in names if name in values)
