"""From what was proved and what was measured to the list of symmetries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from etaeff.records.audits import Note, NoteKind, SymmetryKind
from etaeff.symmetry._discovery import Bound, upper_bound
from etaeff.symmetry._evidence import Evidence
from etaeff.symmetry._heed import Heed, heed
from etaeff.symmetry._measurement._defects import ZERO, defect
from etaeff.symmetry._proof._basis import Span, homogeneous, readable, with_one_signed
from etaeff.symmetry._proof._nullspace import Vector, null_space
from etaeff.symmetry._proof._propagate import Flow, propagate, united
from etaeff.symmetry._proof._shift import forgotten_biases
from etaeff.symmetry._scaling import denied, together
from etaeff.symmetry._symmetry import Symmetry
from etaeff.symmetry._tracing._graph import Graph


@dataclass(frozen=True)
class Findings:
    """All that is said of the symmetries.

    Attributes:
        symmetries: A basis that people can read, inert directions and homogeneous ones included.
        rank: Of the basis, without homogeneous ones.
        flow: Degrees, and what they demand.
        one_signed: For each parameter that is scale-invariant, alone or with others, a direction
            of one sign, as exponents by name.
        certain: Of these parameters, those for which the direction is proved.
        heed: Parameters that have no gradient.
        bound: What samples allow beyond the symmetries.
    """

    symmetries: tuple[Symmetry, ...]
    rank: int
    flow: Flow
    one_signed: Mapping[str, Mapping[str, Fraction]]
    certain: frozenset[str]
    heed: Heed
    bound: Bound


@dataclass(frozen=True)
class _Proof:
    """What the graph shows.

    Attributes:
        flow: Degrees, and what they demand.
        vectors: A basis of the exponents that satisfy it.
        without_effect: Parameters that it shows to have none.
        scaleless: Parameters whose scale it shows to have no effect.
    """

    flow: Flow
    vectors: list[Vector]
    without_effect: set[str]
    scaleless: set[str]


def symmetries_of(evidence: Evidence, discover: bool | None, notes: list[Note]) -> Findings:
    """The symmetries, and what samples say beyond them.

    Args:
        evidence: What is known.
        discover: Whether to look for what the proof missed; `None` where that is worth it.
        notes: They are added to it.
    """
    names = list(evidence.tensors)
    index = {name: i for i, name in enumerate(names)}
    proof = _proof_of(evidence, index)
    if proof.flow.unknown:
        notes.append(NoteKind.NO_RULE.note(proof.flow.unknown))
    found = Heed(frozenset(proof.without_effect), frozenset(), frozenset())
    if evidence.drawn:
        found = heed(evidence, proof.without_effect, proof.scaleless, proof.vectors)
    gone = {index[name] for name in found.inert}
    light = frozenset(index[name] for name in names if evidence.tensors[name].ndim < 2)
    proved = readable(proof.vectors, gone, light)
    bound = Bound(asked=False)
    if evidence.drawn:
        proved = _undenied(proved, evidence, found.inert, notes)
        bound = upper_bound(evidence, proved, found, discover)
    units = ({index[name]: Fraction(1)} for name in proof.without_effect & found.inert)
    certain = Span([*proof.vectors, *units])
    basis = [*proved, *bound.measured]
    basis, rays = with_one_signed(readable(basis, gone, light) if bound.measured else basis, light)
    symmetries = [_symmetry(vector, vector in certain, evidence) for vector in basis]
    symmetries += [
        Symmetry(SymmetryKind.INERT, {name: Fraction(1)}, proved=name in proof.without_effect)
        for name in names
        if name in found.inert
    ]
    rank = len(symmetries)
    symmetries += _homogeneous(proof.flow, proved, names, found.inert)
    return Findings(
        tuple(sorted(symmetries, key=_order)),
        rank,
        proof.flow,
        {names[i]: {names[j]: v for j, v in ray.items()} for i, ray in rays.items()},
        frozenset(names[i] for i, ray in rays.items() if ray in certain),
        found,
        bound,
    )


def _proof_of(evidence: Evidence, index: Mapping[str, int]) -> _Proof:
    """Degrees, the null space of their constraints, and biases that are forgotten."""
    if evidence.graph is None:
        return _Proof(Flow(), [], set(), set())
    aliases = evidence.aliases
    graphs = (evidence.graph, *evidence.other_draws)
    indices = {alias: index[name] for alias, name in aliases.items()}
    flows = [propagate(graph, indices) for graph in graphs]
    flow = united(flows)
    for name, reason in evidence.held.items():
        flow.constraints.vanish({index[name]: Fraction(1)}, reason)
    unread = _unread(evidence, graphs)
    for name in unread:
        flow.constraints.vanish({index[name]: Fraction(1)}, "a path that does not read it")
    rows = [*flow.constraints.rows, *(value.degree for value in flow.outputs if value.degree)]
    vectors = null_space(rows, len(index))
    shown = set.intersection(*(_forgotten(graph, aliases) for graph in graphs))
    shown -= evidence.held.keys() | unread
    span = Span(vectors)
    scaleless = {name for name, i in index.items() if {i: Fraction(1)} in span}
    shown |= {name for name in index if not evidence.tensors[name].numel()}
    if evidence.drawn:  # one number whose scale does not matter has no effect but by its sign
        shown |= {name for name in scaleless if evidence.tensors[name].numel() == 1}
    return _Proof(flow, vectors, shown, scaleless)


def _unread(evidence: Evidence, graphs: Sequence[Graph]) -> set[str]:
    """Parameters that no path read, where weights, inputs or chance may lead along another one."""
    if evidence.tracer == "torch.export" and not evidence.other_draws:
        return set()
    read = {evidence.aliases[name] for graph in graphs for name in graph.touched}
    return set(evidence.tensors) - read


def _forgotten(graph: Graph, aliases: Mapping[str, str]) -> set[str]:
    """Parameters that a graph does not read, or forgets, under every name."""
    forgotten = forgotten_biases(graph)
    read = {aliases[name] for name in graph.parameters.values() if name not in forgotten}
    return {aliases[name] for name in forgotten} - read


def _undenied(
    vectors: list[Vector], evidence: Evidence, inert: frozenset[str], notes: list[Note]
) -> list[Vector]:
    """Symmetries without those that the measurement denies.

    Rounding alone may break Euler's relation where what cancels is large; so those that seem to
    break it, or all if outputs move when they are scaled together, are tried by scaling each.
    """
    names = list(evidence.tensors)
    moved = together(evidence, vectors) > ZERO
    kept = []
    for vector in vectors:
        exponents = {names[i]: float(v) for i, v in vector.items()}
        doubtful = moved or defect(evidence.drawn, exponents) > ZERO
        if doubtful and denied(evidence, vector, inert):
            notes.append(NoteKind.DENIED.note(exponents))
        else:
            kept.append(vector)
    return kept


def _homogeneous(
    flow: Flow, basis: Sequence[Vector], names: Sequence[str], inert_names: frozenset[str]
) -> list[Symmetry]:
    """The symmetry along which all outputs scale alike, if there is one."""
    outputs = [value.degree for value in flow.outputs if value.degree is not None]
    scaled = homogeneous(flow.constraints.rows, outputs, basis, len(names))
    if scaled is None:
        return []
    vector, degree = scaled
    exponents = {names[i]: v for i, v in vector.items() if names[i] not in inert_names}
    return [Symmetry(SymmetryKind.HOMOGENEOUS, exponents, degree=degree)] if exponents else []


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


def _order(symmetry: Symmetry) -> tuple[int, int]:
    """By kind, and then those of few tensors first."""
    return list(SymmetryKind).index(symmetry.kind), len(symmetry.exponents)
