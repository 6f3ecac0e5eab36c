"""The notes on what was found: what is not proved, not reached, or not known."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from etaeff._words import ranges
from etaeff.geometry import Block
from etaeff.records.audits import DecayKind, Note, NoteKind, SymmetryKind
from etaeff.symmetry._effects import DecayEffect
from etaeff.symmetry._evidence import Evidence
from etaeff.symmetry._measurement._defects import ZERO
from etaeff.symmetry._measurement._granularity import invariant_parts, part_powers
from etaeff.symmetry._measurement._replacing import scaled_by
from etaeff.symmetry._symmetries import Findings

_TRIALS: Final = ((0, 2), (1, -3), (2, 8))  # draws, and powers of two


def remarks(
    evidence: Evidence,
    findings: Findings,
    blocks: Sequence[Block],
    effects: Mapping[str, DecayEffect],
    discover: bool | None,
) -> list[Note]:
    """The notes on symmetries, and on parameters.

    Args:
        evidence: What is known.
        findings: The symmetries.
        blocks: The scale-invariant blocks.
        effects: What decay does to each parameter.
        discover: Whether it was asked what samples alone say.
    """
    if not evidence.drawn:
        return _of_effects(effects, blocks)
    notes = _of_heed(evidence, findings)
    notes += _of_measured(findings)
    notes += _of_effects(effects, blocks)
    notes += _on_parts(evidence, findings)
    notes += [_comparison(findings)] if discover else []
    if not findings.bound.asked and discover is None:
        notes.append(NoteKind.NOT_SEARCHED.note())
    return notes


def _of_heed(evidence: Evidence, findings: Findings) -> list[Note]:
    """Notes on parameters that have no gradient."""
    heed = findings.heed
    unproved = [
        name for s in findings.symmetries if s.kind is SymmetryKind.INERT and not s.proved
        for name in s.exponents
    ]  # fmt: skip
    notes = []
    if heed.blind:
        notes.append(NoteKind.WITHOUT_GRADIENT.note(sorted(heed.blind)))
    if unproved:
        count = len(evidence.drawn) + len(heed.more)
        notes.append(NoteKind.INERT_UNPROVED.note(unproved, samples=count))
    return notes


def _of_measured(findings: Findings) -> list[Note]:
    """Notes on symmetries that are measured and not proved."""
    measured = [
        s
        for s in findings.symmetries
        if not s.proved and s.kind in (SymmetryKind.SCALE_INVARIANT, SymmetryKind.RESCALING)
    ]
    singles = [name for s in measured if len(s.exponents) == 1 for name in s.exponents]
    notes = [NoteKind.INVARIANT_UNPROVED.note(singles)] if singles else []
    joint = [s for s in measured if len(s.exponents) > 1]
    return notes + [NoteKind.UNPROVED.note(s.exponents) for s in joint]


def _of_effects(effects: Mapping[str, DecayEffect], blocks: Sequence[Block]) -> list[Note]:
    """Notes on verdicts that are none, and on what is scale-invariant and in no block."""
    by_kind: dict[DecayKind, list[str]] = {}
    for name, decay in effects.items():
        by_kind.setdefault(decay.effect, []).append(name)
    in_blocks = {name for block in blocks for name in block.names}
    left = [name for name in by_kind.get(DecayKind.SETS_LR, []) if name not in in_blocks]
    kinds = (
        (NoteKind.NOT_REACHED, by_kind.get(DecayKind.NOT_REACHED)),
        (NoteKind.NOT_KNOWN, by_kind.get(DecayKind.NOT_KNOWN)),
        (NoteKind.WITHOUT_BLOCK, left),
    )
    return [kind.note(names) for kind, names in kinds if names]


def _on_parts(evidence: Evidence, findings: Findings) -> list[Note]:
    """A note on tensors of which only some pieces are scale-invariant, tried by scaling these."""
    moved = {n for s in findings.symmetries if len(s.exponents) == 1 for n in s.exponents}
    alike: dict[str, list[str]] = {}
    for name in _with_slices(evidence, moved):
        parts = invariant_parts(evidence.drawn, name)
        if parts is None:
            continue
        powers = {name: part_powers(evidence.tensors[name].shape, *parts)}
        trials = [scaled_by({name: t * powers[name]}) for _, t in _TRIALS]
        if all(
            evidence.moved(trial, draw) <= ZERO
            for trial, (draw, _) in zip(trials, _TRIALS, strict=True)
        ):
            axis, count, pieces = parts
            some = "all" if len(pieces) == count else f"{len(pieces)}"
            text = f"{some} of {count} equal pieces along axis {axis} ({ranges(pieces)})"
            alike.setdefault(text, []).append(name)
    return [NoteKind.PARTS.note(tensors, parts=text) for text, tensors in alike.items()]


def _with_slices(evidence: Evidence, left_out: set[str]) -> Iterable[str]:
    """Parameters of which there are sums of slices."""
    return (n for n in evidence.tensors if n not in evidence.held and n not in left_out)


def _comparison(findings: Findings) -> Note:
    """Whether the samples alone know a symmetry that the proof missed."""
    bound, inert = findings.bound, len(findings.heed.inert)
    missed = len(bound.measured)
    dimension = bound.dimension + inert
    if missed:
        return NoteKind.MISSED.note(dimension=dimension, rank=findings.rank - missed, missed=missed)
    kind = NoteKind.MORE_ALLOWED if dimension > findings.rank else NoteKind.NONE_MISSED
    return kind.note(dimension=dimension, rank=findings.rank)
