"""The options of `etaeff audit`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

_OPTIONS: Final = (
    click.option(
        "--input",
        "inputs",
        metavar="[NAME=]SHAPE",
        multiple=True,
        help="Noise of this shape, such as 2,3,32,32, as the next argument, or as the one named.",
    ),
    click.option(
        "--ids",
        metavar="[NAME=]SHAPE",
        multiple=True,
        help="Random ids, such as 2,16, after those.",
    ),
    click.option("--vocab", type=int, help="Number of ids; that of the model's config by default."),
    click.option(
        "--args",
        type=click.Path(path_type=Path),
        help="The arguments instead, from torch.save: a tensor, a list of them, or a dict by name.",
    ),
    click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="JSON file of a transformers configuration.",
    ),
    click.option(
        "--output",
        "outputs",
        metavar="NAME",
        multiple=True,
        help="What counts of what the model returns: a field or key, or an index; all by default.",
    ),
    click.option(
        "--optimizer",
        metavar="NAME",
        help="Say what --lr and --wd come to under it, such as adamw.",
    ),
    click.option("--lr", type=float, help="Learning rate of --optimizer."),
    click.option("--wd", type=float, help="Weight decay of --optimizer, as PyTorch has it."),
    click.option(
        "--proof-only", is_flag=True, help="Prove, and measure nothing: seconds, any size."
    ),
    click.option(
        "--train",
        "train_mode",
        is_flag=True,
        help="In training mode, all modules; else in the mode that the factory leaves them in.",
    ),
    click.option(
        "--eval",
        "eval_mode",
        is_flag=True,
        help="As the model runs after training: Batch Normalization then has fixed statistics.",
    ),
    click.option(
        "--discover/--no-discover",
        default=None,
        help="Look for what the proof missed; by default where that is quick.",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Of weights and inputs."),
    click.option(
        "--fail-on",
        "rules",
        metavar="RULE",
        multiple=True,
        help="Exit with 1 on: scale-invariant, unproved, not-known, decayed-invariant.",
    ),
    click.option(
        "--decayed",
        metavar="GLOB",
        multiple=True,
        help="Names of parameters that your optimiser decays, for decayed-invariant.",
    ),
    click.option("--html", type=click.Path(path_type=Path), help="Write one HTML file too."),
    click.option("--json", "in_json", is_flag=True, help="Print one JSON object."),
)


def audit_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with all of them, in their order."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function
