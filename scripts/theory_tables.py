"""Renew the tables of docs/theory.md, between their markers. Takes about three minutes.

python scripts/theory_tables.py
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from etaeff.theory import published_rows

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support import equilibrium_training as training  # noqa: E402
from support import walks  # noqa: E402

PAGE = ROOT / "docs" / "theory.md"


def main() -> None:
    """Measure everything again and write the page."""
    torch.set_num_threads(1)
    tables = {
        "walks": [
            *head("setting", "radius", "angle"),
            *walks.table(walks.settings()),
            "",
            *head("setting", "half-life"),
            *walks.half_life_table(walks.half_life_settings()),
            *walks.half_life_table(walks.delayed_half_life_settings()),
        ],
        "limits": [
            *head("setting", "radius", "angle"),
            *walks.table(walks.finite_beta2_settings()),
        ],
        "spread": [*head("spread of σ", "η²λ", "radius over its law"), *walks.spread_table()],
        "training": [*training_rows()],
        "published": [*published_lines()],
    }
    text = PAGE.read_text(encoding="utf-8")
    for name, lines in tables.items():
        text = renewed(text, name, lines)
    PAGE.write_text(text, encoding="utf-8")


def renewed(text: str, name: str, lines: list[str]) -> str:
    """The page with one of its tables replaced."""
    before, mark, rest = text.partition(f"<!-- {name} -->")
    _, end, after = rest.partition("<!-- end -->")
    assert mark, f"{PAGE} has no table '{name}'"
    assert end, f"The table '{name}' of {PAGE} does not end"
    return "\n".join([before + mark, *lines, end + after])


def head(*titles: str) -> Iterator[str]:
    """The head of a Markdown table."""
    yield f"| {' | '.join(titles)} |"
    yield "|---" * len(titles) + "|"


def training_rows() -> Iterator[str]:
    """Every layer of every row, and what the test allows."""
    layers = [f"{what}, layer {layer}" for what in ("radius", "angle") for layer in (1, 2, 3)]
    yield from head("optimiser", *layers, "allowed")
    for row, line in zip(training.ROWS, training.table(training.ROWS), strict=True):
        yield f"{line} {100 * row.radius:g} %, {100 * row.angle:g} % |"


def published_lines() -> Iterator[str]:
    """What the published settings imply."""
    yield from head(
        "recipe", "optimiser", "η", "λ", "° per step", "half-life, steps", "run / settling time"
    )
    for row in published_rows():
        times = row["times_settled"]
        yield (
            f"| {row['model']}, {row['data']} | {row['optimizer']} | {row['lr']:g} "
            f"| {row['wd']:g} | {row['angle_degrees']:.3g} | {row['half_life']:,.0f} "
            f"| {'' if times is None else f'{times:.3g}'} |"
        )


if __name__ == "__main__":
    main()
