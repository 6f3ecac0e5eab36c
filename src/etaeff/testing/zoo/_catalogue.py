"""Which families there are, and their cases by name."""

from typing import Final

from etaeff.errors import UnknownNameError
from etaeff.testing.zoo import (
    _attention,
    _channel_norms,
    _choices,
    _gpt,
    _hugging_face,
    _inert,
    _joined,
    _layer_norms,
    _normalised_weights,
    _plain,
    _recurrent,
    _rescaling,
    _residual,
    _transformers,
)
from etaeff.testing.zoo._case import Case

_CASES: Final[dict[str, tuple[Case, ...]]] = {
    "plain": _plain.CASES,
    "recurrent": _recurrent.CASES,
    "rescaling": _rescaling.CASES,
    "inert": _inert.CASES,
    "choices": _choices.CASES,
    "channel norms": _channel_norms.CASES,
    "layer norms": _layer_norms.CASES,
    "normalised weights": _normalised_weights.CASES,
    "attention": _attention.CASES,
    "gpt": _gpt.CASES,
    "transformers": _transformers.CASES,
    "residual": _residual.CASES,
    "joined": _joined.CASES,
    "hugging face": _hugging_face.CASES,
}
FAMILIES: Final = tuple(_CASES)
_NEEDS_TRANSFORMERS: Final = "hugging face"


def cases(*families: str) -> dict[str, Case]:
    """The cases of some families, by name.

    Args:
        families: Some of `FAMILIES`; none means all that torch alone can build, which are all but
            `"hugging face"`: that needs the extra `transformers`.

    Raises:
        UnknownNameError: If there is no such family.

    Examples:
        >>> list(cases("inert", "recurrent"))
        ['unused parameters', 'prelu after relu', 'lstm', 'layer norm, gru', 'layer norm, relu rnn']
    """
    for family in families:
        if family not in _CASES:
            raise UnknownNameError("family", family, FAMILIES)
    chosen = families or [family for family in FAMILIES if family != _NEEDS_TRANSFORMERS]
    return {case.name: case for family in chosen for case in _CASES[family]}
