"""Print the claims of a finished study as Markdown tables, as docs/paper.md shows them.

python scripts/claims_table.py runs/paper
"""

import json
import sys
from pathlib import Path
from typing import Any

from etaeff.records import CLAIMS_FILE


def main(folder: Path) -> None:
    """Print a table of the claims, then one of the parts of each."""
    claims = json.loads((folder / CLAIMS_FILE).read_text(encoding="utf-8"))["claims"]
    print("| | claim | verdict | parts that hold |\n|---|---|---|---|")
    for claim in claims:
        held = sum(finding["verdict"] == "holds" for finding in claim["findings"])
        verdict = f"**{claim['verdict']}**"
        count = f"{held} of {len(claim['findings'])}"
        print(f"| {claim['number']} | {claim['title']} | {verdict} | {count} |")
    for claim in claims:
        print(f"\n### {claim['number']}. {claim['title']}: {claim['verdict']}\n")
        print("| part | estimate | 95 % interval | predicted | verdict |\n|---|---|---|---|---|")
        for finding in claim["findings"]:
            interval = f"{number(finding['low'])} to {number(finding['high'])}"
            unit = f" {finding['unit']}" if finding["unit"] else ""
            print(
                f"| {finding['part']} | {number(finding['estimate'])}{unit} | {interval} "
                f"| {predicted(finding)} | {finding['verdict']} |"
            )


def number(value: float | None) -> str:
    """Three digits, with a real minus."""
    return "?" if value is None else f"{value:.3g}".replace("-", "−")


def predicted(finding: dict[str, Any]) -> str:
    """The range that the claim predicts; an end that is `None` is infinite."""
    low, high = finding["expected_low"], finding["expected_high"]
    if low is None:
        return f"at most {number(high)}"
    return f"at least {number(low)}" if high is None else f"{number(low)} to {number(high)}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
