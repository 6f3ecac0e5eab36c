"""Scale-invariant blocks, cut as finely as they are invariant; pieces are tried by scaling."""

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from etaeff.geometry import Block
from etaeff.symmetry._evidence import Evidence
from etaeff.symmetry._heed import Heed
from etaeff.symmetry._measurement._defects import ZERO
from etaeff.symmetry._measurement._granularity import finest_block
from etaeff.symmetry._measurement._replacing import scaled_by
from etaeff.symmetry._scaling import hold_apart
from etaeff.symmetry._symmetry import Symmetry

_POWERS: Final = (-2, 3)  # of two, for the pieces of a block
_DRAW: Final = 1  # of weights and inputs other than those of the symmetries' own trial


def scale_invariant_blocks(
    symmetries: Sequence[Symmetry], evidence: Evidence, heed: Heed
) -> tuple[Block, ...]:
    """A block for each scale-invariant symmetry of one power; no tensor is in two.

    Where two share a tensor, single tensors come first, and then what has the most entries.

    Args:
        symmetries: All symmetries.
        evidence: What is known. Without samples, blocks are whole tensors.
        heed: Parameters that have no gradient. Of those that were not reached there is no block.
    """
    reached = [s for s in symmetries if not s.exponents.keys() <= heed.unreached]
    chosen = [Block(names) for names in _chosen(reached, evidence.tensors)]
    if not evidence.drawn:
        return tuple(chosen)
    blocks = [
        _finest_by_scaling(block, evidence)
        if heed.blind.intersection(block.names)
        else finest_block(evidence.drawn, block.names)
        for block in chosen
    ]
    every = {name: powers for b in blocks for name, powers in _powers(b, evidence).items()}
    if evidence.moved(scaled_by(every), _DRAW) <= ZERO:
        return tuple(blocks)
    return tuple(block if _pieces_hold(block, evidence) else Block(block.names) for block in blocks)


def _chosen(
    symmetries: Sequence[Symmetry], tensors: Mapping[str, Tensor]
) -> Sequence[tuple[str, ...]]:
    """The tensors of each block."""

    def order(symmetry: Symmetry) -> tuple[bool, int]:
        entries = sum(tensors[name].numel() for name in symmetry.exponents)
        return len(symmetry.exponents) > 1, -entries

    taken: set[str] = set()
    chosen = []
    for symmetry in sorted(symmetries, key=order):
        one_power = len(set(symmetry.exponents.values())) == 1
        free = not taken & symmetry.exponents.keys()
        if symmetry.is_scale_invariant and one_power and free:
            taken |= symmetry.exponents.keys()
            chosen.append(symmetry)
    return [tuple(symmetry.exponents) for symmetry in symmetries if symmetry in chosen]


def _pieces_hold(block: Block, evidence: Evidence) -> bool:
    """Whether outputs stay when each piece is scaled by another power."""
    return evidence.moved(scaled_by(_powers(block, evidence)), _DRAW) <= ZERO


def _finest_by_scaling(block: Block, evidence: Evidence) -> Block:
    """The block in the slices of the axis that has the most of them, where no gradient tells."""
    shapes = [evidence.tensors[name].shape for name in block.names]
    cuts = [
        Block(block.names, axis=axis, count=lengths.pop())
        for axis in range(min(map(len, shapes)))
        if len(lengths := {shape[axis] for shape in shapes}) == 1
    ]
    for cut in sorted(cuts, key=lambda cut: -cut.count):
        powers = _powers(cut, evidence)
        if powers and hold_apart(evidence, powers):
            return cut
    return block


def _powers(block: Block, evidence: Evidence) -> Mapping[str, Tensor]:
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
