"""The command line. Every command loads what it needs when it runs, and no sooner."""

from etaeff.cli._app import main

__all__ = ["main"]
