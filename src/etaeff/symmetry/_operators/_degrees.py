r"""Homogeneity degrees, and what a network demands of them.

Every parameter tensor θ_p is scaled by $e^{t s_p}$. A value in the network then scales by
$e^{t d}$, with d a linear form in the exponents s: its *degree*. Where values are joined their
degrees must agree, and where a nonlinearity is not homogeneous the degree must be zero: these are
linear *constraints* on s, and the exponents that satisfy all of them are the symmetries.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Final, TypeAlias

# Coefficients of the exponents, by parameter index; no zeros. `None` is the degree of a value that
# is zero everywhere: whatever one wants.
Degree: TypeAlias = Mapping[int, Fraction] | None

_LONG: Final = 8  # unknowns; longer ones would make the cost of a deep network quadratic
FREE: Final[Degree] = MappingProxyType({})  # degree zero: inputs and nonzero constants


class Constraints:
    """The linear forms that must vanish, as they are collected along the network.

    Attributes:
        rows: Linear forms, each once, in the order in which they were met.
        causes: The operator that demanded each of them.
    """

    def __init__(self) -> None:
        """No constraints yet."""
        self.rows: list[Mapping[int, Fraction]] = []
        self.causes: list[str] = []
        self._seen: set[frozenset[tuple[int, Fraction]]] = set()

    def vanish(self, degree: Degree, cause: str) -> None:
        """Demand that `degree` is zero."""
        if not degree:
            return
        leading = degree[min(degree)]
        row = {index: value / leading for index, value in degree.items()}
        key = frozenset(row.items())
        if key not in self._seen:
            self._seen.add(key)
            self.rows.append(row)
            self.causes.append(cause)

    def agree(self, degrees: Iterable[Degree], cause: str) -> Degree:
        """Demand that all degrees are one, and return it: the first form, unless that is long."""
        given = [degree for degree in degrees if degree is not None]
        if not given:
            return None
        kept = given[0] if len(given[0]) <= _LONG else min(given, key=len)
        for degree in given:
            if degree is not kept:
                self.vanish(plus(degree, kept, -1), cause)
        return kept


def plus(left: Degree, right: Degree, factor: int | Fraction = 1) -> Degree:
    """Left + factor · right: the degree of a product, or with −1 of a quotient."""
    if left is None or right is None:
        return None
    if not right:
        return left
    total = dict(left)
    for index, value in right.items():
        summed = total.get(index, Fraction(0)) + factor * value
        if summed:
            total[index] = summed
        else:
            total.pop(index, None)
    return total


def times(degree: Degree, factor: int | float | Fraction) -> Degree:
    """The degree of a power."""
    exact = Fraction(factor).limit_denominator(10**6)
    if not exact:
        return FREE
    if degree is None:
        return None
    return {index: exact * value for index, value in degree.items()}
