"""Pairs of numbers as they are typed: betas, and the shape of a matrix."""

from typing import Any

from etaeff.errors import UsageError

_FORMS = {
    "betas": (float, "two numbers", "0.9,0.95"),
    "shape": (int, "two whole numbers", "768,3072"),
}


def pair(name: str, text: str) -> tuple[Any, Any]:
    """The two numbers of a text with a comma between them.

    Args:
        name: Of the option: `"betas"` or `"shape"`.
        text: What was typed.

    Raises:
        UsageError: If the text is no such pair.

    Examples:
        >>> pair("betas", "0.9,0.95"), pair("shape", "768,3072")
        ((0.9, 0.95), (768, 3072))
    """
    number, what, example = _FORMS[name]
    try:
        first, second = (number(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"`--{name}` must be {what} with a comma between them, such as {example}; got {text!r}."
        ) from None
    return first, second
