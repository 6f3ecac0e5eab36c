"""`etaeff audit`: which weights of a model are scale-invariant, and what decay does to each."""

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from etaeff.cli._audit_options import audit_options
from etaeff.cli._audited import audited, check_options
from etaeff.cli._files import check_page, write_page
from etaeff.cli._rules import failures
from etaeff.cli._tables import as_json


@click.command("audit", short_help="Find what scaling a model does not see. Runs its code.")
@click.argument("target")
@audit_options
def command(*, html: Path | None, in_json: bool, **options: Any) -> int:
    """Audit the scaling symmetries of a model: IMPORTS AND RUNS ITS CODE.

    Audit only models that you would also run.

    \b
    TARGET  package.module:factory   a callable that returns a model, or a model;
            file.py:factory          the same in a file
            transformers:Class       random weights, from --config or the default

    The model is traced on the inputs that you give, in the mode in which the factory leaves it.
    What can be scaled without any effect on its outputs is proved on the graph and measured in
    float64.

    \b
    --fail-on scale-invariant      there is a scale-invariant parameter
    --fail-on not-known            what decay does to a parameter is not known, or nothing
                                   reached it
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
