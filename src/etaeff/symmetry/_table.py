"""An audit as a table for a terminal."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from etaeff.records.audits import Alike, Digest, Effect, digest, percent

WIDTH: Final = 88  # characters of a line; only a longer name makes a longer one
_HEAD: Final = ("kind", "number", "proved", "largest defect", "with the model's own ε")


def audit_table(values: Mapping[str, Any]) -> str:
    """What an audit says, in lines of at most `WIDTH` characters.

    Parameters and symmetries that differ only in the numbers of their names are told once, as a
    glob with their number behind it.

    Args:
        values: `Audit.to_dict()`, which has each of them.
    """
    found = digest(values)
    parts = [_title(found), _kinds(found)]
    parts += [_effect(effect) for effect in found.effects]
    if found.symmetries:
        parts.append(_symmetries(found.symmetries))
    if found.notes:
        parts.append("\n".join(("Notes", *(_wrapped(f"- {note}", 2, 4) for note in found.notes))))
    return "\n\n".join(part for part in parts if part)


def audit_line(values: Mapping[str, Any]) -> str:
    """An audit in a line: model, rank, symmetries by kind, blocks."""
    found = digest(values)
    kinds = ", ".join(f"{kind.count} {kind.name}" for kind in found.kinds) or "no symmetries"
    return f"<Audit of {found.model}: rank {found.rank}; {kinds}; {_some(found.blocks, 'block')}>"


def _title(found: Digest) -> str:
    return _wrapped(
        f"{found.model}: {_some(found.parameters, 'parameter')} with "
        f"{_some(found.size, 'entry', 'entries')}, "
        f"{_some(found.rank, 'scaling symmetry', 'scaling symmetries')}, "
        f"{_some(found.blocks, 'scale-invariant block')}"
        f"{f' of {found.pieces:,} pieces' if found.pieces > found.blocks else ''}",
        0,
        2,
    )


def _kinds(found: Digest) -> str:
    if not found.kinds:
        return ""
    rows = [_HEAD]
    for kind in found.kinds:
        rows.append((
            kind.name, f"{kind.count}", f"{kind.proved}", _number(kind.defect),
            _number(kind.own_defect),
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def _effect(effect: Effect) -> str:
    return "\n".join((
        f"Decay {effect.name}: {_some(effect.count, 'parameter')}, "
        f"{percent(effect.share)} of all entries",
        *_entries(effect),
    ))  # fmt: skip


def _entries(effect: Effect) -> Iterator[str]:
    for entry in effect.entries:
        yield _wrapped(", ".join(pattern.whole for pattern in entry.patterns), 2, 4)
        yield _wrapped(": ".join(part for part in (entry.cut, entry.why) if part), 6, 6)


def _symmetries(found: Sequence[Alike]) -> str:
    lines = ["Symmetries of several tensors"]
    for alike in found:
        times = f"{alike.count} × " if alike.count > 1 else ""
        doubt = "" if alike.proved else " (not proved)"
        lines.append(_wrapped(f"{alike.kind}{doubt}: {times}{alike.text}", 2, 6))
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _some(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def _wrapped(text: str, first: int, rest: int) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=" " * first,
        subsequent_indent=" " * rest,
        break_long_words=False,
        break_on_hyphens=False,
    ).replace("\N{NO-BREAK SPACE}", " ")
