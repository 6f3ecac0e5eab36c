"""`etaeff report`: figures and one HTML file from a finished study."""

from pathlib import Path

import click


@click.command("report", short_help="Make the report of a finished study again.")
@click.argument("folder", type=click.Path(path_type=Path))
def command(folder: Path) -> int:
    """Write figures and report.html of the finished study in FOLDER.

    The report is one file that opens without a network.
    """
    return run(folder)


def run(folder: Path) -> int:
    """Write the report and say where it is."""
    from etaeff.report import write_report

    click.echo(f"Report: {write_report(folder)}")
    return 0
