"""What Python is told by tensors while a model runs: decisions, and numbers that leave torch."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from torch import Tensor
from torch.overrides import TorchFunctionMode

from etaeff.symmetry._tracing._torch import leaves

_DECIDING: Final = frozenset({"__bool__", "is_nonzero", "equal", "allclose"})
LEAVING: Final = _DECIDING | {
    "item", "tolist", "numpy", "__array__", "__float__", "__int__", "__index__", "__complex__",
}  # fmt: skip
_DRAWING: Final = frozenset(
    {"rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like",
     "uniform_", "normal_", "bernoulli_", "exponential_", "random_", "log_normal_"}
)  # fmt: skip


class Decision(NamedTuple):
    """What Python was told at one place: the call, and its answer."""

    call: str
    answer: Any


class Drawn:
    """The tensors of one run that are made of torch's chance alone."""

    def __init__(self) -> None:
        """None yet."""
        self._tensors: dict[int, Tensor] = {}  # by identity; held, so that none is mistaken

    def __contains__(self, tensor: object) -> bool:
        """Whether it is one of them."""
        return id(tensor) in self._tensors

    def note(self, name: str, args: Sequence[Any], result: Any) -> None:
        """Look at one call."""
        if isinstance(result, Tensor) and self._is_chance(name, args):
            self._tensors[id(result)] = result

    def _is_chance(self, name: str, args: Sequence[Any]) -> bool:
        if name in _DRAWING:
            return True
        if not self._tensors:
            return False
        tensors = [value for value in leaves(list(args)) if isinstance(value, Tensor)]
        return bool(tensors) and all(value in self for value in tensors)


class Listener(TorchFunctionMode):
    """Remembers what Python is told that decides the path of a model.

    Attributes:
        decisions: In order.
        by_chance: Whether a number that torch had drawn was among it.
    """

    def __init__(self) -> None:
        """Nothing heard yet."""
        super().__init__()
        self.decisions: list[Decision] = []
        self.by_chance = False
        self._drawn = Drawn()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """One call."""
        name = getattr(func, "__name__", "")
        result = func(*args, **(kwargs or {}))
        if name not in LEAVING:
            self._drawn.note(name, args, result)
        elif name in _DECIDING or args[0] in self._drawn:
            self.decisions.append(Decision(name, copy.copy(result)))
            self.by_chance |= args[0] in self._drawn
        return result


class Replay:
    """Tells Python again what it was told, where that decides the path."""

    def __init__(self, decisions: Sequence[Decision]) -> None:
        """From the first."""
        self._left: Iterator[Decision] = iter(decisions)
        self._drawn = Drawn()
        self.note = self._drawn.note

    def decision(self, name: str, args: Sequence[Any]) -> Decision | None:
        """What was decided at this place, if that is known."""
        if name not in _DECIDING and args[0] not in self._drawn:
            return None
        decision = next(self._left, None)
        return decision if decision is not None and decision.call == name else None
