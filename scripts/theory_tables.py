"""Renew the tables of docs/theory.md, between their markers. Takes about three minutes.

python scripts/theory_tables.py
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import torch

from etaeff.cli._prediction import implied
from etaeff.theory import PUBLISHED_SETTINGS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "theory.md"


def main() -> None:
    """Measure everything again and write the page."""
    torch.set_num_threads(1)
    walks, training = (test_module(name) for name in ("walks", "test_equilibrium_training"))
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
        "training": [*training_rows(training)],
        "published": [*published_rows()],
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


def test_module(name: str) -> ModuleType:
    """A module of the tests, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / "theory" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def head(*titles: str) -> Iterator[str]:
    """The head of a Markdown table."""
    yield f"| {' | '.join(titles)} |"
    yield "|---" * len(titles) + "|"


def training_rows(training: ModuleType) -> Iterator[str]:
    """Every layer of every row, and what the test allows."""
    layers = [f"{what}, layer {layer}" for what in ("radius", "angle") for layer in (1, 2, 3)]
    yield from head("optimiser", *layers, "allowed")
    for row, line in zip(training.ROWS, training.table(training.ROWS), strict=True):
        yield f"{line} {100 * row.radius:g} %, {100 * row.angle:g} % |"


def published_rows() -> Iterator[str]:
    """What the published settings imply."""
    yield from head(
        "recipe", "optimiser", "η", "λ", "° per step", "half-life, steps", "run / settling time"
    )
    for setting in PUBLISHED_SETTINGS:
        found = implied(setting)
        times = found["times_settled"]
        yield (
            f"| {setting.model}, {setting.data} | {setting.optimizer} | {setting.lr:g} "
            f"| {setting.wd:g} | {found['angle_degrees']:.3g} | {found['half_life']:,.0f} "
            f"| {'' if times is None else f'{times:.3g}'} |"
        )


if __name__ == "__main__":
    main()
