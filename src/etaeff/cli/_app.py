"""The group of all commands, and what becomes of their errors."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

import click

from etaeff.errors import EtaeffError

COMMANDS: Final = ("audit", "convert", "predict", "report", "study")


class _Commands(click.Group):
    """One file of this package for each command, which holds it as `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"etaeff.cli.{cmd_name}").command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="etaeff")
def _app() -> None:
    """The learning rate that a normalised network really uses."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage.

    Args:
        arguments: What was typed after `etaeff`; `None` for the process's own.
    """
    try:
        code = _app.main(arguments, prog_name="etaeff", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except EtaeffError as error:
        click.echo(f"etaeff: {error}", err=True)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("etaeff: Interrupted.", err=True)
        code = 1
    sys.exit(code)
