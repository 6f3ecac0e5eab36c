"""The report as one HTML file."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from etaeff._words import counted, listed, number
from etaeff.records import Verdict
from etaeff.report._claims import VERDICTS, JudgedClaim, JudgedFinding
from etaeff.report._figures import Drawing
from etaeff.report._frames import Frames
from etaeff.report._interval import Scale, picture
from etaeff.report._summary import how_it_was_run, study_title, what_was_tested
from etaeff.report._words import expected, interval

MARKS: Final = {"holds": "✓", "does not hold": "✗", "undecided": "?"}


@dataclass(frozen=True)
class Group:
    """The parts of a claim that share a statistic, on one scale."""

    statistic: str
    unit: str
    scale: Scale
    parts: tuple[JudgedFinding, ...]


@dataclass(frozen=True)
class Shown:
    """A figure of the page, and the claims that it bears on."""

    number: int
    drawing: Drawing
    source: str
    claims: tuple[JudgedClaim, ...]


def page(frames: Frames, drawings: Sequence[Drawing]) -> str:
    """The whole file."""
    return (
        _environment()
        .from_string(_file("_template.html.j2"))
        .render(
            title=study_title(frames),
            tested=what_was_tested(frames),
            note=frames.specification.get("data note") or "",
            claims=frames.claims,
            verdict=overall(frames.claims),
            figures=numbered(drawings, frames.claims),
            left_out=[drawing.plot for drawing in drawings if drawing.svg is None],
            run=how_it_was_run(frames),
            style=Markup(_file("_page.css")),
        )
    )


def _file(name: str) -> str:
    """The text of a file that lies beside this one."""
    return files("etaeff.report").joinpath(name).read_text(encoding="utf-8")


def _environment() -> Environment:
    """Jinja with the filters and functions of the page's template."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {
        "number": number, "expected": expected, "interval": interval, "maths": maths,
    }  # fmt: skip
    environment.globals |= {
        "picture": lambda finding, scale: Markup(picture(finding, scale)),
        "slug": lambda verdict: verdict.replace(" ", "-"),
        "counts": counts,
        "groups": groups,
        "marks": MARKS,
    }
    return environment


def maths(text: str) -> Markup:
    """Escaped text with its indices and exponents set as such.

    Examples:
        >>> maths("η_eff < λ^½")
        Markup('η<sub>eff</sub> &lt; λ<sup>½</sup>')
    """
    escaped = str(escape(text)).replace("η_eff", "η<sub>eff</sub>")
    return Markup(re.sub(r"\^([½⅓⅔¼¾0-9+−-]+)", r"<sup>\1</sup>", escaped))


def counts(claim: JudgedClaim) -> str:
    """How many parts hold, such as `12 of 14 parts hold, 2 are undecided`."""
    total = len(claim.parts)
    parts = claim.counts
    text = f"{parts['holds']} of {counted(total, 'part')} {'holds' if total == 1 else 'hold'}"
    if parts["does not hold"]:
        text += f", {parts['does not hold']} {_plural(parts['does not hold'], 'does', 'do')} not"
    if parts["undecided"]:
        text += f", {parts['undecided']} {_plural(parts['undecided'], 'is', 'are')} undecided"
    return text


def overall(claims: Sequence[JudgedClaim]) -> str:
    """How many claims and parts hold."""
    judged = {verdict: sum(claim.verdict == verdict for claim in claims) for verdict in VERDICTS}
    parts = [part for claim in claims for part in claim.parts]
    holding = sum(part.verdict == "holds" for part in parts)
    words: tuple[tuple[Verdict, str, str], ...] = (
        ("holds", "holds in every part", "hold in every part"),
        ("does not hold", "fails in one part or more", "fail in one part or more"),
        ("undecided", "is undecided", "are undecided"),
    )
    texts = [
        f"{judged[verdict]} {_plural(judged[verdict], one, many)}"
        for verdict, one, many in words
        if judged[verdict]
    ]
    if not texts:
        return "The study tested no claims."
    return (
        f"Of {counted(len(claims), 'claim')}, {listed(texts)}. Of their "
        f"{counted(len(parts), 'part')}, {holding} {_plural(holding, 'holds', 'hold')}."
    )


def groups(claim: JudgedClaim, *, holding: bool) -> list[Group]:
    """The parts of a claim that hold, or the others, by statistic.

    The parts of a statistic have one scale, whether they hold or not.
    """
    by_statistic: dict[tuple[str, str], list[JudgedFinding]] = {}
    for part in claim.parts:
        by_statistic.setdefault((part.finding.statistic, part.finding.unit), []).append(part)
    return [
        Group(statistic, unit, Scale.of([part.finding for part in parts]), chosen)
        for (statistic, unit), parts in by_statistic.items()
        if (chosen := tuple(part for part in parts if (part.verdict == "holds") == holding))
    ]


def numbered(drawings: Sequence[Drawing], claims: Sequence[JudgedClaim]) -> list[Shown]:
    """The figures that were drawn, with their numbers on the page."""
    drawn = [(drawing, drawing.svg) for drawing in drawings if drawing.svg is not None]
    return [
        Shown(i, drawing, data_address(svg),
               tuple(claim for claim in claims if claim.number in drawing.plot.claims))
        for i, (drawing, svg) in enumerate(drawn, 1)
    ]  # fmt: skip


def data_address(svg: bytes) -> str:
    """An SVG as the address of an image, so that nothing of it meets the page's own names."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def _plural(count: int, one: str, many: str) -> str:
    """`one` for a count of 1, else `many`."""
    return one if count == 1 else many
