"""The upper bound: which symmetries the samples alone allow, and which of those are true.

The null space of enough samples holds every symmetry. Beyond those that are proved it may hold more
that are true, which the rules miss, and directions that are none: near the weights that were drawn
a nonlinearity is flat or straight. So what is left over is written in small fractions, tried by
scaling far, and where that fails the next samples are drawn along it, where it shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import torch
from torch import Tensor

from etaeff._words import counted
from etaeff.symmetry._evidence import Evidence
from etaeff.symmetry._measurement._bound import open_directions, rational
from etaeff.symmetry._measurement._samples import Sample
from etaeff.symmetry._progress import stage
from etaeff.symmetry._proof._basis import Span
from etaeff.symmetry._proof._nullspace import Vector, integers
from etaeff.symmetry._scaling import holds

_LOSSES: Final = 4  # of one forward pass
_STALE: Final = 3  # forward passes without a new row, after which there is none to come
_ROUNDS: Final = 4  # in which directions are tried, and drawn along
_SPREAD: Final = 1.5  # deviation of the powers of two by which weights are scaled
_ALONG: Final = 6.0  # powers of two
_TAKES_PART: Final = 1e-3  # in a direction
_SEED: Final = 1000  # of further samples


@dataclass(frozen=True)
class Bound:
    """What samples say beyond the symmetries that are known.

    Attributes:
        asked: Whether there were enough of them.
        measured: Symmetries beyond the known ones that hold when they are tried.
        open: Parameters that may stand in further ones.
        dimension: Of the null space of the samples, for parameters with a gradient.
    """

    asked: bool
    measured: tuple[Vector, ...] = ()
    open: frozenset[str] = frozenset()
    dimension: int = 0


def upper_bound(
    evidence: Evidence, names: Sequence[str], known: Sequence[Vector], drawn: Sequence[Sample]
) -> Bound:
    """What samples say beyond symmetries that are known.

    Args:
        evidence: What is known.
        names: Parameters that have a gradient.
        known: Symmetries, as exponents by the number of the parameter.
        drawn: The samples so far.
    """
    search = _Search(evidence, names, known, drawn)
    search.draw_until_stale()
    for _ in range(_ROUNDS):
        if not len(search.left):
            break
        search.try_fractions()
        if len(search.left):
            search.draw_along()
    taking_part = (search.left.abs() > _TAKES_PART).any(0).tolist() if len(search.left) else []
    still = frozenset(n for n, part in zip(names, taking_part, strict=False) if part)
    dimension = len(search.known) + len(search.left)
    return Bound(True, tuple(search.known[len(known) :]), still, dimension)


class _Search:
    """Samples, and the directions that they leave open."""

    def __init__(
        self,
        evidence: Evidence,
        names: Sequence[str],
        known: Sequence[Vector],
        drawn: Sequence[Sample],
    ) -> None:
        self.evidence = evidence
        self.names = names
        self.known = list(known)
        self._drawn = list(drawn)
        self._refuted: list[Vector] = []
        self._seed = _SEED
        self._index = {name: i for i, name in enumerate(evidence.tensors)}
        self._look()

    def draw_until_stale(self) -> None:
        """Draw until nothing is left open, or it does not get less any more."""
        stale = 0
        while len(self.left) and stale < _STALE:
            before = len(self.left)
            spread = _SPREAD if self._seed % 2 else 0.0
            generator = torch.Generator().manual_seed(self._seed)
            noise = torch.randn(len(self._index), generator=generator).mul_(spread).tolist()
            self._draw(dict(zip(self._index, noise, strict=True)))
            stale = 0 if len(self.left) < before else stale + 1

    def draw_along(self) -> None:
        """Draw at weights that are scaled along what is open, up and down."""
        for direction in self.left[: _STALE + 1]:
            for power in (_ALONG, -_ALONG):
                if len(self.left):
                    self._draw(dict(zip(self.names, (power * direction).tolist(), strict=True)))

    def try_fractions(self) -> None:
        """Write what is open in small fractions, and keep what holds."""
        rows = [self._row(vector) for vector in self.known]
        for row in rational(torch.cat([*rows, self.left]) if rows else self.left):
            vector = integers({self._index[self.names[i]]: v for i, v in row.items()})
            if vector in Span(self.known) or vector in self._refuted:
                continue
            if holds(self.evidence, vector):
                self.known.append(vector)
            else:
                self._refuted.append(vector)
        self._look()

    def _row(self, vector: Mapping[int, Fraction]) -> Tensor:
        """A vector as a row of numbers."""
        values = [float(vector.get(self._index[name], 0)) for name in self.names]
        return torch.tensor([values], dtype=torch.float64)

    def _draw(self, powers: Mapping[str, float]) -> None:
        """Samples of another forward pass."""
        left = counted(len(self.left), "direction")
        stage(f"looking for what the proof missed: {left} left to decide")
        losses = min(_LOSSES, len(self.left) + 1)
        self._drawn += self.evidence.more(self._seed, losses, powers)
        self._seed += 1
        self._look()

    def _look(self) -> None:
        """What is left open."""
        names = list(self.evidence.tensors)
        known = [{names[i]: float(v) for i, v in vector.items()} for vector in self.known]
        self.left = open_directions(self._drawn, self.names, known)
