"""How far outputs move when weights are replaced by others."""

import math
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from etaeff.symmetry._measurement._float64 import Run
from etaeff.symmetry._measurement._samples import ordinary
from etaeff.symmetry._measurement._weights import Lazy, Weights

_REDRAW_NOISE: Final = 4.0


def change(
    run: Run,
    parameters: Mapping[str, Tensor],
    aliases: Mapping[str, str],
    inputs: Sequence[Any],
    other: Callable[[str, Tensor], Tensor],
) -> float:
    """Largest relative change of an output when shaken weights are replaced by others.

    Args:
        run: The model.
        parameters: By canonical name.
        aliases: Canonical name of every name.
        inputs: The flat inputs.
        other: The other weight, of name and weight; it may write into that.
    """
    weights = Weights(parameters, torch.Generator().manual_seed(0))

    def as_it_is(name: str) -> Lazy:
        return Lazy(lambda: weights.value(name))

    def replaced(name: str) -> Lazy:
        return Lazy(lambda: other(name, weights.value(name)))

    outputs = []
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for make in (as_it_is, replaced):
            torch.manual_seed(0)  # the same chance in both, such as stochastic depth
            outputs.append(run({n: make(first) for n, first in aliases.items()}, list(inputs)))
    return max((_change(old, new) for old, new in zip(*outputs, strict=True)), default=0.0)


def _change(old: Tensor, new: Tensor) -> float:
    """The largest change of an entry, beside the largest entry of a usual size."""
    if old.shape != new.shape:
        return float("inf")
    differs = ~((old == new) | (old.isnan() & new.isnan()))
    if not bool(differs.any()):
        return 0.0
    moved = float((new - old)[differs].abs().max())
    usual = old[ordinary(old)].abs()
    size = float(usual.max()) if usual.numel() else 0.0
    return float("inf") if math.isnan(moved) else moved / (size or 1.0)


def scaled_by(exponents: Mapping[str, float | Tensor]) -> Callable[[str, Tensor], Tensor]:
    """For `change`: weights times 2 to their exponents, which is exact if those are whole.

    An exponent is a number, or a tensor that is broadcast to its weight.
    """

    def other(name: str, weight: Tensor) -> Tensor:
        power = exponents.get(name, 0)
        if isinstance(power, Tensor):
            one = torch.ones(power.shape, dtype=torch.float64)
            return weight.mul_(torch.ldexp(one, power))  # `exp2` need not be exact
        return weight.mul_(2.0**power)

    return other


def redrawn(names: Container[str]) -> Callable[[str, Tensor], Tensor]:
    """For `change`: other weights of the same signs under some names."""

    def other(name: str, weight: Tensor) -> Tensor:
        if name not in names:
            return weight
        noise = torch.randn(
            weight.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
        )
        return weight.mul_(noise.mul_(_REDRAW_NOISE).exp_())

    return other
