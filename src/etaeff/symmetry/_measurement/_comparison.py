"""Whether a graph does what the model does, at other weights too.

A trace misses what leaves torch: a number that the model takes out of a weight by way of NumPy is a
constant to it. So graph and model are run on weights that are drawn anew, tensor by tensor, with
the same chance and the same decisions. Where they part, the graph is not that of the model.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

from etaeff.symmetry._measurement._eager import Eager
from etaeff.symmetry._measurement._float64 import Run
from etaeff.symmetry._measurement._weights import Lazy
from etaeff.symmetry._measurement._wide import double

Draw: TypeAlias = Callable[[int, Tensor], Tensor]

_EXACT: Final = 1e-9
_ALIKE: Final = 1e-5  # in float32, where the same operators ran
_ROUNDED: Final = 100.0  # roundings of the model's type, by which a constant may part them
_WORSE: Final = 100.0  # how much further they may part elsewhere
_LAST_DIGITS: Final = 1e-13
_ENOUGH: Final = 2  # redraws that agree
_TILE: Final = 262_147  # numbers of noise, over and over
_PLACES: Final = 4_099
_USUAL_SIZE: Final = 0.3  # of tensors that begin at, or near, zero
_VANISHING_SIZE: Final = 1e-3
_NEAR: Final = 1e-3
_ORDER: Final = ("signed", "free", "signed", "free", "near", "near", "signed", "near")


@dataclass(frozen=True)
class Comparison:
    """What came of it.

    Attributes:
        difference: Why the graph is not the model's; nothing if it is.
        failure: Why they could not be compared.
    """

    difference: str = ""
    failure: Exception | None = None


@dataclass(frozen=True)
class Both:
    """A graph and the model, to be run side by side.

    Attributes:
        graph: With its own ε.
        model: With its own ε.
        parameters: By their first name.
        aliases: First name of every name.
        inputs: The flat inputs.
        begin: Puts chance where it was when the model was traced.
        own_types: Whether both run in the types that the model has, or else in float64.
        device: Where both run; by default, where the parameters are.
    """

    graph: Run
    model: Eager
    parameters: Mapping[str, Tensor]
    aliases: Mapping[str, str]
    inputs: Sequence[Any]
    begin: Callable[[], None]
    own_types: bool = False
    device: torch.device | None = None

    def gap(self, draw: Draw) -> float:
        """Largest difference of their outputs, beside the largest entry."""
        right = self._run(self.model, draw)
        try:
            left = self._run(self.graph, draw)
        except Exception:  # other shapes than in the trace
            return float("inf")
        return _gap(left, right)

    def movement(self, draw: Draw, by: float) -> float:
        """How far the graph's outputs move when all weights change by a small share."""
        noise = _Noise(-1)

        def moved(place: int, parameter: Tensor) -> Tensor:
            weight = draw(place, parameter)
            return weight * (1 + by * noise.of(place, weight))

        return _gap(self._run(self.graph, moved), self._run(self.graph, draw))

    def _run(self, run: Run, draw: Draw) -> list[Tensor]:
        places = dict(zip(self.parameters, count(), strict=False))

        def lazy(name: str) -> Lazy:
            own = self.parameters[name]
            kind = own.dtype if self.own_types else None
            return Lazy(lambda: draw(places[name], own).to(self.device or own.device, kind))

        self.begin()
        return run({name: lazy(first) for name, first in self.aliases.items()}, self.inputs)


def compared(both: Both, quick: Both) -> Comparison:
    """Whether a graph and the model do the same.

    In the model's own types the same operators round alike, and float64 costs more; so it is only
    asked where that shows a difference. A model that refuses float64 is compared as it is.

    Args:
        both: In float64.
        quick: In the model's own types.
    """
    if _agree(quick):
        return Comparison()
    found = _judged(both, _EXACT, _LAST_DIGITS)
    return found if found.failure is None else _judged(quick, _ALIKE, _ALIKE)


def _judged(both: Both, alike: float, last_digits: float) -> Comparison:
    """Whether a graph and the model do the same on redraws that tell something.

    A redraw tells nothing where the model takes another path than at its own weights, or where a
    change in the last digits moves the outputs as much, as where a router chooses between equals.
    """
    agreed, failure = 0, None
    reference = _Reference(both, last_digits)
    with torch.no_grad():
        for seed, style in enumerate(_ORDER):
            draw = _Redraw(_Noise(seed, style), style)
            try:
                gap = both.gap(draw)
                difference = reference.difference(draw, gap) if gap > alike else ""
            except Exception as error:  # weights that the model refuses, such as a negative scale
                failure = error
                continue
            if difference:
                return Comparison(difference)
            agreed += difference is not None
            if agreed == _ENOUGH:
                break
    if agreed:
        return Comparison()
    return Comparison(failure=failure or ValueError("no two runs of it take the same path"))


