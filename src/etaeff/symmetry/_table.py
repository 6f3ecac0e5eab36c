"""An audit as a table for a terminal."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from etaeff._words import WIDTH
from etaeff.records.audits import KINDS, MODES, Alike, Digest, Effect, Kind, digest, percent

_LEAST, _MOST = 40, 120  # characters of a line that people read
_OUTPUTS: Final = 12  # patterns of their names that are shown
_HEADER: Final = ("kind", "number", "proved", "largest defect", "with the model's own ε")
_DEFECT: Final = (
    "how far measured gradients are from it, relative to what cancels, with every ε at 1e-30; "
    "rounding leaves less than 1e-9"
)


def audit_table(values: Mapping[str, Any], width: int | None = None) -> str:
    """What an audit says, in lines; only a longer name or a line of code makes a longer one.

    Parameters and symmetries that differ only in the numbers of their names are told once, as a
    glob with their number behind it.

    Args:
        values: `Audit.to_dict()`, which has each of them.
        width: Characters of a line; by default those of the terminal, and 88 where there is none.
    """
    return _Table(digest(values), _width() if width is None else width).text


def audit_line(values: Mapping[str, Any]) -> str:
    """An audit in a line: model, rank, symmetries by kind, blocks."""
    summary = digest(values)
    kinds = ", ".join(f"{kind.count} {kind.name}" for kind in summary.kinds) or "no symmetries"
    blocks = _some(summary.blocks, "block")
    return f"<Audit of {summary.model}: rank {summary.rank}; {kinds}; {blocks}>"


def _width() -> int:
    """Characters of a line of the terminal, within what people read."""
    columns = shutil.get_terminal_size((WIDTH, 24)).columns
    return min(max(columns, _LEAST), _MOST)


class _Table:
    """The parts of the table of an audit, in lines of one width."""

    def __init__(self, summary: Digest, width: int) -> None:
        self._summary, self._width = summary, width

    @property
    def text(self) -> str:
        """All of it."""
        summary = self._summary
        parts = [self._title(), self._kinds(), *map(self._effect, summary.effects)]
        parts += [self._symmetries("Symmetries of several tensors", summary.symmetries)]
        parts += [self._symmetries("Symmetries of parts of tensors", summary.parts)]
        parts += [self._list("Notes", summary.notes)]
        parts += [self._list("Your optimizer", summary.forecasts), self._next_steps()]
        return "\n\n".join(part for part in parts if part)

    def _title(self) -> str:
        """The model and what it has; in which mode it was, and which of its outputs counted."""
        summary = self._summary
        pieces = f" of {summary.pieces:,} pieces" if summary.pieces > summary.blocks else ""
        first = (
            f"{summary.model}: {_some(summary.parameters, 'parameter')} with "
            f"{_some(summary.size, 'entry', 'entries')}, "
            f"{_some(summary.rank, 'scaling symmetry', 'scaling symmetries')}, "
            f"{_some(summary.blocks, 'scale-invariant block')}{pieces}"
        )
        second = f"Audited in {MODES.get(summary.mode, summary.mode)}"
        if summary.outputs:
            shown = [pattern.whole for pattern in summary.outputs]
            more = f" and {len(shown) - _OUTPUTS} more" if len(shown) > _OUTPUTS else ""
            second += f"; outputs that count: {', '.join(shown[:_OUTPUTS])}{more}"
        return f"{self._wrapped(first, 0, 2)}\n{self._wrapped(second, 0, 2)}"

    def _kinds(self) -> str:
        """A row for each kind of symmetry, and what the words mean."""
        if not self._summary.kinds:
            return ""
        rows = [_HEADER, *map(_row, self._summary.kinds)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        ]
        names = {kind.name for kind in self._summary.kinds}
        meanings = [(kind.value, text) for kind, text in KINDS.items() if kind in names]
        if any(kind.defect is not None for kind in self._summary.kinds):
            meanings.append(("defect", _DEFECT))
        return "\n".join([*table, *(self._wrapped(f"{w}: {text}", 2, 4) for w, text in meanings)])

    def _effect(self, effect: Effect) -> str:
        """What decay does to some parameters, and to which."""
        share = f"{percent(effect.share)} of all entries"
        head = f"Decay {effect.name}: {_some(effect.count, 'parameter')}, {share}"
        return "\n".join((self._wrapped(head, 0, 2), *self._entries(effect)))

    def _entries(self, effect: Effect) -> Iterator[str]:
        """Two lines for parameters of one fate."""
        for entry in effect.entries:
            yield self._wrapped(", ".join(pattern.whole for pattern in entry.patterns), 2, 4)
            why = ": ".join(part for part in (entry.cut, entry.why) if part)
            doubt = " (measured, not proved)" if entry.is_measured else ""
            yield self._wrapped(f"{why}{doubt}", 6, 6)

    def _symmetries(self, head: str, symmetries: Sequence[Alike]) -> str:
        """Symmetries under a head, a line each."""
        lines = [head]
        for one in symmetries:
            times = f"{one.count} × " if one.count > 1 else ""
            doubt = "" if one.proved else " (not proved)"
            lines.append(self._wrapped(f"{one.kind}{doubt}: {times}{one.text}", 2, 6))
        return "\n".join(lines) if symmetries else ""

    def _next_steps(self) -> str:
        """What to do with it, as code to paste."""
        lines = ["What to do next, with audit = etaeff.audit(model, args)"]
        for step in self._summary.next_steps:
            lines.append(self._wrapped(step.text, 2, 2))
            lines += [f"    {line}" for line in step.code]
        return "\n".join(lines) if self._summary.next_steps else ""

    def _list(self, head: str, sentences: Sequence[str]) -> str:
        """Sentences under a head."""
        lines = [self._wrapped(f"- {sentence}", 2, 4) for sentence in sentences]
        return "\n".join([head, *lines]) if sentences else ""

    def _wrapped(self, text: str, first: int, rest: int) -> str:
        """A text in lines of the table's width."""
        return textwrap.fill(
            text,
            self._width,
            initial_indent=" " * first,
            subsequent_indent=" " * rest,
            break_long_words=False,
            break_on_hyphens=False,
        ).replace("\N{NO-BREAK SPACE}", " ")


def _row(kind: Kind) -> tuple[str, ...]:
    """A kind of symmetry in the columns of `_HEADER`."""
    return (
        kind.name, f"{kind.count}", f"{kind.proved}", _number(kind.defect),
        _number(kind.own_defect),
    )  # fmt: skip


def _number(value: float | None) -> str:
    """A defect, or a dash where nothing was measured."""
    return "-" if value is None else f"{value:.1e}"


def _some(count: int, one: str, many: str = "") -> str:
    """A number of things, in words."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
