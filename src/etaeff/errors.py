"""The errors that etaeff raises, each with a message that is a sentence.

The tree::

    EtaeffError                     anything that etaeff refuses; `exit_code` 1
    ├── UsageError (ValueError)     an argument is wrong; `exit_code` 2
    │   ├── UnknownNameError        a name that is not known; lists the known ones
    │   ├── NoLawError              an optimiser that is known, and of which no law is derived
    │   └── StudyMismatchError      the folder holds the results of another specification
    ├── NumericalError (ArithmeticError)   a weight or gradient is NaN or infinite
    ├── DataError (ValueError)      a data file is missing, truncated or of another format
    ├── MissingExtraError (ImportError)   an optional package is not installed
    └── StudyError                  a study cannot be run or read
        └── StudyBusyError          another process is running the study
"""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import Any


class EtaeffError(Exception):
    """Anything that etaeff refuses to do. `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(EtaeffError, ValueError):
    """An argument is outside what the function or command accepts."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not among the known ones; the message lists these.

    Examples:
        >>> raise UnknownNameError("optimizer", "adm", ["adam", "sgd"])
        Traceback (most recent call last):
        etaeff.errors.UnknownNameError: Unknown optimizer 'adm'. Known: adam, sgd. \
Did you mean 'adam'?
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        """`name` was asked for; `kind` says what it should be the name of."""
        # Kept as arguments: a worker's exception is pickled, and comes back as `cls(*args)`.
        super().__init__(kind, name, tuple(known))

    def __str__(self) -> str:
        """The sentence."""
        kind, name, known = self.args
        close = get_close_matches(str(name), known, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        return f"Unknown {kind} '{name}'. Known: {', '.join(known)}.{hint}"


class NoLawError(UsageError):
    """An optimiser, or an option of one, of which no law is derived; the message says why."""


class StudyMismatchError(UsageError):
    """The output folder holds the results of another specification."""


class DataError(EtaeffError, ValueError):
    """A data file is missing, truncated, or not of the format that its name promises."""


class NumericalError(EtaeffError, ArithmeticError):
    """A number became NaN or infinite where nothing sound can be done with it."""


class MissingExtraError(EtaeffError, ImportError):
    """A package of an optional extra is not installed."""


class StudyError(EtaeffError):
    """A study cannot be run or read."""


class StudyBusyError(StudyError):
    """Another process is running the study in this folder."""


def import_extra(module: str, extra: str) -> Any:
    """Import `module`, which the optional extra `extra` installs.

    Args:
        module: Dotted name of the module.
        extra: The extra of etaeff that brings it.

    Returns:
        The module.

    Raises:
        MissingExtraError: If it is not installed; the message is the `pip install` to type.

    Examples:
        >>> import_extra("json", "study").dumps([1])
        '[1]'
        >>> import_extra("no_such_module", "study")
        Traceback (most recent call last):
        etaeff.errors.MissingExtraError: This needs 'no_such_module', which is not installed. \
Type: pip install 'etaeff[study]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        # A broken package that fails on an import of its own must not look like a missing one.
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise
        raise MissingExtraError(
            f"This needs '{error.name}', which is not installed. "
            f"Type: pip install 'etaeff[{extra}]'"
        ) from error


def as_clause(error: BaseException) -> str:
    r"""An error of somebody else's code as a part of a sentence: its type and its first line.

    Examples:
        >>> as_clause(ValueError("wrong shape.\nA long explanation."))
        'ValueError: wrong shape'
        >>> as_clause(KeyError())
        'KeyError, without a text'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return f"{type(error).__name__}, without a text"
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return f"{type(error).__name__}: {text.rstrip('.:')}"
