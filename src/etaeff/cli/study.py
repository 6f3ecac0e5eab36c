"""`etaeff study`: run the study of a paper's claims, go on with one, look at one."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from etaeff.cli._study_run import resume_command, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from etaeff.records import ClaimRecord
    from etaeff.studies import Progress

_workers = click.option("--workers", type=int, help="Processes; one per processor by default.")
_quiet = click.option("--quiet", is_flag=True, help="Print where the report is, nothing else.")


@click.group("study", short_help="Test the claims of a paper by training small networks.")
def command() -> None:
    """Test the claims of a paper by training small networks."""


@command.command("run")
@click.argument("name")
@click.option("--preset", default="quick", show_default=True, help="Size: quick or full.")
@click.option("--data", help="digits, or the folder of MNIST, Fashion-MNIST or CIFAR-10 files.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder; runs/NAME by default.")
@click.option("--seeds", type=int, help="Seeds per point; the preset's by default.")
@_workers
@_quiet
def _run(
    name: str,
    preset: str,
    data: str | None,
    out: Path | None,
    seeds: int | None,
    workers: int | None,
    quiet: bool,
) -> int:
    """Run the study NAME and write its report.

    A folder that holds the same study is gone on with: finished trials are not run again.
    """
    from etaeff.studies import run_study

    folder = out or Path("runs") / name

    def study(listener: "Callable[[Progress], None]") -> "Sequence[ClaimRecord]":
        return run_study(
            name,
            folder,
            preset=preset,
            data=data,
            seeds=seeds,
            workers=workers,
            listener=listener,
        )

    return run(study, folder, quiet=quiet)


@command.command("resume")
@click.argument("folder", type=click.Path(path_type=Path))
@_workers
@_quiet
def _resume(folder: Path, workers: int | None, quiet: bool) -> int:
    """Go on with the study in FOLDER and write its report."""
    from etaeff.studies import resume_study

    return run(
        lambda listener: resume_study(folder, workers=workers, listener=listener),
        folder,
        quiet=quiet,
    )


@command.command("status")
@click.argument("folder", type=click.Path(path_type=Path))
def _status(folder: Path) -> int:
    """Say how far the study in FOLDER is."""
    from etaeff.studies import study_status

    status = study_status(folder)
    state = "running" if status.running else "done" if status.done == status.total else "stopped"
    click.echo(f"{status.done} of {status.total} trials, {state}.")
    for key in ("study", "preset", "data", "seeds"):
        click.echo(f"  {key}: {status.specification[key] or 'as the preset has it'}")
    for session in status.sessions:
        click.echo(
            f"  {session['started']}: {session['trials']} trials in {session['seconds']:.0f} s "
            f"on {session['workers']} workers"
        )
    if state == "stopped":
        click.echo(f"Go on with: {resume_command(folder)}")
    return 0


@command.command("list")
def _list() -> int:
    """List the studies and their presets."""
    from etaeff.studies import PRESETS, STUDIES

    for name, (title, _) in STUDIES.items():
        click.echo(f"{name}: {title}")
    for preset in PRESETS.values():
        data = preset.data or "give --data"
        click.echo(f"  --preset {preset.name}: {preset.network}, {data}, {preset.seeds} seeds")
    return 0
