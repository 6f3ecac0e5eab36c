"""Calls and errors in words."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from torch import Tensor


def described(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """The arguments of a call, tensors by their shapes."""
    parts = [_shown(value) for value in args]
    parts += [f"{name}={_shown(value)}" for name, value in kwargs.items()]
    return f"({', '.join(parts)})"


def in_a_line(error: BaseException) -> str:
    r"""An error's type and its cause: the first sentence that is no advice of its library.

    Examples:
        >>> in_a_line(RuntimeError("No rule for x. See https://a.b. Please file an issue."))
        'RuntimeError: No rule for x.'
        >>> in_a_line(TypeError("\n"))
        'TypeError: no text'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    sentences = [part for line in lines for part in _SENTENCE_END.split(line)]
    told = [sentence for sentence in sentences if not _ADVICE.search(sentence)]
    cause = _SYMBOLS.sub("", (told or sentences or ["no text"])[0])
    cause = cause if len(cause) <= _LONGEST else f"{cause[: _LONGEST - 1].rstrip()}…"
    return f"{type(error).__name__}: {cause}"


_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_ADVICE: Final = re.compile(r"please|file an issue|https?://|for more information", re.IGNORECASE)
_SYMBOLS: Final = re.compile(r"\s*\((?:unhinted|Size-like symbols): [^)]*\)")  # of torch.export
_LONGEST: Final = 240  # characters of a cause


def _shown(value: Any) -> str:
    """A value in the words of `described`."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {_shown(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_shown, value))})"
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    return type(value).__name__ if not isinstance(value, int | float | str) else repr(value)
