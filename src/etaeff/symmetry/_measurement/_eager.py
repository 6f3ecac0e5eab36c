"""A model's own code, run in float64 as a function of its weights."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from etaeff.symmetry._measurement._calls import Wide
from etaeff.symmetry._measurement._float64 import TINY, real
from etaeff.symmetry._measurement._weights import Lazy
from etaeff.symmetry._measurement._wide import double, kept
from etaeff.symmetry._tracing._decisions import Decision
from etaeff.symmetry._tracing._restore import module_unchanged
from etaeff.symmetry._tracing._torch import (
    address_of,
    entries,
    flattened,
    has_memory,
    in_plain_torch,
    without_checkpoints,
    without_saved_tensor_hooks,
)
from etaeff.symmetry._tracing._values import copied, tensors_in

_ATTEMPTS: Final = 3
_EPSILON_NAMES: Final = ("eps", "epsilon", "variance_epsilon", "layer_norm_eps")


class Eager:
    """A model as a function of its parameters (by name) and its flat inputs; see `Run`.

    It is the model's own code, under `Wide`. Dropout is off, and so is ε where a module holds it or
    a function of torch takes it.

    Args:
        model: It is as it was after each run.
        args: Positional arguments, for their structure.
        kwargs: Keyword arguments.
        own_epsilon: Keep ε as the model has it.
        own_types: Keep its types too.
        decisions: How it was decided when the model was traced.
        device: Where it is run; by default, where its tensors are.

    Attributes:
        path: Of the last run; see `Wide`.
    """

    def __init__(
        self,
        model: nn.Module,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        own_epsilon: bool = False,
        own_types: bool = False,
        decisions: Sequence[Decision] = (),
        device: torch.device | None = None,
    ) -> None:
        """Ready to be run."""
        self._model, self._decisions, self._device = model, decisions, device
        self._own_types, self._given = own_types, kept if own_types else double
        _, self._put_together = flattened((tuple(args), dict(kwargs)))
        floating = [p for p in model.parameters() if p.is_floating_point() and p.itemsize > 1]
        own = float(torch.finfo(floating[0].dtype if floating else torch.float32).eps)
        self._type_epsilon = own if own_epsilon else None
        self._whole, self._copies = True, False
        self.path = 0

    def __call__(self, parameters: Mapping[str, Lazy], inputs: Sequence[Any]) -> list[Tensor]:
        """The outputs that hold real numbers."""
        chance = torch.get_rng_state()
        for _ in range(_ATTEMPTS):
            before = self._whole, self._copies
            try:
                outputs, mode = self._run(parameters, inputs)
            except RuntimeError:
                if not self._whole:
                    raise
                self._whole = False  # what it writes without gradients may not have any
            else:
                self._whole &= not mode.differentiates  # what it detaches is no part of it then
                self._copies |= mode.writes  # or autograd misses what was there before
            if before == (self._whole, self._copies):
                break
            torch.set_rng_state(chance)
        self.path = mode.path
        return outputs

    def _run(
        self, parameters: Mapping[str, Lazy], inputs: Sequence[Any]
    ) -> tuple[list[Tensor], Wide]:
        """The outputs, and what was seen on the way."""
        model = self._model
        own = dict(model.named_parameters())
        weights = {name: parameters[name].make() for name in own}
        pairs: dict[int, list[tuple[Tensor, Tensor]]] = {}
        for name, parameter in own.items():
            pairs.setdefault(address_of(parameter), []).append((parameter, weights[name]))
        memory = {address: _Reader(both) for address, both in pairs.items()}
        state = {
            name: self._given(memory[address_of(b)](b) if _lies_in(b, memory) else b, self._device)
            for name, b in model.named_buffers()
        }
        mode = Wide(
            memory,
            list(weights.values()),
            copies=self._copies,
            own_types=self._own_types,
            type_epsilon=self._type_epsilon,
            whole=self._whole,
            decisions=self._decisions,
        )
        positional, named = self._put_together(copied([self._given(value) for value in inputs]))
        follows = torch.is_grad_enabled()
        within = torch.set_grad_enabled(follows or not self._whole)
        with within, _ready(model, without_epsilon=self._type_epsilon is None), mode:
            result = torch.func.functional_call(model, weights | state, positional, named)
        outputs = real(tensors_in(result))
        return outputs if follows else [v.detach() for v in outputs], mode


@contextlib.contextmanager
def _ready(model: nn.Module, *, without_epsilon: bool) -> Iterator[None]:
    """A model that may run, and is afterwards as it was."""
    fast = torch.backends.mha.get_fastpath_enabled()
    with (
        module_unchanged(model),
        without_saved_tensor_hooks(),
        without_checkpoints(),
        in_plain_torch(),
        torch.set_grad_enabled(torch.is_grad_enabled()),  # which the model may leave changed
    ):
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            for module in model.modules() if without_epsilon else ():
                _take_epsilon(module)
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)


def _take_epsilon(module: nn.Module) -> None:
    """Put a tiny ε in the place of a module's own."""
    for name in _EPSILON_NAMES:
        alone = isinstance(module, nn.RMSNorm)  # whose ε may be None, its type's own
        if isinstance(getattr(module, name, None), float) or (alone and name == "eps"):
            setattr(module, name, TINY)


def _lies_in(buffer: Tensor, memory: Mapping[int, Any]) -> bool:
    """Whether a buffer lies where a parameter does."""
    return has_memory(buffer) and address_of(buffer) in memory


class _Reader:
    """What is read in place of the tensors in one memory, in which parameters lie.

    Args:
        pairs: Each of those parameters, and the weight that stands for it.
    """

    def __init__(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Where each of them begins and ends."""
        self._parts = [(parameter, weight, *entries(parameter)) for parameter, weight in pairs]

    def __call__(self, tensor: Tensor) -> Tensor:
        """The weight, or a view of it; the tensor itself where it lies in no parameter."""
        first, last = entries(tensor)
        for parameter, weight, start, end in self._parts:
            if tensor.dtype != parameter.dtype or not start <= first <= last <= end:
                continue
            shape, steps = tensor.shape, tensor.stride()
            if (shape, steps) == (parameter.shape, parameter.stride()):
                return weight
            if weight.stride() != parameter.stride():
                laid = torch.empty_strided(
                    parameter.shape, parameter.stride(), dtype=weight.dtype, device=weight.device
                )
                weight = laid.copy_(weight)
            return weight.as_strided(shape, steps, first - start)
        return tensor
