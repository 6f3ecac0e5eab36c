r"""What an audit says, told once for all that is alike.

A model repeats itself: twelve layers have the same parameters with the same fate. Texts that
differ in their numbers alone are told as one, with `*` where the numbers of names differ and a
range where others do. It works on `Audit.to_dict()`, needs no torch, and drops nothing that
`members` does not hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any, Final

from etaeff.records.audits._patterns import Pattern, merged, patterns, skeleton
from etaeff.records.audits._words import DecayKind, SymmetryKind

_EFFECTS: Final = list(DecayKind)
_SHOWN: Final = 4  # patterns on each side of a symmetry
_POWERS: Final = str.maketrans("0123456789/-", "⁰¹²³⁴⁵⁶⁷⁸⁹ᐟ⁻")


@dataclass(frozen=True)
class Entry:
    """Parameters of one fate for one reason.

    Attributes:
        patterns: What they are called.
        members: All their names.
        cut: How finely they are invariant; empty if they are not.
        why: Why decay does to them what it does.
    """

    patterns: tuple[Pattern, ...]
    members: tuple[str, ...]
    cut: str
    why: str


@dataclass(frozen=True)
class Effect:
    """What decay does to some of the parameters.

    Attributes:
        name: `DecayEffect.effect`.
        count: Parameters.
        size: Entries of them.
        share: Of all entries of the model, from 0 to 1.
        entries: The parameters.
    """

    name: str
    count: int
    size: int
    share: float
    entries: tuple[Entry, ...]


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


@dataclass(frozen=True)
class Digest:
    """An audit for people.

    Attributes:
        model: Class of the model.
        parameters: Number of its parameter tensors.
        size: Entries of all of them.
        rank: Dimension of the symmetries.
        blocks: Number of scale-invariant blocks.
        pieces: Spheres that the blocks are cut into.
        kinds: Each kind of symmetry that occurs.
        effects: What decay does.
        symmetries: All symmetries of several tensors, and homogeneous ones.
        notes: Sentences.
    """

    model: str
    parameters: int
    size: int
    rank: int
    blocks: int
    pieces: int
    kinds: tuple[Kind, ...]
    effects: tuple[Effect, ...]
    symmetries: tuple[Alike, ...]
    notes: tuple[str, ...]


def digest(values: Mapping[str, Any]) -> Digest:
    """The digest of what `Audit.to_dict` wrote."""
    sizes = {name: prod(parameter["shape"]) for name, parameter in values["parameters"].items()}
    return Digest(
        model=values["model"],
        parameters=len(sizes),
        size=sum(sizes.values()),
        rank=values["rank"],
        blocks=len(values["blocks"]),
        pieces=sum(block["count"] for block in values["blocks"]),
        kinds=tuple(_kinds(values["symmetries"])),
        effects=tuple(_effects(values, sizes)),
        symmetries=tuple(_alike(values["symmetries"])),
        notes=tuple(values["notes"]),
    )


def _kinds(symmetries: Sequence[Mapping[str, Any]]) -> Iterable[Kind]:
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


@dataclass(frozen=True)
class _Unit:
    """One block, or one parameter outside all blocks."""

    names: tuple[str, ...]
    cut: str
    why: str

    @property
    def key(self) -> tuple[Any, ...]:
        heads = sorted({skeleton(name) for name in self.names})
        axis = self.cut.partition("axis ")[2]
        return tuple(heads), skeleton(self.cut), axis, skeleton(self.why)


def _effects(values: Mapping[str, Any], sizes: Mapping[str, int]) -> Iterable[Effect]:
    """What decay does, the kinds in their order."""
    given = {row["effect"]: None for row in values["parameters"].values()}
    total = sum(sizes.values())
    for effect in sorted(given, key=lambda e: _EFFECTS.index(e) if e in _EFFECTS else 99):
        names = [n for n, row in values["parameters"].items() if row["effect"] == effect]
        size = sum(sizes[name] for name in names)
        share = size / total if total else 0.0
        entries = _joined(_entry(units) for units in _by_key(_units(values, names)))
        yield Effect(effect, len(names), size, share, tuple(entries))


def _units(values: Mapping[str, Any], names: Sequence[str]) -> Iterable[_Unit]:
    """Each block that names are in, and each name that is in none."""
    block_of = {name: block for block in values["blocks"] for name in block["names"]}
    done: set[str] = set()
    for name in names:
        if name in done:
            continue
        parameter = values["parameters"][name]
        block = block_of.get(name)
        if block is None:
            yield _Unit((name,), "", parameter["why"])
            continue
        done |= set(block["names"])
        cut = _cut(block, parameter["shape"])
        alone = len(block["names"]) == 1
        why = parameter["why"] if alone else "the outputs do not change when all are scaled alike."
        yield _Unit(tuple(block["names"]), cut, why)


def _cut(block: Mapping[str, Any], shape: Sequence[int]) -> str:
    """How finely a block is cut, in words."""
    count, axis, tensors = block["count"], block["axis"], len(block["names"])
    if tensors > 1:
        pieces = f", in {count} pieces along axis {axis}" if count > 1 else ""
        return f"one block of {tensors} tensors together{pieces}"
    if count == 1:
        return "the whole tensor"
    word = "slices" if shape and count == shape[axis] else "pieces"
    return f"each of {count} {word} along axis {axis}"


def _by_key(units: Iterable[_Unit]) -> Iterable[list[_Unit]]:
    """Units that differ in their numbers alone."""
    alike: dict[tuple[Any, ...], list[_Unit]] = {}
    for unit in units:
        alike.setdefault(unit.key, []).append(unit)
    return alike.values()


def _entry(units: Sequence[_Unit]) -> Entry:
    """Such units as one."""
    members = tuple(name for unit in units for name in unit.names)
    cut = merged([unit.cut for unit in units])
    if len(units) > 1 and cut.startswith("one block"):
        cut = f"{len(units)} blocks{cut.removeprefix('one block')}"
    return Entry(patterns(members), members, cut, merged([unit.why for unit in units]))


def _joined(entries: Iterable[Entry]) -> list[Entry]:
    """Entries with the same reason as one, but for blocks of several tensors."""
    joined: dict[Any, Entry] = {}
    for i, entry in enumerate(entries):
        key = i if "together" in entry.cut else (entry.cut, entry.why)
        if key in joined:
            old = joined[key]
            entry = Entry(
                old.patterns + entry.patterns, old.members + entry.members, entry.cut, entry.why
            )
        joined[key] = entry
    return list(joined.values())


def _alike(symmetries: Sequence[Mapping[str, Any]]) -> Iterable[Alike]:
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
            shown.append(f"{len(texts) - _SHOWN} more patterns")
        if each:
            low, high = min(counts), max(counts)
            shown[-1] += f" ({high} tensors)" if low == high else f" ({low} to {high} tensors)"
        (up if power > 0 else down).extend(shown)
    return ", ".join(up) + (f" against {', '.join(down)}" if down else "")
