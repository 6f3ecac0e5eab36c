"""Updates that are divided by the root of a second moment: Adam, RMSProp and their kin."""

from typing import Final

from etaeff._checks.numbers import FloatArray
from etaeff.errors import NoLawError
from etaeff.theory._models import _memory
from etaeff.theory._models._adaptive._equilibrium import equilibrium
from etaeff.theory._models._adaptive._half_life import half_life
from etaeff.theory._models._adaptive._path import path
from etaeff.theory._models._adaptive._updates import update_of
from etaeff.theory._models._model import BareDecay, Model, Sizes
from etaeff.theory.settings._update_rule import UpdateRule

__all__ = ["ADAPTIVE"]


def _update_norm(rule: UpdateRule, sizes: Sizes) -> FloatArray:
    """The length of an update from its memory, which λ has no part in."""
    return _memory.update_norm(rule, update_of(rule).memory(), sizes)


def _bare_decay(rule: UpdateRule, x: FloatArray) -> BareDecay:
    """As for updates of known size; refused where the decay is divided with the gradient."""
    if rule.divides_decay:
        raise NoLawError(f"The wait after a drop is not derived for `{rule.name}` with L2.")
    return _memory.bare_decay(rule, x)


ADAPTIVE: Final = Model(equilibrium, half_life, path, _update_norm, _bare_decay)
