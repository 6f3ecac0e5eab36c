"""What the samples say beyond the symmetries that were found."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import torch

from etaeff._words import ranges
from etaeff.records.audits import Note, NoteKind, SymmetryKind
from etaeff.symmetry._evidence import Evidence
from etaeff.symmetry._measurement._defects import measured_null_space
from etaeff.symmetry._measurement._granularity import invariant_parts
from etaeff.symmetry._measurement._replacing import scaled_by
from etaeff.symmetry._measurement._samples import Sample
from etaeff.symmetry._symmetry import Symmetry

_FAR_POWER: Final = 10  # powers of two
_REMAINDER: Final = 1e-3  # of a direction; the rest is rounding
_VISIBLE_CHANGE: Final = 1e-6  # of the outputs; a direction from samples is not exact


def comparison(evidence: Evidence, symmetries: Sequence[Symmetry], rank: int) -> Note:
    """Whether the samples alone know a symmetry that is not among those that were found."""
    space = measured_null_space(evidence.drawn)
    facts: dict[str, Any] = {"dimension": len(space), "rank": rank}
    if len(space) <= rank:
        return NoteKind.NONE_MISSED.note(**facts)
    names = list(evidence.tensors)
    vectors = [s.exponents for s in symmetries if s.kind is not SymmetryKind.HOMOGENEOUS]
    known = torch.tensor([[float(v.get(n, 0)) for n in names] for v in vectors], dtype=space.dtype)
    others = space - space @ torch.linalg.pinv(known) @ known if vectors else space
    _, sizes, rows = torch.linalg.svd(others, full_matrices=False)
    unknown = rows[sizes > _REMAINDER]
    far = _FAR_POWER * unknown / unknown.abs().amax(1, keepdim=True)
    both = torch.cat([far, -far]).tolist()
    powers = [dict(zip(names, row, strict=True)) for row in both]
    if any(evidence.moved(scaled_by(row)) > _VISIBLE_CHANGE for row in powers):
        return NoteKind.NONE_KNOWN_MISSED.note(**facts)
    return NoteKind.MISSED.note(**facts, missed=len(space) - rank)


def notes_on_parts(
    drawn: Sequence[Sample], names: Iterable[str], symmetries: Sequence[Symmetry]
) -> list[Note]:
    """A note on tensors of which only some pieces are scale-invariant."""
    whole = {next(iter(s.exponents)) for s in symmetries if len(s.exponents) == 1}
    alike: dict[str, list[str]] = {}
    for name in names if drawn else ():
        parts = None if name in whole else invariant_parts(drawn, name)
        if parts is not None:
            axis, count, pieces = parts
            text = f"{len(pieces)} of {count} equal pieces along axis {axis} ({ranges(pieces)})"
            alike.setdefault(text, []).append(name)
    return [NoteKind.PARTS.note(tensors, parts=text) for text, tensors in alike.items()]
