"""`etaeff predict`: what learning rate and weight decay do to a normalised weight."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from etaeff._words import paragraph
from etaeff.cli._tables import as_json
from etaeff.errors import UsageError

_LIST: Final = "list"


@click.command("predict", short_help="Say what lr and weight decay do to a normalised weight.")
@click.option("--published", metavar="NAME", help="A published recipe; 'list' for a table of them.")
@click.option(
    "--optimizer", metavar="NAME", help="Such as sgd, adamw, lion or muon; a wrong one lists all."
)
@click.option("--lr", type=float, help="Learning rate η, per step; the peak of the schedule.")
@click.option("--wd", type=float, help="Weight decay λ, as PyTorch has it.")
@click.option("--momentum", type=float, help="Of SGD, RMSProp, Muon, normalised gradients.")
@click.option("--nesterov/--no-nesterov", default=None, help="Of SGD and Muon.")
@click.option("--dampening", type=float, help="Of SGD.")
@click.option("--betas", metavar="β₁,β₂", help="Of Adam, its variants, and Lion.")
@click.option("--alpha", type=float, help="Of RMSProp.")
@click.option("--adjust-lr-fn", metavar="NAME", help="Of Muon: original or match_rms_adamw.")
@click.option("--decay", metavar="KIND", help="l2 or decoupled; the optimiser's by default.")
@click.option("--dim", type=float, help="Entries of the block, for the radius.")
@click.option(
    "--grad-norm-sq", type=float, help="Mean ‖g‖²‖w‖² of the gradient, for the radius with L2."
)
@click.option("--shape", metavar="ROWS,COLUMNS", help="Of Muon's matrix.")
@click.option("--batch", type=float, help="Examples of a step, for times in epochs.")
@click.option("--data", type=float, help="Examples of an epoch.")
@click.option("--steps", type=int, help="Length of the run, which is then followed.")
@click.option("--schedule", metavar="NAME", help="constant, cosine, linear or step.")
@click.option("--warmup", type=int, help="Steps of linear warm-up.")
@click.option("--final", type=float, help="What cosine and linear come down to; 0 by default.")
@click.option("--radius", type=float, help="‖w‖ at the start; the equilibrium's by default.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the run: .png, .svg or .pdf.")
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
def command(*, plot: Path | None, in_json: bool, **options: Any) -> int:
    """Say where a normalised weight settles under an optimiser with weight decay.

    The weight is one whose norm the network does not see. With --steps its run is followed.
    What is typed overrides --published, and what is given by neither is torch's default.

    \b
    Keys of --json, where null is what is not known:
      optimizer lr wd decay arguments published   the recipe
      angle angle_degrees cosine                  turn per step, radians, degrees
      half_life settled memory                    in steps; …_epochs in epochs
      radius effective_lr                         at equilibrium
      invariant {name value} regime meaning notes warnings plot
      run {steps schedule warmup final start relative points at_end last_near
           summary}
    Each of run.points has at, step, lr, radius, angle, angle_degrees,
    effective_lr, and angle_over_equilibrium: over that of the equilibrium at the
    lr of the step. Where run.relative is true, radius and effective_lr are shares
    of their equilibrium at the peak lr.
    """  # noqa: D301
    if options["published"] == _LIST:
        others = [plot, *(value for name, value in options.items() if name != "published")]
        if any(value is not None for value in others):
            raise UsageError("`--published list` takes no other option than `--json`.")
        return _list(in_json=in_json)
    return run(options, plot=plot, in_json=in_json)


def run(options: Mapping[str, Any], *, plot: Path | None, in_json: bool) -> int:
    """Predict, draw if that is asked, and print.

    Args:
        options: What was typed, by name; `None` where it was not.
        plot: Where to draw the run.
        in_json: Print JSON, and warnings nowhere else.
    """
    from etaeff.cli._files import draw_run
    from etaeff.cli._forecast_text import text_of
    from etaeff.cli._recipe import recipe
    from etaeff.theory import forecast

    setting, arguments = recipe(options)
    if plot is not None and "steps" not in arguments:
        raise UsageError("`--plot` draws a run and needs `--steps`, its length.")
    result = forecast(setting, **arguments)
    if plot is not None:
        draw_run(plot, result)
    drawn = None if plot is None else str(plot)
    if in_json:
        click.echo(as_json({**result.to_dict(), "plot": drawn}))
        return 0
    click.echo(text_of(result) if plot is None else f"{text_of(result)}\n\nPlot: {plot}")
    for warning in result.warnings:
        click.echo(paragraph(f"Warning: {warning}"), err=True)
    return 0


def _list(*, in_json: bool) -> int:
    """Print what published settings imply."""
    from etaeff.cli._forecast_text import list_of
    from etaeff.theory import published_rows

    rows = published_rows()
    click.echo(as_json({"published": rows}) if in_json else list_of(rows))
    return 0
