"""`etaeff predict`: what learning rate and weight decay do to a normalised weight."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from etaeff._words import paragraph, typed
from etaeff.cli._tables import aligned, as_json
from etaeff.errors import UsageError

_LIST = "list"
_TITLES = {
    "sgd": "SGD",
    "rmsprop": "RMSProp",
    "adam": "Adam",
    "adamw": "AdamW",
    "lion": "Lion",
    "muon": "Muon",
    "normalized": "normalised gradients",
}
_REGIMES = {
    "slow": "less than 8° a step",
    "fast": "8° to 60° a step",
    "erratic": "more than 60° a step",
}


@click.command("predict", short_help="Say what lr and weight decay do to a normalised weight.")
@click.option("--published", metavar="NAME", help="A published recipe; 'list' for a table of them.")
@click.option(
    "--optimizer", metavar="NAME", help="sgd, rmsprop, adam, adamw, lion, muon or normalized."
)
@click.option("--lr", type=float, help="Learning rate η, per step; the peak of the schedule.")
@click.option("--wd", type=float, help="Weight decay λ, as PyTorch has it.")
@click.option("--momentum", type=float, help="Of SGD, RMSProp, Muon, normalised gradients.")
@click.option("--nesterov/--no-nesterov", default=None, help="Of SGD and Muon.")
@click.option("--dampening", type=float, help="Of SGD.")
@click.option("--betas", metavar="β₁,β₂", help="Of Adam, AdamW and Lion.")
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
    from etaeff.cli._prediction import prediction
    from etaeff.cli._recipe import recipe
    from etaeff.cli._run import follow

    asked = recipe(options)
    if plot is not None and asked.steps is None:
        raise UsageError("`--plot` draws a run and needs `--steps`, its length.")
    followed = follow(asked)
    found = prediction(asked, followed)
    if plot is not None:
        if followed is None:
            raise UsageError(f"`--plot` has no run to draw. {found['notes'][-1]}")
        from etaeff.report import write_trajectory

        write_trajectory(
            plot,
            asked.optimizer,
            followed.path,
            lr=followed.lr,
            wd=asked.wd,
            relative=followed.relative,
            title=_title(found),
            **followed.arguments,
        )
        found["plot"] = str(plot)
    if in_json:
        click.echo(as_json(found))
        return 0
    click.echo(_text(found))
    for warning in found["warnings"]:
        click.echo(paragraph(f"Warning: {warning}"), err=True)
    return 0


def _list(*, in_json: bool) -> int:
    from etaeff.cli._prediction import implied
    from etaeff.theory import PUBLISHED_SETTINGS

    settings = [implied(setting) for setting in PUBLISHED_SETTINGS]
    if in_json:
        click.echo(as_json({"published": settings}))
        return 0
    keys = ("lr", "wd", "angle_degrees", "half_life", "steps", "times_settled")
    head = ["name", "optimiser", "lr", "wd", "°/step", "half-life", "steps", "× settling"]
    rows = [
        [found["name"], _TITLES[found["optimizer"]], *(typed(found[key], 3) for key in keys)]
        for found in settings
    ]
    click.echo(aligned([head, *rows], right=range(2, 8)))
    click.echo()
    click.echo(
        paragraph(
            "Turn per step and half-life of ‖w‖² at equilibrium, for a normalised weight at the "
            "peak lr. The last column is the length of the run over the 4.32 half-lives in which "
            "a weight settles: below 1 the run ends before equilibrium."
        )
    )
    return 0


def _title(found: Mapping[str, Any]) -> str:
    """The recipe in a line."""
    values = {"lr": found["lr"], "wd": found["wd"], **found["arguments"]}
    parts = [f"{name.replace('_', '-')} {_value(value)}" for name, value in values.items()]
    decay = "L2 in the gradient" if found["decay"] == "l2" else "decoupled decay"
    return f"{_TITLES[found['optimizer']]}, {decay}: {', '.join(parts)}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(_value, value))
    return value if isinstance(value, str) else f"{value:g}"


def _text(found: Mapping[str, Any]) -> str:
    parts = [_title(found), aligned(_rows(found)), paragraph(found["meaning"])]
    origin = found["published"]
    if origin is not None:
        parts[0] = f"{origin['model']} on {origin['data']}\n{parts[0]}\nSource: {origin['source']}"
    if found["run"] is not None and found["run"]["points"] is not None:
        parts.append(_run_text(found["run"]))
    if found["notes"]:
        parts.append("\n".join(paragraph(note, bullet="- ") for note in found["notes"]))
    if found["plot"] is not None:
        parts.append(f"Plot: {found['plot']}")
    return "\n\n".join(parts)


def _rows(found: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for key, name, what in (
        ("half_life", "half-life", "in which a deviation of ‖w‖² halves"),
        ("settled", "settles in", "until a twentieth of it is left"),
        ("memory", "memory", "1/(ηλ), with no account of momentum"),
    ):
        epochs = found[f"{key}_epochs"]
        shown = [] if epochs is None else [f"{typed(epochs)} epochs"]
        known = found[key] is not None
        rows.append(
            [
                name,
                f"{typed(found[key])} steps" if known else typed(None),
                *shown,
                what,
            ]
        )
    degrees, product = found["angle_degrees"], found["invariant"]
    turn = [typed(None)]
    if degrees is not None:
        turn = [f"{typed(degrees)}°", f"{typed(found['angle'])} rad per step"]
    regime = found["regime"]
    return [
        ["angle", *turn],
        *rows,
        ["radius", typed(found["radius"])],
        ["effective lr", typed(found["effective_lr"])],
        ["invariant", f"{product['name']} = {typed(product['value'])}"],
        [
            "regime",
            *([typed(None)] if regime is None else [f"{regime}: {_REGIMES[regime]}"]),
        ],
    ]


def _run_text(run: Mapping[str, Any]) -> str:
    shares = run["relative"]
    head = ["", "step", "lr", "r / r*" if shares else "radius", "°/step",
            "η_eff / η_eff*" if shares else "η_eff", "° / °*"]  # fmt: skip
    keys = ("step", "lr", "radius", "angle_degrees", "effective_lr", "angle_over_equilibrium")
    rows = [[point["at"], *(typed(point[key]) for key in keys)] for point in run["points"]]
    start = "the equilibrium of the peak lr" if run["start"] == "equilibrium" else "--radius"
    first = f"{run['steps']:,} steps, {run['schedule']} schedule, from {start}."
    if shares:
        first += " r* and η_eff* are those of this equilibrium."
    first += " °* is the equilibrium's at the lr of the step. Momentum buffers start empty."
    parts = [paragraph(first), aligned([head, *rows], right=range(1, 7)), paragraph(run["summary"])]
    return "\n\n".join(parts)
