"""Scale-invariant blocks, cut as finely as they are invariant, and tried by scaling all at once."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch

from etaeff.geometry import Block
from etaeff.records.audits import Note, NoteKind, SymmetryKind
from etaeff.symmetry._evidence import Evidence
from etaeff.symmetry._measurement._defects import ZERO
from etaeff.symmetry._measurement._granularity import finest_block
from etaeff.symmetry._measurement._replacing import scaled_by
from etaeff.symmetry._symmetry import Symmetry

_SCALINGS: Final = (SymmetryKind.SCALE_INVARIANT, SymmetryKind.RESCALING)
_POWERS: Final = (-2, 3)  # of two, for the pieces of a block


def scale_invariant_blocks(
    symmetries: Sequence[Symmetry], evidence: Evidence, notes: list[Note]
) -> tuple[Block, ...]:
    """A block for each scale-invariant symmetry of one power; no tensor is in two.

    Args:
        symmetries: All symmetries.
        evidence: What is known. Without samples, blocks are whole tensors.
        notes: A sentence is added if the outputs move where they should not.
    """
    blocks: list[Block] = []
    taken: set[str] = set()
    for symmetry in symmetries:
        names = tuple(symmetry.exponents)
        one_power = len(set(symmetry.exponents.values())) == 1
        if not symmetry.is_scale_invariant or not one_power or taken & set(names):
            continue
        taken |= set(names)
        blocks.append(finest_block(evidence.drawn, names) if evidence.drawn else Block(names))
    return tuple(_tried(blocks, symmetries, evidence, notes) if evidence.drawn else blocks)


def _tried(
    blocks: list[Block], symmetries: Sequence[Symmetry], evidence: Evidence, notes: list[Note]
) -> list[Block]:
    """The blocks whose pieces can be scaled by different powers of two; the others whole."""
    mixture = _mixture(symmetries)
    every = dict(mixture)
    for block in blocks:
        for name, powers in _powers(block, evidence).items():
            every[name] = every.get(name, 0) + powers
    if evidence.moved(scaled_by(every)) <= ZERO:
        return blocks
    moved = evidence.moved(scaled_by(mixture))
    if moved > ZERO:
        notes.append(NoteKind.MOVED.note(change=moved))
    return [
        block if evidence.moved(scaled_by(_powers(block, evidence))) <= ZERO else Block(block.names)
        for block in blocks
    ]


def _mixture(symmetries: Sequence[Symmetry]) -> dict[str, Any]:
    """Exponents along all symmetries at once, with signs that take turns."""
    total: dict[str, Any] = {}
    for i, symmetry in enumerate(s for s in symmetries if s.kind in _SCALINGS):
        for name, value in symmetry.exponents.items():
            total[name] = total.get(name, 0) + (-1) ** i * int(value)
    return total


def _powers(block: Block, evidence: Evidence) -> Mapping[str, torch.Tensor]:
    """An exponent for each piece, in shapes that are broadcast to the tensors."""
    if block.count == 1:
        return {}
    generator = torch.Generator().manual_seed(0)
    powers = torch.randint(*_POWERS, (block.count,), generator=generator)
    exponents = {}
    for name in block.names:
        shape = evidence.tensors[name].shape
        pieces = powers.repeat_interleave(shape[block.axis] // block.count)
        exponents[name] = pieces.reshape([-1 if i == block.axis else 1 for i in range(len(shape))])
    return exponents
