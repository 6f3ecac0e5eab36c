"""Renew the audits that docs/audit.md shows. Takes about two minutes.

python scripts/audit_examples.py
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "audit.md"
AUDIT = re.compile(r"```console\n\$ (etaeff audit [^\n]*)\n(.*?)```", re.DOTALL)
FILES = (
    re.compile(r"```python\n# (\S+\.py)\n(.*?)```", re.DOTALL),
    re.compile(r"```console\n\$ cat (\S+)\n(.*?)```", re.DOTALL),
)


def main() -> None:
    """Run every audit of the page and write it."""
    text = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        write_files(text, Path(folder))
        PAGE.write_text(
            AUDIT.sub(
                lambda found: f"```console\n$ {found[1]}\n{printed(found[1], Path(folder))}```",
                text,
            ),
            encoding="utf-8",
        )


def write_files(text: str, folder: Path) -> None:
    """The files that the page shows."""
    for pattern in FILES:
        for name, content in pattern.findall(text):
            (folder / name).write_text(content, encoding="utf-8")


def printed(command: str, folder: Path) -> str:
    """What a command prints in a folder."""
    program = Path(sys.executable).with_name("etaeff")
    done = subprocess.run(
        [program, *shlex.split(command)[1:]],
        cwd=folder,
        env=os.environ | {"COLUMNS": "88"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


if __name__ == "__main__":
    main()
