"""Lists, counts, numbers and paragraphs as people read them: one way for every page and message."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

WIDTH: Final = 88  # characters of a line of text

_SUPERSCRIPTS: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def listed(words: Iterable[str]) -> str:
    """Words as a sentence has them.

    Examples:
        >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
        ('a', 'a and b', 'a, b and c')
    """
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def named(names: Iterable[str], most: int = 4) -> str:
    """Names of a user's things in a sentence, the first few of them.

    Examples:
        >>> named(["a", "b"]), named("abcdef")
        ('`a`, `b`', '`a`, `b`, `c`, `d` and 2 more')
    """
    given = list(names)
    shown = ", ".join(f"`{name}`" for name in given[:most])
    return shown + (f" and {len(given) - most} more" if len(given) > most else "")


def ranges(numbers: Sequence[int]) -> str:
    """Whole numbers in order, told by their runs.

    Examples:
        >>> ranges([0, 1, 2, 3, 9])
        '0 to 3, 9'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def counted(count: int, noun: str) -> str:
    """A count and its noun.

    Examples:
        >>> counted(1, "trial"), counted(906, "trial"), counted(0, "seed")
        ('1 trial', '906 trials', 'no seeds')
    """
    if count == 0:
        return f"no {noun}s"
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def number(value: float | None, digits: int = 3) -> str:
    """`value` to so many significant digits as a page prints it, without a computer's notation.

    Examples:
        >>> number(-0.12345), number(7.36e-16), number(0.0), number(12345.6), number(None)
        ('−0.123', '7.36 × 10⁻¹⁶', '0', '12346', 'not known')
    """
    if value is None or math.isnan(value):
        return "not known"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:  # or −0
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        text = f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"
        return text.replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".").replace("-", "−")
    return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def typed(value: float | None, digits: int = 4) -> str:
    """`value` to so many significant digits as it would be typed; whole from a thousand on.

    Examples:
        >>> typed(5e-05), typed(0.0072548), typed(1468.9), typed(None)
        ('5e-05', '0.007255', '1,469', 'not known')
    """
    if value is None:
        return "not known"
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.{digits}g}"


def paragraph(text: str, *, bullet: str = "") -> str:
    """Sentences in lines of at most `WIDTH` characters, behind a bullet if there is one.

    Examples:
        >>> paragraph("One sentence.", bullet="- ")
        '- One sentence.'
    """
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )
