"""An audit as one HTML file."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from etaeff.errors import DataError, import_extra
from etaeff.records import write_atomically
from etaeff.records.audits import KINDS, MODES, DecayKind, Digest, Effect, digest, percent

# What the words of an audit mean; one colour each.
EFFECTS: Final = {
    DecayKind.SETS_LR: (
        "rate",
        "The outputs do not change with the scale of these, each alone or together with others. A "
        "penalty on them regularises nothing: it sets how far they turn in a step.",
    ),
    DecayKind.BALANCES: (
        "balance",
        "What one factor of a product loses, another can make up for. Decay on both makes them "
        "even, and acts on the product.",
    ),
    DecayKind.REGULARISES: (
        "act",
        "The outputs change with the scale of these, and nothing makes up for it: decay does what "
        "it is known for.",
    ),
    DecayKind.INERT: (
        "nothing",
        "These have no effect on the outputs. Without a gradient, decay takes them to zero, and "
        "nobody sees it.",
    ),
    DecayKind.FROZEN: ("frozen", "These do not train, so nothing scales them."),
    DecayKind.NOT_REACHED: (
        "doubt",
        "No input reached these, so nothing can be said of them. Audit with inputs that do.",
    ),
    DecayKind.NOT_KNOWN: (
        "doubt",
        "No scaling of these was found that leaves the outputs as they are, and it was not shown "
        "that there is none.",
    ),
}


def write_audit(path: Path, values: Mapping[str, Any]) -> Path:
    """Write an audit as one HTML file, which opens without a network and loads nothing.

    Args:
        path: The file; its folder must exist.
        values: What `Audit.to_dict` returned, or the JSON of it.

    Returns:
        The path.

    Raises:
        MissingExtraError: If jinja2, of the extra `report`, is not installed.
        DataError: If `values` are not an audit's.

    Examples:
        >>> write_audit(Path("audit.html"), {"model": "GPT"})
        Traceback (most recent call last):
        etaeff.errors.DataError: These are not the values of an audit: 'parameters' is missing.
    """
    jinja2 = import_extra("jinja2", "report")
    try:
        summary = digest(values)
    except KeyError as error:
        raise DataError(f"These are not the values of an audit: {error} is missing.") from None
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    markup = import_extra("markupsafe", "report")
    environment.filters |= {
        "code": lambda text: markup.Markup(coded(str(markup.escape(text)))),
        "name": lambda text: markup.Markup(breakable(str(markup.escape(text)))),
        "percent": percent,
        "size": lambda number: f"{number:,}",
    }
    text = environment.from_string(_file("_audit.html.j2")).render(
        audit=summary,
        values=values,
        effects=EFFECTS,
        kinds=KINDS,
        modes=MODES,
        bars=bars(summary),
        style=markup.Markup(_file("_page.css") + _file("_audit.css")),
    )
    write_atomically(Path(path), text)
    return Path(path)


def coded(text: str) -> str:
    """Escaped text with what stands in backticks as code.

    Examples:
        >>> coded("it feeds `h.norm`.")
        'it feeds <code>h.<wbr>norm</code>.'
    """
    return re.sub(r"`([^`]*)`", lambda match: f"<code>{breakable(match[1])}</code>", text)


def breakable(name: str) -> str:
    """An escaped name whose line may break after a dot."""
    return name.replace(".", ".<wbr>")


def bars(summary: Digest) -> list[tuple[Effect, float, float]]:
    """Start and width of each effect's part of a bar that is 100 wide."""
    start, placed = 0.0, []
    for effect in summary.effects:
        width = 100 * effect.share
        placed.append((effect, round(start, 3), round(width, 3)))
        start += width
    return placed


def _file(name: str) -> str:
    return files("etaeff.report").joinpath(name).read_text(encoding="utf-8")
