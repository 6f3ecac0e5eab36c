"""The symmetries of an audit, told once for all that are alike."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from etaeff._words import counted
from etaeff.records.audits._patterns import patterns, skeleton
from etaeff.records.audits._words import SymmetryKind

_SHOWN: Final = 4  # patterns on each side of a symmetry
_POWERS: Final = str.maketrans("0123456789/-", "⁰¹²³⁴⁵⁶⁷⁸⁹ᐟ⁻")


@dataclass(frozen=True)
class Kind:
    """All symmetries of a kind; defects are the largest, `None` if nothing was measured."""

    name: str
    count: int
    proved: int
    defect: float | None
    own_defect: float | None


@dataclass(frozen=True)
class Alike:
    """Symmetries that differ in the numbers of their names.

    Attributes:
        kind: `Symmetry.kind`.
        count: How many.
        proved: Whether the graph shows them.
        text: What is scaled, and against what.
        members: The exponents of each.
    """

    kind: str
    count: int
    proved: bool
    text: str
    members: tuple[Mapping[str, str], ...]


def kinds_of(symmetries: Sequence[Mapping[str, Any]]) -> Iterable[Kind]:
    """Each kind of symmetry that occurs."""
    for kind in SymmetryKind:
        members = [s for s in symmetries if s["kind"] == kind]
        if members:
            defects = [s["defect"] for s in members if s["defect"] is not None]
            others = [s["own_defect"] for s in members if s["own_defect"] is not None]
            yield Kind(
                kind,
                len(members),
                sum(s["proved"] for s in members),
                max(defects, default=None),
                max(others, default=None),
            )


def alike_of(symmetries: Sequence[Mapping[str, Any]]) -> Iterable[Alike]:
    """Symmetries that differ in the numbers of their names."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for s in symmetries:
        if len(s["exponents"]) > 1 or s["kind"] == SymmetryKind.HOMOGENEOUS:
            sides = [frozenset(map(skeleton, names)) for names, _ in _sides(s["exponents"])]
            powers = tuple(power for _, power in _sides(s["exponents"]))
            key = s["kind"], s["proved"], s["degree"], tuple(sides), powers
            groups.setdefault(key, []).append(s)
    for (kind, proved, degree, _, _), members in groups.items():
        text = _scaled([s["exponents"] for s in members])
        if kind == SymmetryKind.HOMOGENEOUS:
            text += f": the outputs scale with power {degree}"
        yield Alike(kind, len(members), proved, text, tuple(s["exponents"] for s in members))


def _sides(exponents: Mapping[str, str]) -> list[tuple[list[str], Fraction]]:
    """Names by their exponent, the largest first."""
    sides: dict[Fraction, list[str]] = {}
    for name, value in exponents.items():
        sides.setdefault(Fraction(value), []).append(name)
    return [(sides[power], power) for power in sorted(sides, reverse=True)]


def _scaled(members: Sequence[Mapping[str, str]]) -> str:
    """Such as `q.weight, q.bias against k.weight²`."""
    up: list[str] = []
    down: list[str] = []
    for sides in zip(*map(_sides, members), strict=True):
        power = sides[0][1]
        exponent = "" if abs(power) == 1 else str(abs(power)).translate(_POWERS)
        # One symmetry's own repetitions are counted, those among symmetries are not.
        counts = [len(names) for names, _ in sides]
        alike = patterns(name for names, _ in sides for name in names)
        each = max(counts) > len(alike)
        texts = [f"{p.glob}{exponent}" for p in alike]
        shown = texts[:_SHOWN]
        if len(texts) > _SHOWN:
            shown.append(counted(len(texts) - _SHOWN, "more pattern"))
        if each:
            low, high = min(counts), max(counts)
            shown[-1] += f" ({high} tensors)" if low == high else f" ({low} to {high} tensors)"
        (up if power > 0 else down).extend(shown)
    return ", ".join(up) + (f" against {', '.join(down)}" if down else "")
