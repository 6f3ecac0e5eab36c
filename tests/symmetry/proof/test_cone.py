"""Directions of one sign, against the linear programs of SciPy."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from etaeff.symmetry._proof._basis import Span, readable, with_one_signed
from etaeff.symmetry._proof._cone import one_signed

COLUMNS = 9


def vector(**exponents):
    """Exponents of parameters that are called by letters."""
    return {ord(name) - ord("a"): Fraction(v) for name, v in exponents.items()}


VECTORS = st.lists(
    st.dictionaries(
        st.integers(0, COLUMNS - 1),
        st.sampled_from([1, 1, -1, -1, 2, -2]).map(Fraction),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=6,
)


def in_the_cone(vectors):
    """The columns that some combination moves up, while none goes down."""
    rows = np.array([[float(v.get(j, 0)) for j in range(COLUMNS)] for v in vectors])
    found = set()
    for j in np.flatnonzero(rows.any(0)):
        most = linprog(
            -rows[:, j], A_ub=-rows.T, b_ub=np.zeros(COLUMNS), bounds=[(-1, 1)] * len(rows)
        )
        found |= {int(j)} if most.fun < -1e-7 else set()
    return found


@settings(deadline=None, max_examples=300)
@given(VECTORS)
def test_columns_of_the_cone_are_those_of_a_linear_program(vectors):
    assert set(one_signed(vectors).through) == in_the_cone(vectors)


@settings(deadline=None, max_examples=200)
@given(VECTORS)
def test_each_direction_is_a_symmetry_of_one_sign_that_moves_its_parameter(vectors):
    span = Span(vectors)
    for column, ray in one_signed(vectors).through.items():
        assert ray[column] > 0
        assert all(v > 0 and v.denominator == 1 for v in ray.values())
        assert ray in span


@settings(deadline=None, max_examples=200)
@given(VECTORS)
def test_a_basis_with_directions_of_one_sign_spans_the_same(vectors):
    plain = readable(vectors, ())
    basis, _ = with_one_signed(plain)
    assert len(basis) == len(plain)
    assert all(v in Span(basis) for v in plain)
    assert all(v in Span(plain) for v in basis)


@settings(deadline=None, max_examples=200)
@given(VECTORS)
def test_the_basis_shows_a_direction_of_one_sign_wherever_there_is_one(vectors):
    basis, through = with_one_signed(readable(vectors, ()))
    shown = [v for v in basis if len({x > 0 for x in v.values()}) == 1]
    assert bool(shown) == bool(through)


def test_what_can_take_the_place_of_another_is_scale_invariant_too():
    stream = vector(e=1, o=1)  # embedding and projection, and values against the projection
    found = one_signed([stream, vector(v=1, o=-1), vector(q=1, k=-1)])
    assert {chr(ord("a") + i) for i in found.through} == {"e", "o", "v"}
    assert found.through[ord("v") - ord("a")] == vector(e=1, v=1)
    assert found.beyond == []


def test_shortening_does_not_hide_scale_invariance():
    # The sum of all is of one sign; each vector is of mixed signs, and none can be shortened.
    hidden = [vector(a=2, b=-1), vector(b=2, c=-1), vector(c=2, a=-1)]
    found = one_signed(hidden)
    assert set(found.through) == {0, 1, 2}
    assert found.beyond
    basis, _ = with_one_signed(hidden)
    assert any(set(v.values()) == {1} or min(v.values()) > 0 for v in basis)


def test_gains_are_left_out_of_a_direction_where_a_weight_can_stand_in_for_them():
    gain, weight, stream = (ord(name) - ord("a") for name in "gws")
    vectors = [vector(s=1, g=1), vector(g=1, w=-1)]
    basis, _ = with_one_signed([vector(s=1, g=2, w=-1), vector(g=1, w=-1)], frozenset({gain}))
    assert all(v in Span(vectors) for v in basis)
    (ray,) = [v for v in basis if min(v.values()) > 0]
    assert set(ray) == {stream, weight}


def test_a_hundred_layers_take_no_time():
    layers = 100
    stream = {0: Fraction(1), **{1 + i: Fraction(1) for i in range(layers)}}
    values = [{1 + i: Fraction(1), 1 + layers + i: Fraction(-1)} for i in range(layers)]
    assert len(one_signed([stream, *values]).through) == 1 + 2 * layers
