"""Memory that is free, and that the allocator of C keeps between what is in use."""

import ctypes
import functools
from collections.abc import Callable


def give_back() -> None:
    """Give it back to the system, which glibc does only at the end of its heap.

    Of a deep network that is a third of what its forward pass leaves behind. Other libraries give
    back what they can by themselves.
    """
    _trim()(0)


@functools.cache
def _trim() -> Callable[[int], object]:
    """The function of glibc, or one that does nothing."""
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):
        return lambda _: None
    return trim
