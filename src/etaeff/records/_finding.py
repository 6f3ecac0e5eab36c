"""What a study found out about one part of one claim."""

import math
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["holds", "does not hold", "undecided"]


def verdict(interval: tuple[float, float], expected: tuple[float, float]) -> Verdict:
    """What a confidence interval says of a claim that names the range `expected`.

    *Holds* if the whole interval lies in the range, *does not hold* if none of it does,
    *undecided* if it straddles an end or could not be computed (NaN).

    Args:
        interval: Lower and upper end of the confidence interval.
        expected: Lower and upper end of the range that the claim predicts; both may be infinite.

    Examples:
        >>> verdict((0.24, 0.26), (0.2, 0.3))
        'holds'
        >>> verdict((0.12, 0.15), (0.2, 0.3))
        'does not hold'
        >>> verdict((0.15, 0.25), (0.2, 0.3))
        'undecided'
    """
    low, high = interval
    if math.isnan(low) or math.isnan(high):
        return "undecided"
    if expected[0] <= low and high <= expected[1]:
        return "holds"
    if high < expected[0] or low > expected[1]:
        return "does not hold"
    return "undecided"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The statistic of one part of a claim, its confidence interval and the verdict.

    Attributes:
        claim: Number of the claim.
        part: Which optimiser, normalisation or arm this is about.
        statistic: What `estimate` is, in words.
        unit: Unit of the numbers, or an empty string.
        estimate: The statistic; NaN where too few trials qualified.
        low: Lower end of its 95 % confidence interval over seeds.
        high: Upper end.
        expected_low: Lower end of the range that the claim predicts.
        expected_high: Upper end.
        seeds: Number of seeds behind the interval.
        trials: Number of trials behind the statistic.
        note: What a reader must know beside it, or an empty string.
    """

    claim: int
    part: str
    statistic: str
    unit: str
    estimate: float
    low: float
    high: float
    expected_low: float
    expected_high: float
    seeds: int
    trials: int
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """What the interval says of the expected range."""
        return verdict((self.low, self.high), (self.expected_low, self.expected_high))


@dataclass(frozen=True, kw_only=True)
class ClaimRecord:
    """A claim and what was found about each of its parts.

    Attributes:
        number: Number of the claim.
        title: A few words.
        statement: What is claimed, in one or two sentences.
        source: Section of the paper, or who else says so.
        findings: One for each part.
    """

    number: int
    title: str
    statement: str
    source: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """*Holds* if every part holds, *does not hold* if one does not, else *undecided*."""
        verdicts = {finding.verdict for finding in self.findings}
        if verdicts == {"holds"}:
            return "holds"
        return "does not hold" if "does not hold" in verdicts else "undecided"
