"""Tensors that are made of no other: constants, zeros, random numbers, and assertions."""

from typing import Final

from etaeff.symmetry._operators._call import Call, degree_of
from etaeff.symmetry._operators._degree_rules import constant, zero
from etaeff.symmetry._operators._degrees import Degree
from etaeff.symmetry._operators._operator import Chance, Operator, rows


def _full(call: Call) -> Degree:
    return degree_of(call.arguments.get("fill_value", call.arguments.get("s")))


CONSTANTS: Final = rows(
    ("""ones ones_like new_ones arange linspace logspace eye randn randn_like randint randint_like
     randperm tril_indices triu_indices""", Operator(constant)),
    ("rand rand_like", Operator(constant, chance=Chance.UNIFORM)),
    ("""_assert_tensor_metadata _assert_scalar _assert_async sym_constrain_range_for_size
     sym_constrain_range""", Operator(constant)),
    ("""zeros zeros_like new_zeros zero zero_ empty empty_like new_empty empty_strided
     new_empty_strided""", Operator(zero)),
    ("full full_like new_full scalar_tensor", Operator(_full)),
)  # fmt: skip
