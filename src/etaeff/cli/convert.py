"""`etaeff convert`: one setting of an optimiser told as another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from etaeff.cli._tables import as_json
from etaeff.errors import UnknownNameError, UsageError

_NO_DECAY: Final = "no-decay"


@click.command("convert", short_help="Tell one optimiser's setting as another's.")
@click.option(
    "--from",
    "source",
    required=True,
    metavar="SETTING",
    help="Such as 'sgd lr=0.1 wd=5e-4 momentum=0.9' or 'adamw lr=3e-4 wd=0.1 betas=0.9,0.95'.",
)
@click.option(
    "--to",
    "target",
    required=True,
    metavar="NAME",
    help="An optimiser, sphere-sgd, sphere-adam, sphere-lion, sphere-muon, or no-decay.",
)
@click.option("--lr", type=float, help="Learning rate of the target optimiser; else it is chosen.")
@click.option("--dim", type=float, help="Entries C of the block.")
@click.option("--grad-norm-sq", type=float, help="Mean ‖g‖²‖w‖² of the gradient.")
@click.option("--shape", metavar="ROWS,COLUMNS", help="Of Muon's matrix.")
@click.option("--steps", type=int, help="Length of the run, for no-decay.")
@click.option("--schedule", metavar="NAME", help="constant, cosine, linear or step; for no-decay.")
@click.option("--warmup", type=int, help="Steps of linear warm-up, for no-decay.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write the whole schedule as JSON: log_lr."
)
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
def command(*, out: Path | None, in_json: bool, **options: Any) -> int:
    """Convert a setting of one optimiser into that of another, for normalised weights.

    \b
    --to OPTIMISER   the same turn per step at equilibrium, and the same time to get there
    --to sphere-…    unit-norm weights without decay
    --to no-decay    a schedule of the learning rate in place of the decay, exactly
    """  # noqa: D301
    return run(options, out=out, in_json=in_json)


def run(options: Mapping[str, Any], *, out: Path | None, in_json: bool) -> int:
    """Convert, write the schedule if that is asked, and print.

    Args:
        options: What was typed, by name; `None` where it was not.
        out: Where to write a schedule.
        in_json: Print JSON.
    """
    from etaeff.cli._conversions import matched, on_sphere, without_decay
    from etaeff.theory.settings import OPTIMIZERS

    target = options["target"]
    spheres = [row.sphere for row in OPTIMIZERS.values() if row.sphere is not None]
    known = (*OPTIMIZERS, *spheres, _NO_DECAY)
    if target not in known:
        raise UnknownNameError("target", target, known)
    _check_idle(target, options, out)
    if target == _NO_DECAY:
        values, text = without_decay(options, out)
    else:
        values, text = (on_sphere if target in spheres else matched)(options)
    click.echo(as_json(values) if in_json else text)
    return 0


def _check_idle(target: str, options: Mapping[str, Any], out: Path | None) -> None:
    """Refuse options that would do nothing."""
    from etaeff.theory.settings import OPTIMIZERS

    if target != _NO_DECAY:
        of_a_run = [n for n in ("steps", "schedule", "warmup") if options[n] is not None]
        if of_a_run or out is not None:
            raise UsageError(f"`--{(of_a_run or ['out'])[0]}` goes with `--to {_NO_DECAY}` only.")
    idle = ["lr", "dim", "grad_norm_sq", "shape"] if target == _NO_DECAY else []
    source = OPTIMIZERS.get(next(iter(options["source"].split()), ""))
    if source is not None:
        decoupled = OPTIMIZERS.get(source.decoupled_name or "", source)
        if target in (source.sphere, decoupled.sphere):  # the update is the same: no rate is free
            idle.append("lr")
    for name in idle:
        if options[name] is not None:
            raise UsageError(
                f"`--{name.replace('_', '-')}` has no part in converting '{options['source']}' to "
                f"{target}."
            )
