"""What commands print: aligned columns, and JSON."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from etaeff._words import paragraph


def aligned(rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> str:
    """Rows of cells as lines of columns, two spaces apart.

    Args:
        rows: Of one length or not. The last cell of a row that is not flush right may be long: it
            widens no column.
        right: Columns that end flush right, as numbers do.

    Examples:
        >>> print(aligned([["lr", "0.1"], ["radius", "12.5", "‖w‖"]], right=[1]))
        lr       0.1
        radius  12.5  ‖w‖
    """
    table, flush = [list(row) for row in rows], set(right)
    count = max(map(len, table), default=0)
    widths = [
        max((len(row[i]) for row in table if i + (i not in flush) < len(row)), default=0)
        for i in range(count)
    ]
    lines = (
        "  ".join(
            cell.rjust(width) if i in flush else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        )
        for row in table
    )
    return "\n".join(line.rstrip() for line in lines)


def bulleted(notes: Iterable[str]) -> list[str]:
    r"""Notes as one part of a text, or none if there are no notes.

    Examples:
        >>> bulleted(["One.", "Two."]), bulleted([])
        (['- One.\n- Two.'], [])
    """
    text = "\n".join(paragraph(note, bullet="- ") for note in notes)
    return [text] if text else []


def as_json(values: Mapping[str, Any]) -> str:
    """One JSON object: NumPy's numbers as numbers, what is not finite as null.

    Examples:
        >>> print(as_json({"lr": 0.1, "radius": None, "steps": float("inf")}))
        {
          "lr": 0.1,
          "radius": null,
          "steps": null
        }
    """
    return json.dumps(_plain(values), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "item"):  # of NumPy, which this file does not load
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
