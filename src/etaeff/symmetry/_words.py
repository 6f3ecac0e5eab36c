"""Calls and errors in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor


def described(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """The arguments of a call, tensors by their shapes."""
    parts = [_shown(value) for value in args]
    parts += [f"{name}={_shown(value)}" for name, value in kwargs.items()]
    return f"({', '.join(parts)})"


def in_a_line(error: BaseException) -> str:
    """An error's type, and the first line of its text that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no text'}"


def _shown(value: Any) -> str:
    """A value in the words of `described`."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {_shown(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_shown, value))})"
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    return type(value).__name__ if not isinstance(value, int | float | str) else repr(value)
