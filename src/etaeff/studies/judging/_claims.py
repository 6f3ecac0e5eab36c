"""What a claim is: a statement, the trials it needs, and statistics that decide it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from etaeff.records import ClaimRecord, Finding, Trial
from etaeff.studies.judging._results import Results
from etaeff.studies.judging._statistics import Estimate


class Measured(NamedTuple):
    """What a statistic came to, and the range that the claim predicts for it."""

    estimate: Estimate
    expected: tuple[float, float]
    note: str = ""


Measure = Callable[[Results], Measured]


@dataclass(frozen=True)
class Part:
    """One optimiser, normalisation or arm of a claim.

    Attributes:
        name: What this part is about.
        statistic: What is computed, in words.
        trials: The trials it is computed from.
        measure: Computes it from the results of these trials.
        unit: Unit of the numbers.
    """

    name: str
    statistic: str
    trials: tuple[Trial, ...]
    measure: Measure
    unit: str = ""

    def judge(self, claim: int, results: Results) -> Finding:
        """The finding of claim number `claim` about this part."""
        (value, low, high), expected, note = self.measure(
            results.of(trial.id for trial in self.trials)
        )
        return Finding(
            claim=claim,
            part=self.name,
            statistic=self.statistic,
            unit=self.unit,
            estimate=value,
            low=low,
            high=high,
            expected_low=expected[0],
            expected_high=expected[1],
            seeds=len({trial.seed for trial in self.trials}),
            trials=len(self.trials),
            note=note,
        )


@dataclass(frozen=True)
class Claim:
    """A claim of a paper.

    Attributes:
        number: Its number in the study.
        title: A few words.
        statement: What is claimed.
        source: Where it is claimed.
        parts: What must be true for it to hold.
    """

    number: int
    title: str
    statement: str
    source: str
    parts: tuple[Part, ...]

    def judge(self, results: Results) -> ClaimRecord:
        """The findings about all parts."""
        return ClaimRecord(
            number=self.number,
            title=self.title,
            statement=self.statement,
            source=self.source,
            findings=tuple(part.judge(self.number, results) for part in self.parts),
        )


def needed_trials(claims: Iterable[Claim]) -> list[Trial]:
    """The trials that the claims need, each once, in the order of first need."""
    trials = (trial for claim in claims for part in claim.parts for trial in part.trials)
    return list({trial.id: trial for trial in trials}.values())
