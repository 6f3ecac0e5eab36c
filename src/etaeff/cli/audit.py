"""`etaeff audit`: which weights of a model are scale-invariant, and what decay does to each."""

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etaeff.cli._inputs import asked, check_file, made, read
from etaeff.cli._rules import check, failures
from etaeff.cli._tables import as_json
from etaeff.cli._target import TRANSFORMERS, importable, load, split
from etaeff.errors import EtaeffError, UsageError, told

if TYPE_CHECKING:
    from torch import nn

    from etaeff.symmetry import Audit


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
    """Load the model, audit it, write and print what is found, and judge it.

    Args:
        options: What was typed, by name.
        html: Where to write a page.
        in_json: Print JSON.
    """
    _check(options, html)
    target = options["target"]
    click.echo(f"Auditing imports and runs the code of '{target}'.", err=True)
    # What the model's code prints must not meet the JSON.
    with redirect_stdout(sys.stderr):
        audit = _audited(target, options)
    values = audit.to_dict()
    broken = failures(values, options["rules"], options["decayed"])
    if html is not None:
        _write_page(html, values)
    if in_json:
        failed = [{"rule": f.rule, "sentence": f.sentence, "names": f.names} for f in broken]
        page = None if html is None else str(html)
        click.echo(as_json({**values, "failed": failed, "html": page}))
    else:
        click.echo(str(audit))
        if html is not None:
            click.echo(f"\nPage: {html}")
    for failure in broken:
        click.echo(f"etaeff: --fail-on {failure.rule}: {failure.sentence}", err=True)
    return 1 if broken else 0


def _check(options: Mapping[str, Any], html: Path | None) -> None:
    """Refuse before anything is loaded what can be refused."""
    where, _ = split(options["target"])
    check(options["rules"], options["decayed"])
    _check_inputs(options)
    if options["config"] is not None and where != TRANSFORMERS:
        raise UsageError(
            f"`--config` goes with '{TRANSFORMERS}:Class' only; got '{options['target']}'."
        )
    if options["proof_only"] and options["discover"]:
        raise UsageError("`--discover` measures, and `--proof-only` measures nothing: give one.")
    if html is not None:
        from etaeff.report import check_extras

        check_extras(["jinja2"])
        if not html.parent.is_dir() or html.is_dir():
            raise UsageError(f"`--html {html}` must be a file in a folder that exists.")


def _check_inputs(options: Mapping[str, Any]) -> None:
    tensors, file, vocab = (
        asked(options["inputs"], options["ids"]),
        options["args"],
        options["vocab"],
    )
    if file is not None and tensors:
        raise UsageError(
            "`--args` stands in place of `--input` and `--ids`: give one or the other."
        )
    if file is not None:
        check_file(file)
    elif not tensors:
        raise UsageError(
            "A model is traced on inputs: give `--input`, `--ids` or `--args`, a small batch of "
            "real size."
        )
    if vocab is not None and not options["ids"]:
        raise UsageError("`--vocab` goes with `--ids` only.")
    if vocab is not None and vocab < 1:
        raise UsageError(f"`--vocab` must be at least 1, got {vocab}.")


def _audited(target: str, options: Mapping[str, Any]) -> "Audit":
    import torch

    torch.manual_seed(options["seed"])
    with importable(target) as last:
        model = load(target, options["config"], meta=options["proof_only"])
        last()
        if options["args"] is not None:
            args, kwargs = read(options["args"], model)
        else:
            args, kwargs = made(asked(options["inputs"], options["ids"]), options["vocab"], model)
        return _of(model, args, kwargs, options)


def _of(
    model: "nn.Module", args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]
) -> "Audit":
    from etaeff.symmetry import audit

    try:
        return audit(
            model,
            args,
            kwargs,
            measure=False if options["proof_only"] else None,
            discover=options["discover"],
            training=not options["eval_mode"],
            seed=options["seed"],
        )
    except EtaeffError:
        raise
    except Exception as error:  # a kind of model that nobody has thought of
        target = options["target"]
        raise EtaeffError(f"'{target}' could not be audited: {told(error)}.") from error


def _write_page(html: Path, values: Mapping[str, Any]) -> None:
    from etaeff.report import write_audit

    try:
        write_audit(html, values)
    except OSError as error:
        raise UsageError(f"`--html {html}` cannot be written: {error.strerror}.") from None
