"""The one table of operators, by the name that ATen gives them, without overload."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from etaeff.symmetry._operators._arithmetic import ARITHMETIC
from etaeff.symmetry._operators._constants import CONSTANTS
from etaeff.symmetry._operators._nonlinear import NONLINEAR
from etaeff.symmetry._operators._normalisation import NORMALISATION
from etaeff.symmetry._operators._operator import Operator
from etaeff.symmetry._operators._placing import PLACING
from etaeff.symmetry._operators._pooling import POOLING
from etaeff.symmetry._operators._products import PRODUCTS
from etaeff.symmetry._operators._recurrent import RECURRENT
from etaeff.symmetry._operators._reductions import REDUCTIONS
from etaeff.symmetry._operators._shapes import SHAPES
from etaeff.symmetry._operators._taken_apart import TAKEN_APART

FAMILIES: Final = (
    ARITHMETIC,
    NONLINEAR,
    SHAPES,
    PLACING,
    REDUCTIONS,
    PRODUCTS,
    NORMALISATION,
    POOLING,
    RECURRENT,
    CONSTANTS,
    TAKEN_APART,
)
OPERATORS: Final[Mapping[str, Operator]] = MappingProxyType(
    {name: row for family in FAMILIES for name, row in family.items()}
)
_UNKNOWN: Final = Operator()


def operator_of(name: str) -> Operator:
    """The row of an operator; of one that has none, the row that says nothing."""
    return OPERATORS.get(name, _UNKNOWN)
