"""Which constants are an ε: added or clamped to, and only to keep a division from zero."""

from typing import Any, Final

from torch import fx

from etaeff.symmetry._operators._operator import Division
from etaeff.symmetry._operators._table import operator_of
from etaeff.symmetry._tracing._nodes import name_of

EPSILON: Final = 1e-3  # a constant up to this, which keeps a division from zero


def adds_epsilon(node: fx.Node, value: Any) -> bool:
    """Whether `value`, added or clamped to by `node`, only keeps a division or a root from zero."""
    small = isinstance(value, int | float) and 0 < value <= EPSILON
    return small and bool(node.users) and all(_divides_by(node, user) for user in node.users)


def _divides_by(node: fx.Node, user: fx.Node) -> bool:
    """Whether `user`, or all that uses its result, divides by `node` or takes a root of it."""
    row = operator_of(name_of(user))
    match row.division:
        case Division.ALWAYS:
            return True
        case Division.BY_THE_SECOND:
            return user.args[0] is not node
        case Division.POWER_BELOW_ONE:
            exponent = user.args[1]
            if isinstance(exponent, int | float) and exponent < 1:
                return True
    carried = row.carries and user.args[0] is node
    return carried and bool(user.users) and all(_divides_by(user, later) for later in user.users)
