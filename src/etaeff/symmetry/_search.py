"""A search for symmetries in samples alone: what they leave open, written in small fractions."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

import torch
from torch import Tensor

from etaeff._words import counted
from etaeff.symmetry._evidence import Evidence
from etaeff.symmetry._measurement._bound import open_directions, rational
from etaeff.symmetry._measurement._cost import passes_in
from etaeff.symmetry._measurement._defects import ZERO
from etaeff.symmetry._measurement._differences import PRECISION
from etaeff.symmetry._measurement._samples import Sample
from etaeff.symmetry._progress import stage
from etaeff.symmetry._proof._basis import Span
from etaeff.symmetry._proof._nullspace import Vector, integers
from etaeff.symmetry._scaling import holds

_LOSSES: Final = 4  # of one forward pass
_PATIENCE: Final = 0.5  # seconds without a new row, after which there is none to come,
_STALE: Final = (4, 20)  # or as many forward passes: at least, at most
_DIRECTIONS: Final = 4  # that are drawn along
_SPREAD: Final = 1.5  # deviation of the powers of two by which weights are scaled
_ALONG: Final = 6.0  # powers of two
_SEED: Final = 1000  # of further samples


class Search:
    """Samples, and the directions that they leave open.

    Args:
        evidence: What is known.
        names: Parameters that have a gradient.
        known: Symmetries, as exponents by the number of the parameter.
        drawn: The samples so far.

    Attributes:
        known: The symmetries, those that were found included.
        left: Directions that no sample contradicts, one in a row, beyond those.
    """

    def __init__(
        self,
        evidence: Evidence,
        names: Sequence[str],
        known: Sequence[Vector],
        drawn: Sequence[Sample],
    ) -> None:
        """With what the samples leave open."""
        self.evidence = evidence
        self.names = names
        self.known = list(known)
        self._drawn = list(drawn) if evidence.gradients_tell else []
        self._precision = ZERO if evidence.gradients_tell else PRECISION
        self._refuted: list[Vector] = []
        self._seed = _SEED
        self._index = {name: i for i, name in enumerate(evidence.tensors)}
        if not self._drawn:
            self._drawn = evidence.more(_SEED, _LOSSES, {}, by_gradients=False)
        self._look()

    def draw_until_stale(self) -> None:
        """Draw until nothing is left open, or it does not get less any more."""
        stale, most = 0, passes_in(self.evidence.graph, _PATIENCE, *_STALE)
        while len(self.left) and stale < most:
            stage(f"searching for what the proof missed: {counted(len(self.left), 'scaling')} open")
            before = len(self.left)
            spread = _SPREAD if self._seed % 2 else 0.0
            generator = torch.Generator().manual_seed(self._seed)
            noise = torch.randn(len(self._index), generator=generator).mul_(spread).tolist()
            self._draw(dict(zip(self._index, noise, strict=True)))
            stale = 0 if len(self.left) < before else stale + 1

    def draw_along(self) -> None:
        """Draw at weights that are scaled along what is open, up and down."""
        for direction in self.left[:_DIRECTIONS]:
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
        losses = min(_LOSSES, len(self.left) + 1)
        tell = self.evidence.gradients_tell
        self._drawn += self.evidence.more(self._seed, losses, powers, by_gradients=tell)
        self._seed += 1
        self._look()

    def _look(self) -> None:
        """What is left open."""
        names = list(self.evidence.tensors)
        known = [{names[i]: float(v) for i, v in vector.items()} for vector in self.known]
        self.left = open_directions(self._drawn, self.names, known, self._precision)
