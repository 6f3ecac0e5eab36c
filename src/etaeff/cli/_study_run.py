"""A study run with its progress shown, its verdicts and its report."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from etaeff.records import ClaimRecord
    from etaeff.studies import Progress


def run(
    study: "Callable[[Callable[[Progress], None]], Sequence[ClaimRecord]]",
    folder: Path,
    *,
    quiet: bool,
) -> int:
    """Run `study` with its progress shown, then write and announce the report.

    Args:
        study: Takes a listener for the progress and returns the judged claims.
        folder: Where the study keeps its results.
        quiet: Print the path of the report alone.
    """
    from rich.console import Console

    from etaeff.cli._progress import shown_progress
    from etaeff.errors import StudyError
    from etaeff.report import check_extras, write_report

    check_extras()
    try:
        with shown_progress(Console(stderr=True), quiet=quiet) as listener:
            claims = study(listener)
        report = write_report(folder)
    except KeyboardInterrupt:
        raise StudyError(
            f"Interrupted. What finished is kept; go on with: {resume_command(folder)}"
        ) from None
    if quiet:
        click.echo(report)
        return 0
    for claim in claims:
        held = sum(finding.verdict == "holds" for finding in claim.findings)
        click.echo(
            f"{claim.number}. {claim.title}: {claim.verdict} "
            f"({held} of {len(claim.findings)} parts hold)"
        )
    click.echo(f"Report: {report}")
    return 0


def resume_command(folder: Path) -> str:
    """What to type to go on with the study in `folder`, as a shell reads it."""
    return shlex.join(["etaeff", "study", "resume", str(folder)])
