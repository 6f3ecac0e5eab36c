"""Results that are made again in the backward pass, for they cost little beside their memory."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, fx

from etaeff.symmetry._measurement._saved import Make, Saved

_LARGE: Final = 1 << 15  # entries; of others the book-keeping costs more than they do
# Autograd keeps what goes into these, so that to keep it here too costs nothing.
_KEEP_INPUTS: Final = frozenset({
    "batch_norm", "layer_norm", "group_norm", "rms_norm", "mul", "silu", "gelu", "mish",
    "hardswish", "hardsigmoid", "softplus", "elu", "leaky_relu", "selu", "celu", "hardtanh",
    "relu6", "log_sigmoid", "prelu",
})  # fmt: skip
# These keep what comes out; if what went in can be made again, so can that.
_KEEP_RESULTS: Final = frozenset({"relu", "sigmoid", "tanh"})


def remade(
    saved: Saved,
    name: str,
    call: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Make | None:
    """How the result of an operator is made again, or `None` if it has to be kept.

    It is to be asked before the operator runs, which may write into what it is given.

    Args:
        saved: What is known of the forward pass.
        name: The operator.
        call: The operator that does the same and writes into nothing.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
    """
    plain = name.removesuffix("_")
    if plain == "batch_norm" and all(args[5:6]):  # it trains: its means are written, and not read
        args = [*args[:3], None, None, *args[5:]]
    large = [v for v in args if isinstance(v, Tensor) and v.numel() >= _LARGE]
    if plain not in _KEEP_INPUTS | _KEEP_RESULTS or not large or not torch.is_grad_enabled():
        return None
    kept_anyway = plain == name and plain in _KEEP_INPUTS
    for value in large:
        if not saved.knows(value) and not (kept_anyway and value.requires_grad):
            return None
    kept = fx.node.map_aggregate((tuple(args), dict(kwargs)), lambda v: _packed(saved, v))

    def make() -> Tensor:
        again: Any = fx.node.map_aggregate(kept, _unpacked)
        with torch.no_grad():
            result: Tensor = call(*again[0], **again[1])
        return result

    return saved.once(make)


def keeps_its_result(name: str) -> bool:
    """Whether autograd keeps the result of an operator, and nothing that goes into it."""
    return name.removesuffix("_") in _KEEP_RESULTS


class _Packed:
    """A tensor as it is kept."""

    def __init__(self, kept: Any) -> None:
        """As `Saved.pack` gave it."""
        self.kept = kept


def _packed(saved: Saved, value: Any) -> Any:
    """An argument as it is kept: without its gradient, which would hold the whole graph."""
    return _Packed(saved.pack(value.detach())) if isinstance(value, Tensor) else value


def _unpacked(value: Any) -> Any:
    """An argument again."""
    return Saved.unpack(value.kept) if isinstance(value, _Packed) else value
