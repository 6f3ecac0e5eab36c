"""A model's own code in float64: what `Float64` does to a graph, done to the calls of torch."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from etaeff.symmetry._measurement._float64 import TINY, kept_as_copies
from etaeff.symmetry._measurement._stand_ins import STAND_INS, shorten_
from etaeff.symmetry._measurement._wide import WIDE_TYPE, wide
from etaeff.symmetry._operators._operator import Chance
from etaeff.symmetry._operators._table import operator_of
from etaeff.symmetry._tracing._decisions import LEAVING, Decision, Replay
from etaeff.symmetry._tracing._torch import (
    address_of,
    has_memory,
    is_data,
    is_differentiated,
    leaves,
    mapped,
    named_places,
    without_saved_tensor_hooks,
)

_CHANNEL_DROPOUTS: Final = frozenset({"dropout1d", "dropout2d", "dropout3d"})
_NARROWING: Final = {
    **dict.fromkeys(("float", "half", "bfloat16"), torch.float64),
    **dict.fromkeys(("cfloat", "chalf"), torch.complex128),
}
_DETACHING: Final = frozenset({"detach", "detach_"})
_RECURRENT: Final = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
_ADDING: Final = frozenset({"add", "add_", "__add__", "__radd__", "__iadd__"})
_SET: Final = ("eps", "epsilon", "dropout_p", "training")


class Wide(TorchFunctionMode):
    """Under it, calls of torch have float64 in place of every other real type, and drop nothing.

    Args:
        weights: What is read in place of the tensors that lie in some memory, by its address.
        made: The weights themselves.
        type_epsilon: What an ε of `None` stands for; `None` if every ε is taken away.
        whole: Follow what is detached, as if it were not: derivatives are those of the function,
            whatever is trained.
        copies: Let autograd keep copies of what it needs, which the model may write over.
        own_types: Keep the types that the model has.
        decisions: How it was decided when the model was traced; they are decided alike.
    """

    def __init__(
        self,
        weights: Mapping[int, Callable[[Tensor], Tensor]],
        made: Sequence[Tensor],
        *,
        type_epsilon: float | None,
        whole: bool,
        copies: bool = False,
        own_types: bool = False,
        decisions: Sequence[Decision] = (),
    ) -> None:
        """Ready to be entered once."""
        super().__init__()
        self._weights, self._type_epsilon, self._whole = weights, type_epsilon, whole
        self._copies, self._own_types = copies, own_types
        self._made = {address_of(weight) for weight in made}
        self._replay = Replay(decisions)
        self._uniform: dict[int, Tensor] = {}  # drawn from [0, 1), perhaps to drop a branch
        self.differentiates = False  # whether the model takes gradients inside
        self.writes = False  # whether it writes into its weights
        self.path = 0  # stands for the calls so far, and the shapes of their results

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """One call."""
        name = getattr(func, "__name__", "")
        kwargs = kwargs or {}
        if name == "_set_grad_enabled":
            return None if self._whole and not args[0] else func(*args, **kwargs)
        self._look(name, args)
        if name in LEAVING:
            return self._left(func, name, args, kwargs)
        args, kwargs = self._read(name, args, kwargs)
        if self._whole and (name in _DETACHING or is_data(func)):
            return args[0]
        # The hooks of a checkpoint would run the model again.
        with kept_as_copies() if self._copies else without_saved_tensor_hooks():
            result = self._called(func, name, args, kwargs)
        result = result if self._own_types else mapped(wide, result)
        self._replay.note(name, args, result)
        self._note(name, args, result)
        return result

    def _called(self, func: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """The result of a call that keeps to tensors."""
        chance = operator_of(name).chance
        if chance is Chance.DROPS or name in _CHANNEL_DROPOUTS:
            return args[0] if args else kwargs["input"]
        if chance is Chance.DROPS_AND_RETURNS_MASK:
            return args[0], torch.ones_like(args[0])
        if chance is Chance.COIN and not any(isinstance(value, Tensor) for value in args[1:]):
            if name == "bernoulli_":
                return args[0].fill_(1.0)
            if len(args) > 1 or "p" in kwargs:
                return torch.ones_like(args[0])
        if name == "embedding" and named_places(func, ("max_norm",)):
            return _embedded(func, args, kwargs, epsilon=self._type_epsilon is not None)
        if name in ("floor", "floor_") and id(args[0]) in self._uniform:
            return args[0].fill_(1.0) if name == "floor_" else torch.ones_like(args[0])
        if name == "_grouped_mm" and not self._own_types:
            return STAND_INS[name](*args, **kwargs)
        if name in _NARROWING and not self._own_types:
            return args[0].to(_NARROWING[name])
        return func(*args, **self._set(func, name, args, kwargs))

    def _set(self, func: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Arguments by name, those that are ours among them; others are changed in place."""
        ours: dict[str, Any] = {}
        places = named_places(func, _SET)
        for key in places.keys() & {"eps", "epsilon"}:
            place, default = places[key]
            given = args[place] if place < len(args) else kwargs.get(key, default)
            if self._type_epsilon is None and (isinstance(given, float) or name == "rms_norm"):
                ours[key] = TINY
            elif name == "rms_norm" and given is None:
                ours[key] = self._type_epsilon
        if "dropout_p" in places:
            ours["dropout_p"] = 0.0
        if operator_of(name).chance is Chance.SLOPES and "training" in places:
            ours["training"] = False
        for key in [key for key in ours if places[key][0] < len(args)]:
            args[places[key][0]] = ours.pop(key)
        if name in _RECURRENT and len(args) > 6:
            args[6 if isinstance(args[3], list | tuple) else 5] = 0.0
        return {**kwargs, **ours}

    def _left(self, func: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """What Python is told of a tensor; the same as before, where that decides the path."""
        decision = self._replay.decision(name, args)
        if decision is not None:
            return decision.answer
        args, kwargs = self._read(name, args, kwargs)
        plain = [v.detach() if isinstance(v, Tensor) and has_memory(v) else v for v in args]
        return func(*plain, **kwargs)

    def _read(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """The arguments, with types widened and weights in their places."""
        written = name.endswith("_") and not name.endswith("__")
        wide = [
            self._written(value) if written and i == 0 else mapped(self._wide, value)
            for i, value in enumerate(args)
        ]
        named = {
            key: self._written(value) if key == "out" else mapped(self._wide, value)
            for key, value in kwargs.items()
        }
        return wide, named

    def _wide(self, value: Any) -> Any:
        """An argument in float64."""
        if self._own_types:
            return self._weight(value)
        if isinstance(value, torch.dtype):
            return WIDE_TYPE.get(value, value)
        return wide(self._weight(value))

    def _weight(self, value: Any) -> Any:
        """The weight in whose memory an argument lies, or the argument."""
        if not isinstance(value, Tensor) or not has_memory(value):
            return value
        weight = self._weights.get(address_of(value))
        return value if weight is None else weight(value)

    def _written(self, value: Any) -> Any:
        """What is written into, which has the type that it has."""
        weight = self._weight(value)
        if isinstance(weight, Tensor) and has_memory(weight):
            self.writes |= address_of(weight) in self._made
        return weight

    def _look(self, name: str, args: Sequence[Any]) -> None:
        """Notice whether the model takes gradients."""
        if name in ("grad", "backward") or (args and is_differentiated(args[0])):
            self.differentiates = True

    def _note(self, name: str, args: Sequence[Any], result: Any) -> None:
        """Add a call to the path, and know numbers in [0, 1) again once something was added."""
        shifted = name in _ADDING and any(id(value) in self._uniform for value in args)
        drawn = operator_of(name).chance is Chance.UNIFORM
        if isinstance(result, Tensor) and (drawn or shifted):
            self._uniform[id(result)] = result
        shapes = [tuple(v.shape) for v in leaves(result) if isinstance(v, Tensor)]
        self.path = hash((self.path, name, *shapes))


def _embedded(func: Any, args: list[Any], kwargs: dict[str, Any], *, epsilon: bool) -> Any:
    """Rows of a table, after those that are too long were shortened, which has a derivative."""
    given = inspect.signature(func).bind(*args, **kwargs).arguments
    length = given.pop("max_norm", None)
    if length is not None:
        shorten_(
            given["weight"], given["input"], length, given.get("norm_type", 2.0), epsilon=epsilon
        )
    return func(**given)
