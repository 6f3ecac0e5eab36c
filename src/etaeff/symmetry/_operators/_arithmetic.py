"""Sums, quotients, powers, comparisons, conversions: entry by entry."""

from typing import Any, Final

import torch
from torch import Tensor, fx

from etaeff.symmetry._operators._axes import elementwise
from etaeff.symmetry._operators._call import Call, Value, degree_of
from etaeff.symmetry._operators._degree_rules import blind, bounded, joined, power, product, same
from etaeff.symmetry._operators._degrees import FREE, Degree, plus, times
from etaeff.symmetry._operators._operator import Division, Memory, Operator, rows
from etaeff.symmetry._operators._shifts import (
    NotForgottenError,
    ShiftedCall,
    passed_on,
    varying,
    varying_axes,
)

# ---------------------------------------------------------------------------------------- degrees


def _added(call: Call) -> Degree:
    """Sums, differences, and the larger or smaller of two."""
    return call.join(*call.kept("self", "other"))


def _divided(call: Call) -> Degree:
    if call.arguments.get("rounding_mode") is not None:
        return call.vanish(call.degree("self"), call.degree("other"))
    return plus(call.degree("self"), call.degree("other"), -1)


def _raised(call: Call) -> Degree:
    exponent = call.arguments["exponent"]
    if isinstance(exponent, int | float):
        return times(call.degree("self"), exponent)
    return call.vanish(call.degree("self"), degree_of(exponent))


def _clamped(call: Call) -> Degree:
    return call.join(*call.kept("self", "min", "max"))


def _compared(call: Call) -> Degree:
    """What only depends on which is larger, or on the ratio."""
    call.join(*call.kept("self", "other", "sorted_sequence", "boundaries"))
    return FREE


def converted(call: Call) -> Degree:
    """Conversions: those to whole numbers round, those to truth ask whether it is zero."""
    other = call.arguments.get("other")
    dtype = call.arguments.get("dtype")
    if dtype is torch.bool:
        return FREE
    whole = isinstance(other, Value) and not other.floating
    if whole or (dtype is not None and not (dtype.is_floating_point or dtype.is_complex)):
        return call.vanish(call.degree("self"))
    return call.degree("self")


def _interpolated(call: Call) -> Degree:
    call.vanish(call.degree("weight"))
    return call.join(call.degree("self"), call.degree("end"))


def _polar(call: Call) -> Degree:
    call.vanish(call.degree("angle"))
    return call.degree("abs")


def _added_quotient(call: Call) -> Degree:
    quotient = plus(call.degree("tensor1"), call.degree("tensor2"), -1)
    return call.join(call.degree("self"), quotient)


# ----------------------------------------------------------------------------------------- shifts


def _shift_of_a_sum(call: ShiftedCall) -> Tensor:
    """The other part adds nothing to the shift."""
    if call.node.kwargs:  # alpha
        raise NotForgottenError
    return call.shift.expand(call.meta.shape)


def _shift_of_a_product(call: ShiftedCall) -> Tensor:
    """The shift varies where one of the factors does."""
    other = call.argument(1 - call.position)
    if not isinstance(other, fx.Node):
        return call.shift
    meta: Any = other.meta.get("val")
    if not isinstance(meta, Tensor):
        return call.shift.expand(call.meta.shape)
    wide = [axis for axis in range(-meta.ndim, 0) if meta.shape[axis] > 1]
    return varying(call.meta.shape, {*varying_axes(call.shift), *wide})


def _shift_of_a_quotient(call: ShiftedCall) -> Tensor:
    call.only_at(0)
    if call.node.kwargs:
        raise NotForgottenError
    return _shift_of_a_product(call)


# ------------------------------------------------------------------------------------------- rows

_DENOMINATOR: Final = Division.BY_THE_SECOND
_EITHER: Final = ("other", "self")

ARITHMETIC: Final = rows(
    ("add", Operator(_added, _shift_of_a_sum, epsilon=_EITHER, axes=elementwise)),
    ("add_", Operator(_added, epsilon=_EITHER, axes=elementwise)),
    ("sub", Operator(_added, _shift_of_a_sum, axes=elementwise)),
    ("sub_ subtract rsub", Operator(_added, axes=elementwise)),
    ("mul multiply", Operator(product, _shift_of_a_product, axes=elementwise, ends_scale=True)),
    ("mul_", Operator(product, axes=elementwise, ends_scale=True)),
    ("div divide true_divide",
     Operator(_divided, _shift_of_a_quotient, division=_DENOMINATOR, axes=elementwise,
              ends_scale=True)),
    ("div_",
     Operator(_divided, division=_DENOMINATOR, axes=elementwise, ends_scale=True)),
    ("neg", Operator(same, passed_on, axes=elementwise)),
    ("neg_ negative positive abs abs_ copysign", Operator(same, axes=elementwise)),
    ("real imag view_as_real view_as_complex", Operator(same, memory=Memory.VIEW)),
    ("conj conj_physical resolve_conj resolve_neg", Operator(same, axes=elementwise)),
    ("maximum fmax", Operator(_added, epsilon=_EITHER, axes=elementwise)),
    ("minimum fmin hypot hypot_ complex", Operator(joined, axes=elementwise)),
    ("pow", Operator(_raised, division=Division.POWER_BELOW_ONE, axes=elementwise, carries=True)),
    ("pow_ float_power", Operator(_raised, axes=elementwise)),
    ("square", Operator(power(2), axes=elementwise, carries=True)),
    ("square_", Operator(power(2), axes=elementwise)),
    ("sqrt sqrt_", Operator(power(0.5), division=Division.ALWAYS, axes=elementwise)),
    ("rsqrt rsqrt_", Operator(power(-0.5), division=Division.ALWAYS, axes=elementwise)),
    ("reciprocal reciprocal_", Operator(power(-1), division=Division.ALWAYS, axes=elementwise)),
    ("clamp clamp_min", Operator(_clamped, epsilon=("min",), axes=elementwise, carries=True)),
    ("clamp_ clamp_min_ clip clip_", Operator(_clamped, epsilon=("min",), axes=elementwise)),
    ("clamp_max clamp_max_", Operator(_clamped, axes=elementwise)),
    ("lerp lerp_", Operator(_interpolated, axes=elementwise)),
    ("polar", Operator(_polar, axes=elementwise)),
    ("addcdiv addcdiv_", Operator(_added_quotient, axes=elementwise)),
    ("to _to_copy", Operator(converted, axes=elementwise, carries=True)),
    ("type_as",
     Operator(converted, memory=Memory.MAY_BE_ITS_INPUT, axes=elementwise, carries=True)),
    ("nan_to_num nan_to_num_", Operator(same, axes=elementwise)),
    ("""floor floor_ floor_divide ceil ceil_ round round_ frac trunc trunc_ fmod remainder item
     isclose""", Operator(bounded)),
    ("gt ge lt le greater greater_equal less less_equal",
     Operator(_compared, epsilon=_EITHER, compares=True)),
    ("eq ne not_equal atan2 arctan2 bucketize searchsorted", Operator(_compared)),
    ("""sign sgn signbit angle isnan isinf isfinite isreal isposinf isneginf logical_not logical_and
     logical_or logical_xor bitwise_not bitwise_and bitwise_or bitwise_xor bitwise_left_shift
     bitwise_right_shift __and__ __or__ __xor__ __lshift__ __rshift__""", Operator(blind)),
)  # fmt: skip
