"""What decay does, told once for all parameters of one fate."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from etaeff.records.audits._patterns import Pattern, merged, patterns, skeleton
from etaeff.records.audits._words import DecayKind, Ground

_EFFECTS: Final = list(DecayKind)


@dataclass(frozen=True)
class Entry:
    """Parameters of one fate for one reason.

    Attributes:
        patterns: What they are called.
        members: All their names.
        cut: How finely they are invariant; empty if they are not.
        why: Why decay does to them what it does.
        is_measured: Whether that is measured and not proved.
    """

    patterns: tuple[Pattern, ...]
    members: tuple[str, ...]
    cut: str
    why: str
    is_measured: bool = False


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
class _Unit:
    """One block, or one parameter outside all blocks."""

    names: tuple[str, ...]
    cut: str
    why: str
    is_measured: bool

    @property
    def key(self) -> tuple[Any, ...]:
        heads = sorted({skeleton(name) for name in self.names})
        axis = self.cut.partition("axis ")[2]
        return tuple(heads), skeleton(self.cut), axis, skeleton(self.why), self.is_measured


def effects_of(values: Mapping[str, Any], sizes: Mapping[str, int]) -> Iterable[Effect]:
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
        # That nothing leaves the outputs as they are is never proved.
        regularised = parameter["effect"] == DecayKind.REGULARISES
        measured = parameter.get("ground") == Ground.MEASURED and not regularised
        if block is None:
            yield _Unit((name,), "", parameter["why"], measured)
            continue
        done |= set(block["names"])
        cut = _cut(block, parameter["shape"])
        alone = len(block["names"]) == 1
        why = parameter["why"] if alone else "the outputs do not change when all are scaled alike."
        yield _Unit(tuple(block["names"]), cut, why, measured)


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
    why = merged([unit.why for unit in units])
    return Entry(patterns(members), members, cut, why, units[0].is_measured)


def _joined(entries: Iterable[Entry]) -> list[Entry]:
    """Entries with the same reason as one, but for blocks of several tensors."""
    joined: dict[Any, Entry] = {}
    for i, entry in enumerate(entries):
        key = i if "together" in entry.cut else (entry.cut, entry.why, entry.is_measured)
        if key in joined:
            old = joined[key]
            entry = replace(
                old, patterns=old.patterns + entry.patterns, members=old.members + entry.members
            )
        joined[key] = entry
    return list(joined.values())
