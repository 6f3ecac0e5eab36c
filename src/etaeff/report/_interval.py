"""A finding in one line: its interval against the range that the claim predicts."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from etaeff.records import Finding

WIDTH: Final = 168
HEIGHT: Final = 18
# Room for the arrow of an interval that goes on.
_MARGIN: Final = 7


@dataclass(frozen=True)
class Scale:
    """The axis that the findings of one statistic share, so that they can be compared.

    Attributes:
        low: Its left end.
        high: Its right end; above `low`.
    """

    low: float
    high: float

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> "Scale":
        """An axis with all estimates and ends of expected ranges, and most of the intervals.

        An interval may be so wide that nothing else could be seen beside it: the axis goes
        past estimates and ranges by no more than their own extent.
        """
        core = _finite(v for f in findings for v in (f.estimate, f.expected_low, f.expected_high))
        ends = _finite(v for f in findings for v in (f.low, f.high))
        if not core:
            return cls(0.0, 1.0)
        low, high = min(core), max(core)
        reach = (high - low) or abs(high) or 1.0
        left = max(min([low, *ends]), low - reach)
        right = min(max([high, *ends]), high + reach)
        if left == right:
            return cls(left - reach, right + reach)
        return cls(left, right)

    def place(self, value: float) -> float:
        """Where `value` stands, pixels from the left; infinite values at the picture's end."""
        if value == -math.inf:
            return 0.0
        if value == math.inf:
            return float(WIDTH)
        inner = WIDTH - 2 * _MARGIN
        return _MARGIN + inner * (value - self.low) / (self.high - self.low)


def picture(finding: Finding, scale: Scale) -> str:
    """A small SVG: the expected range as a band, the interval as a bar, the estimate as a dot.

    A bar that leaves the picture ends in an arrow. The numbers stand beside the picture in the
    report, so that it is hidden from screen readers.
    """
    middle = HEIGHT / 2
    parts = [f'<line class="axis" x1="0" x2="{WIDTH}" y1="{middle:g}" y2="{middle:g}"/>']
    left, right = scale.place(finding.expected_low), scale.place(finding.expected_high)
    if math.isfinite(finding.expected_low) or math.isfinite(finding.expected_high):
        # A range that is a point still has to be seen.
        width = max(right - left, 1.0)
        parts.insert(0, f'<rect class="range" x="{left:.1f}" y="2" width="{width:.1f}" '
                        f'height="{HEIGHT - 4}"/>')  # fmt: skip
    if not (math.isnan(finding.low) or math.isnan(finding.high)):
        parts += _bar(scale.place(finding.low), scale.place(finding.high), middle)
    if not math.isnan(finding.estimate):
        at = min(max(scale.place(finding.estimate), 0.0), float(WIDTH))
        parts.append(f'<circle class="dot" cx="{at:.1f}" cy="{middle:g}" r="3.2"/>')
    return (
        f'<svg class="interval" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'aria-hidden="true" focusable="false">{"".join(parts)}</svg>'
    )


def _bar(left: float, right: float, middle: float) -> list[str]:
    """The interval, from and to these pixels, cut where it leaves the picture."""
    shown_left, shown_right = max(left, 1.0), min(right, WIDTH - 1.0)
    if shown_left > shown_right:  # all of it lies outside
        shown_left = shown_right = min(max(left, 1.0), WIDTH - 1.0)
    parts = [f'<line class="bar" x1="{shown_left:.1f}" x2="{shown_right:.1f}" y1="{middle:g}" '
             f'y2="{middle:g}"/>']  # fmt: skip
    if left < 0:
        parts.append(f'<path class="arrow" d="M0 {middle:g}l6 -4v8z"/>')
    if right > WIDTH:
        parts.append(f'<path class="arrow" d="M{WIDTH} {middle:g}l-6 -4v8z"/>')
    return parts


def _finite(values: Iterable[float]) -> list[float]:
    """The values that are finite."""
    return [value for value in values if math.isfinite(value)]
