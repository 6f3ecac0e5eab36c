"""Which constants are an ε: added or clamped to, and only to keep a division from zero."""

from typing import Any, Final

from torch import fx

from etaeff.symmetry._operators._arithmetic import converted
from etaeff.symmetry._operators._degree_rules import same
from etaeff.symmetry._operators._operator import Division
from etaeff.symmetry._operators._table import operator_of
from etaeff.symmetry._tracing._nodes import argument_of, name_of, number_in

EPSILON: Final = 1e-3  # a constant up to this, which keeps a division from zero
_ROUNDING: Final = 1 + 1e-6  # of a constant in float32
_FILLED: Final = frozenset({"full", "full_like", "new_full"})  # with their second or third argument


def epsilon_of(node: fx.Node) -> str:
    """The argument, added or clamped to by `node`, that only keeps a division or a root from zero.

    Returns:
        Its name, or nothing if there is none.
    """
    for name in operator_of(name_of(node)).epsilon:
        if _is_small(argument_of(node, name)) and _is_divided_by(node):
            return name
    return ""


def _is_small(value: Any) -> bool:
    """Whether an argument is a small positive constant: a number, or a tensor made of one."""
    while isinstance(value, fx.Node) and number_in(value) is None:
        row, name = operator_of(name_of(value)), name_of(value)
        if name in _FILLED or name == "scalar_tensor":
            value = argument_of(value, "s" if name == "scalar_tensor" else "fill_value")
        elif row.carries and row.degree in (same, converted):  # the shape or the type changes
            value = value.args[0]
        else:
            return False
    number = number_in(value) if isinstance(value, fx.Node) else value
    return isinstance(number, int | float) and 0 < number <= EPSILON * _ROUNDING


def _is_divided_by(node: fx.Node) -> bool:
    """Whether all that uses a result divides by it or takes a root of it.

    A comparison with an ε only chooses between it and what was compared.
    """
    if operator_of(name_of(node)).compares:
        chosen = [_chooses_epsilon(user, node) for user in node.users]
    else:
        chosen = [_divides_by(node, user) for user in node.users]
    return bool(chosen) and all(chosen)


def _chooses_epsilon(user: fx.Node, condition: fx.Node) -> bool:
    """Whether `user` puts an ε where a condition holds, or where it does not."""
    row = operator_of(name_of(user))
    return row.chooses and condition in user.args[:2] and bool(epsilon_of(user))


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
    return row.carries and user.args[0] is node and _is_divided_by(user)
