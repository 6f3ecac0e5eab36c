"""Symmetries in which parts of one tensor differ: queries, keys and values of a fused matrix.

They are proved on the graph, tried by scaling, and told beside those of whole tensors.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Final, TypeAlias

import numpy as np
import torch

from etaeff._words import named
from etaeff.records.audits import DecayKind, Ground, Note, NoteKind, SymmetryKind
from etaeff.symmetry._effects import DecayEffect
from etaeff.symmetry._evidence import Evidence
from etaeff.symmetry._measurement._defects import ZERO
from etaeff.symmetry._measurement._replacing import scaled_by
from etaeff.symmetry._operators._cuts import Among
from etaeff.symmetry._piece_names import piece_name
from etaeff.symmetry._proof._beyond import piece_vectors
from etaeff.symmetry._proof._nullspace import Vector
from etaeff.symmetry._proof._pieces import Pieces, joined_again
from etaeff.symmetry._symmetry import Symmetry

_TRIES: Final = (2, -3)  # powers of two by which each is scaled, up and down
_MOVED_BY: Final = 2  # names of what a piece goes against that are told


@dataclass(frozen=True, eq=False)
class Part:
    """A piece of a tensor, or all of it.

    Attributes:
        tensor: Its name.
        name: Of the piece.
        axis: Along which the tensor is cut.
        among: For each position along it whether it belongs to the piece; `None` if all do.
        inert: Whether it is shown to have no effect.
    """

    tensor: str
    name: str
    axis: int = 0
    among: Among | None = None
    inert: bool = False

    @property
    def first(self) -> int:
        """Its first position."""
        return 0 if self.among is None else int(self.among.argmax())


Exponents: TypeAlias = list[tuple[Part, Fraction]]


@dataclass(frozen=True)
class PieceSymmetries:
    """What is beyond the symmetries of whole tensors.

    Attributes:
        symmetries: A basis of it that people can read; exponents have the names of pieces.
        exponents: The same, by parts.
        parts: Of each tensor that is cut, all of them.
    """

    symmetries: tuple[Symmetry, ...] = ()
    exponents: Sequence[Exponents] = ()
    parts: Mapping[str, Sequence[Part]] = field(default_factory=dict)


def piece_symmetries(
    evidence: Evidence, symmetries: Sequence[Symmetry], notes: list[Note]
) -> PieceSymmetries:
    """The symmetries of pieces that the graph shows and the measurement does not deny.

    Args:
        evidence: What is known.
        symmetries: Those of whole tensors.
        notes: A sentence is added for one that is denied.
    """
    if evidence.graph is None or evidence.other_draws:  # what all of them demand
        return PieceSymmetries()
    names = list(evidence.tensors)
    index = {name: i for i, name in enumerate(names)}
    whole = [
        {index[name]: value for name, value in s.exponents.items()}
        for s in symmetries
        if s.kind is not SymmetryKind.HOMOGENEOUS
    ]
    aliases = {alias: index[name] for alias, name in evidence.aliases.items()}
    inert = [name for s in symmetries if s.kind is SymmetryKind.INERT for name in s.exponents]
    fixed = [index[name] for name in (*evidence.held, *inert)]
    pieces, vectors, forgotten = piece_vectors(evidence.graph, aliases, whole, fixed)
    parts = _parts(pieces, vectors, names)
    for unknown in forgotten & parts.keys():
        parts[unknown] = replace(parts[unknown], inert=True)
    exponents = [_exponents(vector, parts, names) for vector in vectors]
    exponents = [one for one in exponents if any(part.among is not None for part, _ in one)]
    kept = _tried(exponents, evidence, notes) if evidence.trials else exponents
    cut = {part.tensor for one in kept for part, _ in one if part.among is not None}
    shown: dict[str, list[Part]] = {}
    for part in {part.name: part for part in parts.values() if part.tensor in cut}.values():
        shown.setdefault(part.tensor, []).append(part)
    return PieceSymmetries(tuple(map(_symmetry, kept)), kept, shown)


def _parts(pieces: Pieces, vectors: Sequence[Vector], names: Sequence[str]) -> dict[int, Part]:
    """The part of each unknown of a tensor that is cut; what no vector tells apart is one."""
    parts: dict[int, Part] = {}
    for index, groups in joined_again(pieces, vectors).items():
        place, unknowns = pieces.places[index], pieces.unknowns[index]
        for group in groups:
            part = Part(names[index], names[index])
            if len(groups) > 1:
                among = np.isin(place.classes, [unknowns.index(unknown) for unknown in group])
                name = piece_name(names[index], place.axis, among)
                part = Part(names[index], name, place.axis, among)
            parts |= dict.fromkeys(group, part)
    return parts


def _exponents(vector: Vector, parts: Mapping[int, Part], names: Sequence[str]) -> Exponents:
    """A vector by parts, each once."""
    found: dict[str, tuple[Part, Fraction]] = {}
    for unknown, value in vector.items():
        part = parts[unknown] if unknown in parts else Part(names[unknown], names[unknown])
        found.setdefault(part.name, (part, value))
    order = {name: i for i, name in enumerate(names)}
    return sorted(found.values(), key=lambda one: order[one[0].tensor])


def _symmetry(exponents: Exponents) -> Symmetry:
    """A symmetry with the names of parts."""
    one_sign = len({value > 0 for _, value in exponents}) == 1
    if _is_inert(exponents):
        return Symmetry(SymmetryKind.INERT, {exponents[0][0].name: Fraction(1)})
    kind = SymmetryKind.SCALE_INVARIANT if one_sign else SymmetryKind.RESCALING
    return Symmetry(kind, {part.name: value for part, value in exponents})


def _is_inert(exponents: Exponents) -> bool:
    """Whether it is a part without effect, by itself."""
    return len(exponents) == 1 and exponents[0][0].inert


# ------------------------------------------------------------------------------------ measurement


def _tried(
    exponents: Sequence[Exponents], evidence: Evidence, notes: list[Note]
) -> Sequence[Exponents]:
    """Those along which the outputs stay, up and down; all at once, and alone if they do not."""
    if not exponents:
        return exponents
    mixed = [(-1) ** i * (1 + i % 2) for i in range(len(exponents))]
    unheard = _is_unheard([part for one in exponents if _is_inert(one) for part in one], evidence)
    if unheard and all(_stays(exponents, [s * m for m in mixed], evidence) for s in (1, -1)):
        return exponents
    kept = []
    for one in exponents:
        if all(_stays([one], [power], evidence) for power in _TRIES) and _is_unheard(one, evidence):
            kept.append(one)
        else:
            notes.append(NoteKind.DENIED.note(part.name for part, _ in one))
    return kept


def _stays(exponents: Sequence[Exponents], powers: Sequence[int], evidence: Evidence) -> bool:
    """Whether the outputs do not change along a sum of multiples of exponents."""
    total: dict[str, Any] = {}
    for one, power in zip(exponents, powers, strict=True):
        for part, value in one:
            more = _broadcast(part, evidence.tensors[part.tensor].ndim, int(value) * power)
            total[part.tensor] = total.get(part.tensor, 0) + more
    return evidence.moved(scaled_by(total)) <= ZERO


def _is_unheard(exponents: Exponents, evidence: Evidence) -> bool:
    """Whether the outputs do not change when parts that are shown inert have other numbers."""
    parts = [part for part, _ in exponents if part.inert and _is_inert(exponents[:1])]
    if not parts:
        return True
    generator = torch.Generator().manual_seed(0)

    def other(name: str, weight: torch.Tensor) -> torch.Tensor:
        for part in parts:
            if part.tensor == name and part.among is not None:
                drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
                at = _broadcast(part, weight.ndim, 1)
                weight = torch.where(torch.as_tensor(at) > 0, drawn.to(weight.dtype), weight)
        return weight

    return evidence.moved(other) <= ZERO


def _broadcast(part: Part, ndim: int, power: int) -> int | torch.Tensor:
    """A power for the positions of a part, in a shape that is broadcast to its tensor."""
    if part.among is None:
        return power
    line = power * torch.from_numpy(part.among.astype(np.int64))
    return line.reshape([-1 if i == part.axis else 1 for i in range(ndim)])


# ---------------------------------------------------------------------------------------- effects


def with_pieces(
    effects: Mapping[str, DecayEffect], found: PieceSymmetries
) -> dict[str, DecayEffect]:
    """What decay does to each parameter, where parts of some can be scaled apart.

    A tensor that no symmetry moves as a whole balances a product if each of its parts does; if
    only some do, it regularises the rest.
    """
    told = dict(effects)
    unmoved = (DecayKind.REGULARISES, DecayKind.NOT_KNOWN)
    for name in dict.fromkeys(part.tensor for one in found.exponents for part, _ in one):
        if effects[name].effect not in unmoved:
            continue
        moving = [(part, one) for one in found.exponents for part, _ in one if part.tensor == name]
        moved = {part.name for part, _ in moving}
        rest = [part.name for part in found.parts.get(name, ()) if part.name not in moved]
        sentence = "; ".join(_sentences(_shortest(moving)))
        if rest:
            why = f"no scaling of {named(rest)} leaves the outputs unchanged; but {sentence}."
            told[name] = replace(effects[name], why=why)
        else:
            told[name] = replace(
                effects[name], effect=DecayKind.BALANCES, why=f"{sentence}.", ground=Ground.PROVED
            )
    return told


def _shortest(moving: Sequence[tuple[Part, Exponents]]) -> list[tuple[Part, Exponents]]:
    """For each part the shortest symmetry that moves it."""
    best: dict[str, tuple[Part, Exponents]] = {}
    for part, one in moving:
        if part.name not in best or len(one) < len(best[part.name][1]):
            best[part.name] = part, one
    return sorted(
        best.values(), key=lambda one: 0 if one[0].among is None else one[0].among.argmax()
    )


def _sentences(moving: Sequence[tuple[Part, Exponents]]) -> Iterator[str]:
    """What the scale of each part can move to, a pair told once."""
    told: set[str] = set()
    for part, exponents in moving:
        if part.name in told:
            continue
        sign = next(value for other, value in exponents if other.name == part.name) > 0
        if _is_inert(exponents):
            yield f"{named([part.name])} has no effect on the outputs"
            continue
        others = [other.name for other, value in exponents if (value > 0) != sign]
        told.update(others)
        its = "its scale" if part.among is None else f"the scale of {named([part.name])}"
        yield (
            f"{its} can move to {named(others, _MOVED_BY)}"
            if others
            else f"the outputs do not change with {its}"
        )
