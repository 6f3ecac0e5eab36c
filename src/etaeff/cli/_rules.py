"""What `etaeff audit --fail-on` refuses, for continuous integration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from etaeff._words import counted
from etaeff.errors import UnknownNameError, UsageError
from etaeff.records.audits import DecayKind, notes_of, patterns

DECAYED: Final = "decayed-invariant"
INVARIANT: Final = "scale-invariant"
NOT_KNOWN: Final = "not-known"
UNPROVED: Final = "unproved"
RULES: Final = (DECAYED, INVARIANT, NOT_KNOWN, UNPROVED)
_UNCERTAIN: Final = (DecayKind.NOT_KNOWN, DecayKind.NOT_REACHED)
_SHOWN: Final = 8


@dataclass(frozen=True)
class Failure:
    """A rule that the model breaks.

    Attributes:
        rule: One of `RULES`.
        sentence: In what way.
        names: The parameters.
    """

    rule: str
    sentence: str
    names: tuple[str, ...]


def check_rules(rules: Sequence[str], decayed: Sequence[str]) -> None:
    """Refuse rules that are not known, and globs without a rule that takes them."""
    for rule in rules:
        if rule not in RULES:
            raise UnknownNameError("rule", rule, RULES)
    if decayed and DECAYED not in rules:
        raise UsageError(f"`--decayed` goes with `--fail-on {DECAYED}` only.")
    if DECAYED in rules and not decayed:
        raise UsageError(
            f"`--fail-on {DECAYED}` needs `--decayed`, a glob for the names of the parameters that "
            "the optimiser decays; '*' for all."
        )


def failures(
    values: Mapping[str, Any], rules: Sequence[str], decayed: Sequence[str]
) -> list[Failure]:
    """The rules that an audit breaks, each once.

    Args:
        values: `Audit.to_dict()`.
        rules: Of `RULES`.
        decayed: Globs for the names of decayed parameters.

    Raises:
        UsageError: If a glob fits no parameter, since a check of nothing would always pass.
    """
    names = tuple(values["parameters"])
    for glob in decayed:
        if not any(fnmatchcase(name, glob) for name in names):
            raise UsageError(f"`--decayed {glob}` fits no parameter of {values['model']}.")
    group = DecayKind.SETS_LR.group
    invariant = tuple(name for name in names if values["parameters"][name]["group"] == group)
    fitting = tuple(n for n in invariant if any(fnmatchcase(n, glob) for glob in decayed))
    broken = []
    for rule in dict.fromkeys(rules):
        if rule == UNPROVED:
            broken += _unproved(values)
        elif rule == NOT_KNOWN:
            broken += _not_known(values)
        elif rule == DECAYED:
            broken += _invariant(rule, fitting, " and decayed")
        else:
            broken += _invariant(rule, invariant)
    return broken


def _invariant(rule: str, names: tuple[str, ...], also: str = "") -> list[Failure]:
    """The failure of a rule that wants none of these parameters, if there are any."""
    if not names:
        return []
    number = "1 parameter is" if len(names) == 1 else f"{len(names)} parameters are"
    return [Failure(rule, f"{number} scale-invariant{also}: {_listed(names)}.", names)]


def _not_known(values: Mapping[str, Any]) -> list[Failure]:
    """The failure of parameters without a verdict, if there are any."""
    effects = {name: row["effect"] for name, row in values["parameters"].items()}
    names = tuple(name for name, effect in effects.items() if effect in _UNCERTAIN)
    if not names:
        return []
    number = counted(len(names), "parameter")
    sentence = f"what decay does to {number} is not known: {_listed(names)}."
    return [Failure(NOT_KNOWN, sentence, names)]


def _unproved(values: Mapping[str, Any]) -> list[Failure]:
    """The failure of what is not proved, if there is anything."""
    unproved = [s["exponents"] for s in values["symmetries"] if not s["proved"]]
    sentences = [str(note) for note in notes_of(values) if note.kind.is_doubt]
    names = tuple(dict.fromkeys(name for exponents in unproved for name in exponents))
    if unproved:
        number = "1 symmetry is" if len(unproved) == 1 else f"{len(unproved)} symmetries are"
        sentences.insert(0, f"{number} measured and not proved: {_listed(names)}.")
    return [Failure(UNPROVED, " ".join(sentences), names)] if sentences else []


def _listed(names: Sequence[str]) -> str:
    """Names by what they have in common, the first few of them."""
    alike = patterns(names)
    left = len(alike) - _SHOWN
    more = f" and {counted(left, 'more pattern')}" if left > 0 else ""
    return ", ".join(map(str, alike[:_SHOWN])) + more
