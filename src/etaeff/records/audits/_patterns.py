"""Names and texts that differ in their numbers alone, as one."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_NUMBER: Final = re.compile(r"\d+")


@dataclass(frozen=True)
class Pattern:
    """Names that differ in their numbers alone: a glob, and how many it stands for."""

    glob: str
    count: int

    def __str__(self) -> str:
        """Such as `layers.*.up.weight (12)`."""
        return self.glob if self.count == 1 else f"{self.glob} ({self.count})"

    @property
    def whole(self) -> str:
        """The same with a space at which no line breaks."""
        return str(self).replace(" ", "\N{NO-BREAK SPACE}")


def merged(texts: Sequence[str]) -> str:
    """Texts that differ in their numbers alone as one.

    Numbers inside backticks, and those of a text without spaces, belong to names.

    Examples:
        >>> merged(["h.0.norm1.bias", "h.1.norm1.bias"])
        'h.*.norm1.bias'
        >>> merged(["`h.0` and 5 more", "`h.1` and 11 more"])
        '`h.*` and 5 to 11 more'
    """
    first = texts[0]
    numbers_of = [_NUMBER.findall(text) for text in texts]
    pieces, end = [], 0
    for i, match in enumerate(_NUMBER.finditer(first)):
        pieces.append(first[end : match.start()])
        seen = sorted({numbers[i] for numbers in numbers_of}, key=int)
        named = " " not in first or first[: match.start()].count("`") % 2
        pieces.append(seen[0] if len(seen) == 1 else "*" if named else f"{seen[0]} to {seen[-1]}")
        end = match.end()
    return "".join((*pieces, first[end:]))


def percent(share: float) -> str:
    """A share as a percentage; never 0 or 100 % for what is only near to it.

    Examples:
        >>> percent(0.431), percent(1e-5), percent(0.99999), percent(1.0)
        ('43.1 %', '< 0.1 %', '> 99.9 %', '100 %')
    """
    if share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    if share < 0.001:
        return "< 0.1 %"
    return "> 99.9 %" if share > 0.999 else f"{100 * share:.1f} %"


def patterns(names: Iterable[str]) -> tuple[Pattern, ...]:
    """Names by what they have in common, in the order of the first of each.

    Examples:
        >>> [str(p) for p in patterns(["h.0.up", "head", "h.1.up"])]
        ['h.*.up (2)', 'head']
    """
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(skeleton(name), []).append(name)
    return tuple(Pattern(merged(members), len(members)) for members in alike.values())


def skeleton(text: str) -> str:
    """A text with a mark in place of each number."""
    return _NUMBER.sub("#", text)
