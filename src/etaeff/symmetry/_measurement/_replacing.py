"""How far outputs move when weights are replaced by others."""

import math
from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

from etaeff.symmetry._measurement._experiment import Experiment
from etaeff.symmetry._measurement._samples import NOT_TAKEN, ordinary, varied
from etaeff.symmetry._measurement._weights import Lazy, Weights

# Another weight, of its name and the weight.
Replacement: TypeAlias = Callable[[str, Tensor], Tensor]

_REDRAW_NOISE: Final = 4.0


class Trials:
    """Runs in which weights are replaced by others, beside runs in which they are not.

    Args:
        experiment: The model, and what it is run on. Held parameters are never replaced.
    """

    def __init__(self, experiment: Experiment) -> None:
        """Nothing was run yet."""
        self._experiment = experiment
        self._usual: dict[int, tuple[Sequence[Any], list[Tensor]]] = {}

    def moved(self, other: Replacement, draw: int = 0, base: Replacement | None = None) -> float:
        """Largest relative change of an output when shaken weights are replaced by others.

        Args:
            other: The other weight, of name and weight; it may write into that.
            draw: Of weights, chance and inputs; those of draw 0 are the model's own inputs.
            base: The weights with which to compare; by default as they were shaken.
        """
        generator = torch.Generator().manual_seed(draw)
        weights = Weights(self._experiment.parameters, generator, held=self._experiment.held)
        if draw not in self._usual:
            self._usual[draw] = self._as_usual(weights, draw)
        inputs, usual = self._usual[draw]
        try:
            if base is not None:
                usual = self._outputs(weights, inputs, draw, base)
            found = self._outputs(weights, inputs, draw, other)
        except NOT_TAKEN:
            return float("inf")  # a log holds for one path, and others end where it has no more
        return max((_change(old, new) for old, new in zip(usual, found, strict=True)), default=0.0)

    def _as_usual(self, weights: Weights, draw: int) -> tuple[Sequence[Any], list[Tensor]]:
        """Inputs of a draw, and the outputs on them."""
        if draw:
            generator = torch.Generator().manual_seed(draw)
            try:
                inputs = varied(self._experiment.inputs, generator, signs=draw % 2 == 0)
                return inputs, self._outputs(weights, inputs, draw)
            except NOT_TAKEN:
                pass  # it cannot take them
        return self._experiment.inputs, self._outputs(weights, self._experiment.inputs, draw)

    def _outputs(
        self, weights: Weights, inputs: Sequence[Any], draw: int, other: Replacement | None = None
    ) -> list[Tensor]:
        """What the model puts out, with the same chance each time, such as stochastic depth."""

        def made(name: str) -> Tensor:
            value = weights.value(name)
            if other is None or name in self._experiment.held:
                return value
            return other(name, value)

        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(draw)
            return self._experiment.outputs(lambda name: Lazy(partial(made, name)), inputs)


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


def scaled_by(exponents: Mapping[str, float | Tensor]) -> Replacement:
    """For `Trials`: weights times 2 to their exponents, which is exact if those are whole.

    An exponent is a number, or a tensor that is broadcast to its weight.
    """

    def other(name: str, weight: Tensor) -> Tensor:
        power = exponents.get(name, 0)
        if isinstance(power, Tensor):
            one = torch.ones(power.shape, dtype=torch.float64)
            factor = torch.ldexp(one, power)  # `exp2` need not be exact
            return weight.mul_(factor.to(weight.device))
        return weight.mul_(2.0**power)

    return other


def after(first: Replacement, second: Replacement) -> Replacement:
    """One replacement after another."""
    return lambda name, weight: second(name, first(name, weight))


def redrawn(
    names: Container[str],
    *,
    signs: bool = True,
    spread: float = _REDRAW_NOISE,
    power: int = 0,
    seed: int = 1,
) -> Replacement:
    """For `Trials`: other weights under some names, of any size, and of the same signs or any.

    A power of two makes all of them larger or smaller: what saturates hides what is small.
    """

    def other(name: str, weight: Tensor) -> Tensor:
        if name not in names:
            return weight
        noise = torch.randn(
            weight.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        ).to(weight.device)
        if not signs:
            weight.mul_(noise.roll(1).sign() if weight.numel() > 1 else -1.0)
        return weight.mul_(noise.mul_(spread).exp_()).mul_(2.0**power)

    return other
