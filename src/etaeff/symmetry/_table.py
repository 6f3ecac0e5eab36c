"""An audit as a table for a terminal."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from etaeff.records.audits import MODES, Alike, Digest, Effect, digest, percent

WIDTH: Final = 88  # characters of a line; only a longer name makes a longer one
_OUTPUTS: Final = 12  # patterns of their names that are shown
_HEADER: Final = ("kind", "number", "proved", "largest defect", "with the model's own ε")


def audit_table(values: Mapping[str, Any]) -> str:
    """What an audit says, in lines of at most `WIDTH` characters.

    Parameters and symmetries that differ only in the numbers of their names are told once, as a
    glob with their number behind it.

    Args:
        values: `Audit.to_dict()`, which has each of them.
    """
    summary = digest(values)
    parts = [f"{_title(summary)}\n{_audited(summary)}", _kinds(summary)]
    parts += [_effect(effect) for effect in summary.effects]
    if summary.symmetries:
        parts.append(_symmetries(summary.symmetries))
    if summary.notes:
        parts.append("\n".join(("Notes", *(_wrapped(f"- {note}", 2, 4) for note in summary.notes))))
    return "\n\n".join(part for part in parts if part)


def audit_line(values: Mapping[str, Any]) -> str:
    """An audit in a line: model, rank, symmetries by kind, blocks."""
    summary = digest(values)
    kinds = ", ".join(f"{kind.count} {kind.name}" for kind in summary.kinds) or "no symmetries"
    blocks = _some(summary.blocks, "block")
    return f"<Audit of {summary.model}: rank {summary.rank}; {kinds}; {blocks}>"


def _title(summary: Digest) -> str:
    """The first line: the model and what it has."""
    return _wrapped(
        f"{summary.model}: {_some(summary.parameters, 'parameter')} with "
        f"{_some(summary.size, 'entry', 'entries')}, "
        f"{_some(summary.rank, 'scaling symmetry', 'scaling symmetries')}, "
        f"{_some(summary.blocks, 'scale-invariant block')}"
        f"{f' of {summary.pieces:,} pieces' if summary.pieces > summary.blocks else ''}",
        0,
        2,
    )


def _audited(summary: Digest) -> str:
    """In which mode the model was, and which of what it returns counted."""
    text = f"Audited in {MODES.get(summary.mode, summary.mode)}"
    if summary.outputs:
        shown = [pattern.whole for pattern in summary.outputs]
        more = f" and {len(shown) - _OUTPUTS} more" if len(shown) > _OUTPUTS else ""
        text += f"; outputs that count: {', '.join(shown[:_OUTPUTS])}{more}"
    return _wrapped(text, 0, 2)


def _kinds(summary: Digest) -> str:
    """A row for each kind of symmetry."""
    if not summary.kinds:
        return ""
    rows = [_HEADER]
    for kind in summary.kinds:
        rows.append((
            kind.name, f"{kind.count}", f"{kind.proved}", _number(kind.defect),
            _number(kind.own_defect),
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def _effect(effect: Effect) -> str:
    """What decay does to some parameters, and to which."""
    return "\n".join((
        f"Decay {effect.name}: {_some(effect.count, 'parameter')}, "
        f"{percent(effect.share)} of all entries",
        *_entries(effect),
    ))  # fmt: skip


def _entries(effect: Effect) -> Iterator[str]:
    """Two lines for parameters of one fate."""
    for entry in effect.entries:
        yield _wrapped(", ".join(pattern.whole for pattern in entry.patterns), 2, 4)
        yield _wrapped(": ".join(part for part in (entry.cut, entry.why) if part), 6, 6)


def _symmetries(alike: Sequence[Alike]) -> str:
    """The symmetries of several tensors, a line each."""
    lines = ["Symmetries of several tensors"]
    for one in alike:
        times = f"{one.count} × " if one.count > 1 else ""
        doubt = "" if one.proved else " (not proved)"
        lines.append(_wrapped(f"{one.kind}{doubt}: {times}{one.text}", 2, 6))
    return "\n".join(lines)


def _number(value: float | None) -> str:
    """A defect, or a dash where nothing was measured."""
    return "-" if value is None else f"{value:.1e}"


def _some(count: int, one: str, many: str = "") -> str:
    """A number of things, in words."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def _wrapped(text: str, first: int, rest: int) -> str:
    """A text in lines of the table's width."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=" " * first,
        subsequent_indent=" " * rest,
        break_long_words=False,
        break_on_hyphens=False,
    ).replace("\N{NO-BREAK SPACE}", " ")
