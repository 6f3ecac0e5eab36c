"""The audits that docs/audit.md shows, made again."""

import re
import tomllib
from pathlib import Path

import audit_examples as examples
import pytest

PROJECT = Path(__file__).parents[2]
TEXT = (PROJECT / "docs" / "audit.md").read_text(encoding="utf-8")
SHOWN = dict(examples.AUDIT.findall(TEXT))
LONG = ("ResNet", "ViT", "GPT2")


def without_rounding(text):
    """Words alone, with every defect as `#`."""
    return " ".join(re.sub(r"\d\.\de[+-]\d+", "#", text).split())


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            command, marks=pytest.mark.long if any(name in command for name in LONG) else ()
        )
        for command in SHOWN
    ],
)
def test_the_page_shows_what_is_printed(command, tmp_path):
    examples.write_files(TEXT, tmp_path)
    assert without_rounding(examples.printed(command, tmp_path)) == without_rounding(SHOWN[command])


def test_the_page_has_examples():
    assert len(SHOWN) == 5
    assert (
        "12 scaling symmetries" in SHOWN["etaeff audit gpt.py:GPT --ids 2,16 --vocab 64 --discover"]
    )
    assert all(text.strip() for text in SHOWN.values())


def test_examples_fit_the_page():
    width = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["ruff"]["line-length"]
    assert [line for line in TEXT.splitlines() if len(line) > width] == []
