"""Operators that put values among others: masks, scatters, padding, copies into memory."""

from typing import Final

from etaeff.symmetry._operators._axes import elementwise
from etaeff.symmetry._operators._call import Call, degree_of
from etaeff.symmetry._operators._degrees import Degree
from etaeff.symmetry._operators._operator import Operator, rows
from etaeff.symmetry._operators._shifts import MaskedShift, NotForgottenError, ShiftedCall

_MASKED_OUT: Final = -1e4  # exp of this, or less, is zero


def _placed(call: Call) -> Degree:
    """Values put among others: conditions and indices are free."""
    names = ("self", "other", "src", "source", "value", "values")
    parts = call.kept(*(name for name in names if name in call.arguments))
    if not parts or call.arguments.get("reduce") in ("multiply", "prod"):
        return call.vanish(*parts)
    return call.join(*parts)


def _filled(call: Call) -> Degree:
    return call.join(*call.kept("self", "value"))


def _padded(call: Call) -> Degree:
    return call.join(call.degree("self"), degree_of(call.arguments.get("value") or 0))


def _copied(call: Call) -> Degree:
    return call.degree("src" if "src" in call.arguments else "value")


def _shift_under_mask(call: ShiftedCall) -> MaskedShift:
    value = call.argument(2)
    if call.position or not isinstance(value, int | float) or value > _MASKED_OUT:
        raise NotForgottenError
    return MaskedShift(call.shift.expand(call.meta.shape))


PLACING: Final = rows(
    ("where", Operator(_placed, epsilon=("other", "self"), axes=elementwise, chooses=True)),
    ("""scatter scatter_ scatter_add scatter_add_ scatter_reduce scatter_reduce_ index_put
     index_put_ _index_put_impl_ index_copy index_copy_ index_add index_add_ index_fill index_fill_
     index_reduce index_reduce_ slice_scatter select_scatter diagonal_scatter masked_scatter
     masked_scatter_""", Operator(_placed)),
    ("masked_fill",
     Operator(_filled, _shift_under_mask, epsilon=("value",), axes=elementwise,
              chooses=True)),
    ("masked_fill_ fill_", Operator(_filled, axes=elementwise)),
    ("pad constant_pad_nd", Operator(_padded)),
    ("copy copy_ fill", Operator(_copied, axes=elementwise)),
)  # fmt: skip
