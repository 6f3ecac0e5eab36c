"""From what was proved and what was measured to the list of symmetries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from etaeff.records.audits import Note, NoteKind, SymmetryKind
from etaeff.symmetry._evidence import Evidence
from etaeff.symmetry._measurement._defects import ZERO, defect, inert
from etaeff.symmetry._measurement._replacing import redrawn, scaled_by
from etaeff.symmetry._measurement._samples import samples
from etaeff.symmetry._proof._basis import Span, homogeneous, readable
from etaeff.symmetry._proof._nullspace import Vector, null_space
from etaeff.symmetry._proof._propagate import Flow, propagate
from etaeff.symmetry._proof._shift import forgotten_biases
from etaeff.symmetry._symmetry import Symmetry

_FAR_POWER: Final = 10  # powers of two
_EFFECT: Final = 1e-7  # of the outputs, by a parameter that has an effect
_MORE: Final = 6  # samples, where two may not have met a parameter


@dataclass(frozen=True)
class _Proof:
    """What the graph shows.

    Attributes:
        flow: Degrees, and what they demand.
        vectors: A basis of the exponents that satisfy it.
        without_effect: Parameters that it shows to have none.
    """

    flow: Flow
    vectors: list[Vector]
    without_effect: set[str]


def symmetries_of(evidence: Evidence, notes: list[Note]) -> tuple[list[Symmetry], int, Flow]:
    """The symmetries, their rank, and what was demanded along the graph.

    Args:
        evidence: What is known.
        notes: They are added to it.
    """
    names = list(evidence.tensors)
    index = {name: i for i, name in enumerate(names)}
    proof = _proof_of(evidence, index)
    if proof.flow.unknown:
        notes.append(NoteKind.NO_RULE.note(proof.flow.unknown))
    inert_names = (
        _without_effect(evidence, proof.without_effect, notes)
        if evidence.drawn
        else proof.without_effect
    )
    light = frozenset(index[name] for name in names if evidence.tensors[name].ndim < 2)
    basis = readable(proof.vectors, {index[name] for name in inert_names}, light)
    units = ({index[name]: Fraction(1)} for name in proof.without_effect & inert_names)
    certain = Span([*proof.vectors, *units])
    symmetries = _scalings(evidence, basis, certain, inert_names, notes)
    symmetries += [
        Symmetry(SymmetryKind.INERT, {name: Fraction(1)}, proved=name in proof.without_effect)
        for name in names
        if name in inert_names
    ]
    rank = len(symmetries)
    symmetries += _homogeneous(proof.flow, basis, names, inert_names)
    return sorted(symmetries, key=_order), rank, proof.flow


def _proof_of(evidence: Evidence, index: Mapping[str, int]) -> _Proof:
    """Degrees, the null space of their constraints, and biases that are forgotten."""
    if evidence.graph is None:
        return _Proof(Flow(), [], set())
    aliases = evidence.aliases
    flow = propagate(evidence.graph, {alias: index[name] for alias, name in aliases.items()})
    for name, reason in evidence.held.items():
        flow.constraints.vanish({index[name]: Fraction(1)}, reason)
    rows = [*flow.constraints.rows, *(value.degree for value in flow.outputs if value.degree)]
    vectors = null_space(rows, len(index))
    forgotten = forgotten_biases(evidence.graph)
    read = {aliases[name] for name in evidence.graph.parameters.values() if name not in forgotten}
    shown = {aliases[name] for name in forgotten} - read - evidence.held.keys()  # all names
    if evidence.drawn:
        # One number whose scale does not matter has no effect but by its sign.
        numbers = {
            name
            for name in index
            if name not in evidence.held and evidence.tensors[name].numel() == 1
        }
        shown |= {name for name in numbers if {index[name]: Fraction(1)} in Span(vectors)}
    return _Proof(flow, vectors, shown)


def _scalings(
    evidence: Evidence, basis: list[Vector], certain: Span, inert_names: set[str], notes: list[Note]
) -> list[Symmetry]:
    """The symmetries of parameters that have an effect, without those that are denied.

    Args:
        evidence: What is known.
        basis: What is proved, in a form that people can read.
        certain: What is proved.
        inert_names: Parameters without effect.
        notes: They are added to it.
    """
    vectors = _with_single(basis, evidence, inert_names, notes) if evidence.drawn else basis
    symmetries = []
    for vector in vectors:
        symmetry = _symmetry(vector, vector in certain, evidence)
        if symmetry.defect is None or symmetry.defect <= ZERO:
            symmetries.append(symmetry)
        else:
            notes.append(NoteKind.DENIED.note(symmetry.exponents))
    return symmetries


def _homogeneous(
    flow: Flow, basis: Sequence[Vector], names: Sequence[str], inert_names: set[str]
) -> list[Symmetry]:
    """The symmetry along which all outputs scale alike, if there is one."""
    outputs = [value.degree for value in flow.outputs if value.degree is not None]
    scaled = homogeneous(flow.constraints.rows, outputs, basis, len(names))
    if scaled is None:
        return []
    vector, degree = scaled
    exponents = {names[i]: v for i, v in vector.items() if names[i] not in inert_names}
    return [Symmetry(SymmetryKind.HOMOGENEOUS, exponents, degree=degree)] if exponents else []


def _without_effect(evidence: Evidence, shown: set[str], notes: list[Note]) -> set[str]:
    """Parameters that have no gradient, and that no output heeds when they are drawn anew.

    Where the graph does not show it, chance may have hidden them: an expert that nothing was routed
    to, say. So for those there are more samples.
    """
    still = inert(evidence.drawn) - evidence.held.keys()
    if still - shown:
        assert evidence.run is not None
        more = samples(
            evidence.run, evidence.tensors, evidence.aliases, evidence.inputs, count=_MORE, seed=1
        )
        still = inert([*evidence.drawn, *more]) - evidence.held.keys()
    effective: set[str] = set()
    if still and evidence.moved(redrawn(still)) > _EFFECT:
        effective = {name for name in still if evidence.moved(redrawn({name})) > _EFFECT}
    if effective:
        notes.append(NoteKind.WITHOUT_GRADIENT.note(sorted(effective)))
    doubtful = sorted(still - effective - shown)
    if doubtful:
        count = len(evidence.drawn) + _MORE
        notes.append(NoteKind.INERT_UNPROVED.note(doubtful, samples=count))
    return still - effective


def _symmetry(vector: Vector, proved: bool, evidence: Evidence) -> Symmetry:
    """The symmetry of an exponent vector, with its defects."""
    names = list(evidence.tensors)
    exponents = {names[i]: v for i, v in vector.items()}
    one_sign = len({v > 0 for v in vector.values()}) == 1
    kind = SymmetryKind.SCALE_INVARIANT if one_sign else SymmetryKind.RESCALING
    if not evidence.drawn:
        return Symmetry(kind, exponents, proved=proved)
    numbers = {name: float(value) for name, value in exponents.items()}
    measured = defect(evidence.drawn, numbers)
    own = defect(evidence.own_epsilon, numbers) if evidence.own_epsilon else None
    return Symmetry(kind, exponents, proved=proved, defect=measured, own_defect=own)


def _with_single(
    vectors: list[Vector], evidence: Evidence, inert_names: set[str], notes: list[Note]
) -> list[Vector]:
    """Add tensors that the samples show invariant by themselves, where the proof does not."""
    missed = []
    known = Span(vectors)
    for i, name in enumerate(evidence.tensors):
        single: Vector = {i: Fraction(1)}
        if (
            name in inert_names
            or name in evidence.held
            or single in known
            or defect(evidence.drawn, {name: 1.0}) > ZERO
        ):
            continue
        # A bounded nonlinearity can look unbounded near the weights that were drawn.
        if evidence.moved(scaled_by({name: _FAR_POWER})) > ZERO:
            continue
        missed.append(name)
        vectors = readable([*vectors, single], ())
        known = Span(vectors)
    if missed:
        notes.append(NoteKind.INVARIANT_UNPROVED.note(missed))
    return vectors


def _order(symmetry: Symmetry) -> tuple[int, int]:
    """By kind, and then those of few tensors first."""
    return list(SymmetryKind).index(symmetry.kind), len(symmetry.exponents)
