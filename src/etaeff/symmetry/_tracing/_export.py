"""The first tracer: `torch.export`."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import torch
from torch import nn

from etaeff.errors import UsageError
from etaeff.symmetry._tracing._graph import Graph, of_program
from etaeff.symmetry._tracing._restore import unwritten
from etaeff.symmetry._tracing._torch import without_new_buffer_hooks
from etaeff.symmetry._tracing._values import copied
from etaeff.symmetry._words import described, in_a_line

# Not about the model: the machine, or the installation.
MACHINE_ERRORS: Final = (ImportError, OSError, MemoryError)


def export(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Graph | None, str]:
    """The graph of every path through `model`, or why there is none.

    Raises:
        UsageError: If the model itself fails on these arguments, with its own error.
    """
    with quiet(), without_new_buffer_hooks():
        try:
            program = torch.export.export(model, *copied((tuple(args), dict(kwargs))), strict=False)
            return of_program(program, dict(model.named_parameters())), ""
        except Exception as error:
            failure = error
    check_that_it_runs(model, args, kwargs)
    if isinstance(failure, MACHINE_ERRORS):
        raise failure
    return None, in_a_line(failure)


def check_that_it_runs(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Run the model itself.

    Raises:
        UsageError: With the model's own error.
    """
    failures = []
    for follows in (False, True):  # it may take gradients inside, or refuse to be followed
        try:
            with quiet(), torch.set_grad_enabled(follows), unwritten(model):
                model(*copied(args), **copied(kwargs))
            return
        except Exception as error:
            failures.append(error)
    raise UsageError(
        f"{type(model).__name__} fails on {described(args, kwargs)}: {in_a_line(failures[0])}"
    ) from failures[0]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what tracers warn of and log on their way to an exception, which we raise."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
