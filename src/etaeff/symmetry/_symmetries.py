"""From what was proved and what was measured to the list of symmetries."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from torch import Tensor

from etaeff.records.audits import Note, NoteKind, SymmetryKind
from etaeff.symmetry._measurement._defects import ZERO, defect, inert
from etaeff.symmetry._measurement._float64 import Run
from etaeff.symmetry._measurement._replacing import change, redrawn, scaled_by
from etaeff.symmetry._measurement._samples import Sample, samples
from etaeff.symmetry._proof._basis import Span, homogeneous, readable
from etaeff.symmetry._proof._nullspace import Vector, null_space
from etaeff.symmetry._proof._propagate import Flow, propagate
from etaeff.symmetry._proof._shift import forgotten_biases
from etaeff.symmetry._symmetry import Symmetry
from etaeff.symmetry._tracing._graph import Graph

_FAR: Final = 10  # powers of two
_HEARD: Final = 1e-7
_MORE: Final = 6  # samples where two may not have met a parameter


@dataclass(frozen=True)
class Evidence:
    """All that is known of a model.

    Attributes:
        tensors: Parameters by their first name.
        aliases: First name of every name.
        inputs: Flat inputs.
        graph: The traced model; `None` if it cannot be traced.
        run: The model with every ε taken away; `None` if nothing was measured.
        drawn: Samples with every ε taken away; none if nothing was measured.
        own_epsilon: Samples with the model's own ε.
    """

    tensors: Mapping[str, Tensor]
    aliases: Mapping[str, str]
    inputs: Sequence[Any]
    graph: Graph | None
    run: Run | None = None
    drawn: Sequence[Sample] = ()
    own_epsilon: Sequence[Sample] = ()

    def moved(self, other: Callable[[str, Tensor], Tensor]) -> float:
        """How far outputs move when weights are replaced; see `change`."""
        assert self.run is not None
        return change(self.run, self.tensors, self.aliases, self.inputs, other)


def found_symmetries(evidence: Evidence, notes: list[Note]) -> tuple[list[Symmetry], int, Flow]:
    """The symmetries, their rank, and what propagation found.

    Args:
        evidence: What is known.
        notes: They are added to it.
    """
    names, drawn = list(evidence.tensors), evidence.drawn
    index = {name: i for i, name in enumerate(names)}
    flow, proved, shown_inert = _proof(evidence, index)
    # One number whose scale does not matter has no effect but by its sign.
    numbers = {name for name in names if evidence.tensors[name].numel() == 1}
    shown_inert |= (
        {n for n in numbers if {index[n]: Fraction(1)} in Span(proved)} if drawn else set()
    )
    if flow.unknown:
        notes.append(NoteKind.NO_RULE.note(flow.unknown))
    without = _without_effect(evidence, shown_inert, notes) if drawn else shown_inert
    certain = Span([*proved, *({index[name]: Fraction(1)} for name in shown_inert & without)])
    light = frozenset(index[name] for name in names if evidence.tensors[name].ndim < 2)
    vectors = shown = readable(proved, {index[name] for name in without}, light)
    if drawn:
        vectors = _with_single(vectors, evidence, without, notes)
    found = []
    for vector in vectors:
        symmetry = _symmetry(vector, names, vector in certain, drawn, evidence.own_epsilon)
        if symmetry.defect is None or symmetry.defect <= ZERO:
            found.append(symmetry)
        else:
            notes.append(NoteKind.DENIED.note(symmetry.exponents))
    found += [
        Symmetry(SymmetryKind.INERT, {name: Fraction(1)}, proved=name in shown_inert)
        for name in names
        if name in without
    ]
    rank = len(found)
    outputs = [value.degree for value in flow.outputs if value.degree is not None]
    scaled = homogeneous(flow.constraints.rows, outputs, shown, len(names))
    if scaled is not None:
        vector, degree = scaled
        exponents = {names[i]: v for i, v in vector.items() if names[i] not in without}
        if exponents:
            found.append(Symmetry(SymmetryKind.HOMOGENEOUS, exponents, degree=degree))
    return sorted(found, key=_order), rank, flow


def _proof(evidence: Evidence, index: Mapping[str, int]) -> tuple[Flow, list[Vector], set[str]]:
    """Degrees, the null space of their constraints, and biases that are forgotten."""
    if evidence.graph is None:
        return Flow(), [], set()
    aliases = evidence.aliases
    flow = propagate(evidence.graph, {alias: index[own] for alias, own in aliases.items()})
    rows = [*flow.constraints.rows, *(value.degree for value in flow.outputs if value.degree)]
    forgotten = forgotten_biases(evidence.graph)
    heard = {aliases[name] for name in evidence.graph.parameters.values() if name not in forgotten}
    shown = {aliases[name] for name in forgotten} - heard  # under every name
    return flow, null_space(rows, len(index)), shown


def _without_effect(evidence: Evidence, shown: set[str], notes: list[Note]) -> set[str]:
    """Parameters that have no gradient, and that no output heeds when they are drawn anew.

    Where the graph does not show it, chance may have hidden them: an expert that nothing was routed
    to, say. So for those there are more samples.
    """
    still = inert(evidence.drawn)
    if still - shown:
        assert evidence.run is not None
        more = samples(
            evidence.run, evidence.tensors, evidence.aliases, evidence.inputs, count=_MORE, seed=1
        )
        still = inert([*evidence.drawn, *more])
    heard: set[str] = set()
    if still and evidence.moved(redrawn(still)) > _HEARD:
        heard = {name for name in still if evidence.moved(redrawn({name})) > _HEARD}
    if heard:
        notes.append(NoteKind.WITHOUT_GRADIENT.note(sorted(heard)))
    doubtful = sorted(still - heard - shown)
    if doubtful:
        count = len(evidence.drawn) + _MORE
        notes.append(NoteKind.INERT_UNPROVED.note(doubtful, samples=count))
    return still - heard


def _symmetry(
    vector: Vector,
    names: Sequence[str],
    proved: bool,
    drawn: Sequence[Sample],
    own_epsilon: Sequence[Sample],
) -> Symmetry:
    exponents = {names[i]: v for i, v in vector.items()}
    one_sign = len({v > 0 for v in vector.values()}) == 1
    kind = SymmetryKind.SCALE_INVARIANT if one_sign else SymmetryKind.RESCALING
    if not drawn:
        return Symmetry(kind, exponents, proved=proved)
    numbers = {name: float(value) for name, value in exponents.items()}
    own = defect(own_epsilon, numbers) if own_epsilon else None
    return Symmetry(kind, exponents, proved=proved, defect=defect(drawn, numbers), own_defect=own)


def _with_single(
    vectors: list[Vector], evidence: Evidence, without: set[str], notes: list[Note]
) -> list[Vector]:
    """Add tensors that the samples show invariant by themselves, where the proof does not."""
    missed = []
    known = Span(vectors)
    for i, name in enumerate(evidence.tensors):
        single: Vector = {i: Fraction(1)}
        if name in without or single in known or defect(evidence.drawn, {name: 1.0}) > ZERO:
            continue
        # A bounded nonlinearity can look unbounded near the weights that were drawn.
        if evidence.moved(scaled_by({name: _FAR})) > ZERO:
            continue
        missed.append(name)
        vectors = readable([*vectors, single], ())
        known = Span(vectors)
    if missed:
        notes.append(NoteKind.INVARIANT_UNPROVED.note(missed))
    return vectors


def _order(symmetry: Symmetry) -> tuple[int, int]:
    return list(SymmetryKind).index(symmetry.kind), len(symmetry.exponents)
