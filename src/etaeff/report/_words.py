"""Numbers and counts as a reader wants to see them."""

import math
from collections.abc import Iterable

from etaeff.records import Finding

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_OPTIMIZERS = {
    "sgd": "SGD",
    "heavy-ball": "heavy ball",
    "nesterov": "Nesterov",
    "rmsprop": "RMSProp",
    "adam": "Adam",
    "adamw": "AdamW",
}


def optimizer_name(name: str) -> str:
    """An optimiser's name as papers write it."""
    return _OPTIMIZERS.get(name, name)


def number(value: float | None, digits: int = 3) -> str:
    """`value` to so many significant digits, without a computer's notation.

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


def interval(finding: Finding) -> str:
    """The 95 % interval, such as `0.1 to 0.3`."""
    if math.isnan(finding.low) or math.isnan(finding.high):
        return "no interval"
    return f"{number(finding.low)} to {number(finding.high)}"


def expected(finding: Finding) -> str:
    """The range that the claim predicts, such as `0.2 to 0.3` or `at least 1`."""
    low, high = finding.expected_low, finding.expected_high
    if math.isinf(low) and math.isinf(high):
        return "not known"
    if math.isnan(finding.low) and (math.isinf(low) or math.isinf(high)):
        # Where seeds are too few for an interval, they can be too few for a limit as well,
        # and `claims.json` does not tell such a limit from an infinite one.
        end = f"from {number(low)}" if math.isinf(high) else f"up to {number(high)}"
        return f"{end}; the other end is open or not known"
    if math.isinf(high):
        return f"at least {number(low)}"
    if math.isinf(low):
        return f"at most {number(high)}"
    return f"{number(low)} to {number(high)}"


def counted(count: int, noun: str) -> str:
    """A count and its noun.

    Examples:
        >>> counted(1, "trial"), counted(906, "trial"), counted(0, "seed")
        ('1 trial', '906 trials', 'no seeds')
    """
    if count == 0:
        return f"no {noun}s"
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(words: Iterable[str]) -> str:
    """Words as a sentence has them.

    Examples:
        >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
        ('a', 'a and b', 'a, b and c')
    """
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
