"""`etaeff audit`: which weights of a model are scale-invariant, and what decay does to each."""

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from etaeff.cli._audited import audited, check_options
from etaeff.cli._files import check_page, write_page
from etaeff.cli._rules import failures
from etaeff.cli._tables import as_json


@click.command("audit", short_help="Find what scaling a model does not see. Runs its code.")
@click.argument("target")
@click.option(
    "--input",
    "inputs",
    metavar="[NAME=]SHAPE",
    multiple=True,
    help="Noise of this shape, such as 2,3,32,32, as the next argument, or as the one named.",
)
@click.option(
    "--ids", metavar="[NAME=]SHAPE", multiple=True, help="Random ids, such as 2,16, after those."
)
@click.option("--vocab", type=int, help="Number of ids; that of the model's config by default.")
@click.option(
    "--args",
    type=click.Path(path_type=Path),
    help="The arguments instead, from torch.save: a tensor, a list of them, or a dict by name.",
)
@click.option(
    "--config", type=click.Path(path_type=Path), help="JSON file of a transformers configuration."
)
@click.option(
    "--output",
    "outputs",
    metavar="NAME",
    multiple=True,
    help="What counts of what the model returns: a field or key, or an index; all by default.",
)
@click.option(
    "--optimizer", metavar="NAME", help="Say what --lr and --wd come to under it, such as adamw."
)
@click.option("--lr", type=float, help="Learning rate of --optimizer.")
@click.option("--wd", type=float, help="Weight decay of --optimizer, as PyTorch has it.")
@click.option("--proof-only", is_flag=True, help="Prove, and measure nothing: seconds, any size.")
@click.option(
    "--eval",
    "eval_mode",
    is_flag=True,
    help="As the model runs after training: Batch Normalization then has fixed statistics.",
)
@click.option("--discover", is_flag=True, help="Look for what the proof missed: slow.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights and inputs.")
@click.option(
    "--fail-on",
    "rules",
    metavar="RULE",
    multiple=True,
    help="Exit with 1 on: scale-invariant, unproved, decayed-invariant.",
)
@click.option(
    "--decayed",
    metavar="GLOB",
    multiple=True,
    help="Names of parameters that your optimiser decays, for decayed-invariant.",
)
@click.option("--html", type=click.Path(path_type=Path), help="Write one HTML file too.")
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
def command(*, html: Path | None, in_json: bool, **options: Any) -> int:
    """Audit the scaling symmetries of a model: IMPORTS AND RUNS ITS CODE.

    Audit only models that you would also run.

    \b
    TARGET  package.module:factory   a callable that returns a model, or a model;
            file.py:factory          the same in a file
            transformers:Class       random weights, from --config or the default

    The model is traced on the inputs that you give, in training mode. What can be scaled without
    any effect on its outputs is proved on the graph and measured in float64.

    \b
    --fail-on scale-invariant      there is a scale-invariant parameter
    --fail-on unproved             a symmetry is not proved, or an operator has no rule
    --fail-on decayed-invariant    a --decayed name is that of a scale-invariant parameter
    """  # noqa: D301
    return run(options, html=html, in_json=in_json)


def run(options: Mapping[str, Any], *, html: Path | None, in_json: bool) -> int:
    """Load the model, audit it, write and print the audit, and judge it.

    Args:
        options: What was typed, by name.
        html: Where to write a page.
        in_json: Print JSON.
    """
    check_options(options)
    check_page(html)
    click.echo(f"Auditing imports and runs the code of '{options['target']}'.", err=True)
    # What the model's code prints must not meet the JSON.
    with redirect_stdout(sys.stderr):
        audit = audited(options)
    values = audit.to_dict()
    broken = failures(values, options["rules"], options["decayed"])
    write_page(html, values)
    if in_json:
        page = None if html is None else str(html)
        click.echo(as_json({**values, "failed": list(map(asdict, broken)), "html": page}))
    else:
        click.echo(str(audit) if html is None else f"{audit}\n\nPage: {html}")
    for failure in broken:
        click.echo(f"etaeff: --fail-on {failure.rule}: {failure.sentence}", err=True)
    return 1 if broken else 0
