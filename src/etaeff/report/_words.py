"""What a finding says, and what optimisers are called, as a reader wants to see it."""

import math

from etaeff._words import number
from etaeff.errors import UsageError
from etaeff.records import Finding, setting_of
from etaeff.theory.settings import title


def optimizer_name(name: str) -> str:
    """An optimiser's name as papers write it, from that in a study's tables.

    Examples:
        >>> optimizer_name("heavy-ball"), optimizer_name("sgd momentum=0.5")
        ('heavy ball', 'heavy ball (momentum=0.5)')
    """
    try:
        optimizer = title(setting_of(name, lr=1.0))
    except UsageError:  # a name of another version, or none at all
        return name
    arguments = name.split()[1:]
    return f"{optimizer} ({', '.join(arguments)})" if arguments else optimizer


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