def _agree(quick: Both) -> bool:
    """Whether both do the same on the first redraws."""
    draws = [_Redraw(_Noise(seed, style), style) for seed, style in enumerate(_ORDER[:_ENOUGH])]
    try:
        with torch.no_grad():
            return all(quick.gap(draw) <= _ALIKE for draw in draws)
    except Exception:
        return False


class _Reference:
    """Graph and model at the model's own weights, run when that is asked for."""

    def __init__(self, both: Both, last_digits: float) -> None:
        self._both, self._last_digits = both, last_digits
        self._own: tuple[float, int] | None = None  # gap and path
        floating = [p for p in both.parameters.values() if p.is_floating_point()]
        kinds = [p.dtype for p in floating if p.itemsize > 1]
        self._rounding = _ROUNDED * max((torch.finfo(kind).eps for kind in kinds), default=1e-7)

    def difference(self, draw: Draw, gap: float) -> str | None:
        """What a gap says of the graph; `None` if it tells nothing, no text if it allows it."""
        path = self._both.model.path
        if self._own is None:
            self._own = self._both.gap(_own), self._both.model.path
        own_gap, own_path = self._own
        rounded = own_gap <= min(self._rounding, _NEAR)
        if rounded and gap <= _WORSE * own_gap:
            return ""
        by = max(self._last_digits, 10 * min(own_gap, _NEAR**2))
        if path != own_path or _WORSE * self._both.movement(draw, by) > gap:
            return None
        return f"{'at other weights ' if rounded else ''}it does not do what the model does."


class _Noise:
    """The same numbers for the same place, of any sign or as factors about one."""

    def __init__(self, seed: int, style: str = "") -> None:
        generator = torch.Generator().manual_seed(seed + 2)
        tile = torch.randn(_TILE, generator=generator, dtype=torch.float64)
        # Twice, so that a whole tile lies in one piece from any start.
        self._tiles = (tile.div_(2).exp_() if style == "signed" else tile).repeat(2)
        self._sizes = torch.randn(_PLACES, generator=generator, dtype=torch.float64)

    def of(self, place: int, tensor: Tensor) -> Tensor:
        """A number for each entry."""
        start, count = -7919 * (place + 1) % _TILE, tensor.numel()
        tile = self._tiles[start : start + min(count, _TILE)]
        entries = tile.repeat(-(-count // _TILE))[:count]
        return entries.reshape(tensor.shape).to(tensor.device)

    def alone(self, place: int) -> float:
        """One factor for all."""
        return float(2.0 ** self._sizes[place % _PLACES])


@dataclass(frozen=True)
class _Redraw:
    """Other weights of about the same size, which each tensor has for itself.

    Attributes:
        noise: What they are made of.
        style: Of the same signs (`"signed"`), of any (`"free"`), or a little beside (`"near"`).
    """

    noise: _Noise
    style: str

    def __call__(self, place: int, parameter: Tensor) -> Tensor:
        """The weight in place of a parameter."""
        own: Tensor = double(parameter)
        if not own.is_floating_point() or not own.numel():
            return own
        size = float(own.norm()) / own.numel() ** 0.5
        if not math.isfinite(size):
            return own
        noise, factor = self.noise.of(place, own), self.noise.alone(place)
        usual = size if size > _VANISHING_SIZE else _USUAL_SIZE
        if self.style == "near":
            return own.mul_(factor**_NEAR).add_(noise, alpha=_NEAR * usual)
        if self.style == "free" or size <= _VANISHING_SIZE:
            return noise.mul_(usual * factor)
        return own.mul_(noise).mul_(factor)


def _own(_: int, parameter: Tensor) -> Tensor:
    """The model's own weight."""
    weight: Tensor = double(parameter)
    return weight


def _gap(left: Sequence[Tensor], right: Sequence[Tensor]) -> float:
    """Largest difference, beside the largest entry of the same output.

    Raises:
        ValueError: If nothing is finite, so that they say nothing.
    """
    if left and not any(bool(v.isfinite().any()) for v in left):
        raise ValueError("outputs are NaN or infinite at other weights")
    if [v.shape for v in left] != [v.shape for v in right]:
        return float("inf")
    return max((_part(a, b) for a, b in zip(left, right, strict=True)), default=0.0)


def _part(left: Tensor, right: Tensor) -> float:
    """The same of one output; what is not finite must be the same."""
    same = (left == right) | (left.isnan() & right.isnan())
    if bool(same.all()):
        return 0.0
    difference = torch.where(same, 0.0, left - right).abs().max()
    largest = right[right.isfinite()].abs().max() if bool(right.isfinite().any()) else difference
    gap = float(difference / largest.clamp_min(1e-300))
    return gap if gap == gap else float("inf")
