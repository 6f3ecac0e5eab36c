"""What fields of a specification hold: plain values, so that equal ones are written equally."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from operator import index
from typing import Any

from etaeff.errors import UnknownNameError, UsageError


def make_plain(record: Any) -> None:
    """Give every field of a frozen record a plain value of the type that it is declared with.

    JSON tells 1 from 1.0 and 0.0 from −0.0; NumPy's scalars are welcome too.

    Raises:
        UsageError: If a value is not of that type; the message names the field.
    """
    for declared in fields(record):
        value = _plain(declared.name, getattr(record, declared.name), declared.type)
        object.__setattr__(record, declared.name, value)


def check_choices(record: Any, choices: Mapping[str, Collection[str]]) -> None:
    """Refuse a field whose value is not among the known ones."""
    for field, known in choices.items():
        if getattr(record, field) not in known:
            raise UnknownNameError(field, getattr(record, field), known)


def check_names(record: Any, *names: str) -> None:
    """Refuse a field that is no text."""
    for field in names:
        if not isinstance(getattr(record, field), str):
            raise UsageError(f"`{field}` must be a name, got {getattr(record, field)!r}.")


def given_values(record: Any) -> dict[str, Any]:
    """The fields that do not stand at their default, by name."""
    return {
        declared.name: getattr(record, declared.name)
        for declared in fields(record)
        if getattr(record, declared.name) != declared.default
    }


def check_known(kind: str, values: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse a name that no field of a record has, as a newer version may write one."""
    unknown = set(values) - set(known)
    if unknown:
        raise UnknownNameError(f"field of {kind}", min(unknown), known)


def _plain(field: str, value: Any, declared: Any) -> Any:
    """`value` as a plain value of the declared type; of any other type it is left as it is."""
    try:
        if declared is bool:
            return bool(value)
        if declared is int:
            return int(index(value))
        if declared is float or (declared == float | None and value is not None):
            return float(value) + 0.0
    except (TypeError, ValueError):
        kind = "an integer" if declared is int else "a number"
        raise UsageError(f"`{field}` must be {kind}, got {value!r}.") from None
    return str(value) if isinstance(value, str) else value
