from fractions import Fraction
from math import gcd

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from etaeff.symmetry._proof._nullspace import integers, null_space, sparsest

entries = st.sampled_from([0, 0, 0, 1, 1, -1, 2, -3])


@st.composite
def matrices(draw, least=1):
    columns = draw(st.integers(least, 6))
    row = st.lists(entries, min_size=columns, max_size=columns)
    return draw(st.lists(row.filter(any), max_size=5)), columns


def sparse(row):
    return {i: Fraction(value) for i, value in enumerate(row) if value}


def dense(vectors, columns):
    return sympy.Matrix(
        len(vectors), columns, [v.get(i, 0) for v in vectors for i in range(columns)]
    )


def vector(**coefficients):
    return {"abcde".index(name): Fraction(value) for name, value in coefficients.items()}


@given(matrices())
def test_null_space_is_all_that_the_rows_vanish_on(drawn):
    rows, columns = drawn
    basis = null_space([sparse(row) for row in rows], columns)
    for row in rows:
        assert all(sum(row[i] * v for i, v in own.items()) == 0 for own in basis)
    rank = np.linalg.matrix_rank(np.array(rows, float)) if rows else 0
    assert len(basis) == columns - rank
    assert dense(basis, columns).rank() == len(basis)
    assert all(isinstance(v, Fraction) and v for own in basis for v in own.values())


@given(matrices())
def test_null_space_is_that_of_sympy(drawn):
    rows, columns = drawn
    own = dense(null_space([sparse(row) for row in rows], columns), columns)
    truth = dense([sparse(row) for row in rows], columns).nullspace()
    both = sympy.Matrix.vstack(own, *(v.T for v in truth))
    assert own.rank() == len(truth) == both.rank()


def test_null_space_of_fractions_is_exact():
    third = {0: Fraction(1), 1: Fraction(-1, 3), 2: Fraction(1, 7)}
    for own in null_space([third], 3):
        assert own.get(0, 0) - own.get(1, 0) / 3 + own.get(2, 0) / 7 == 0


def test_without_rows_everything_is_free():
    assert null_space([], 3) == [vector(a=1), vector(b=1), vector(c=1)]
    assert null_space([], 0) == []


def test_what_is_determined_is_in_no_vector():
    assert null_space([vector(a=1), vector(a=1, b=2)], 3) == [vector(c=1)]
    assert null_space([vector(a=1), vector(b=-2)], 2) == []


@given(st.dictionaries(st.integers(0, 5), st.fractions(-4, 4, max_denominator=6).filter(bool),
                       min_size=1))  # fmt: skip
def test_integers_are_the_shortest_whole_multiple(own):
    whole = integers(own)
    assert all(v.denominator == 1 for v in whole.values())
    assert gcd(*(int(v) for v in whole.values())) == 1
    assert whole.keys() == own.keys()
    assert len({whole[i] / own[i] for i in own}) == 1
    assert sum(v > 0 for v in whole.values()) >= sum(v < 0 for v in whole.values())
    assert list(whole) == sorted(whole)


@pytest.mark.parametrize(
    ("own", "whole"),
    [
        (vector(a=-2), vector(a=1)),
        (vector(a="1/2", b="1/3"), vector(a=3, b=2)),
        (vector(a=-1, b=1), vector(a=1, b=-1)),  # as many of each: the first is positive
        (vector(b=3, a=-6, c=3), vector(a=-2, b=1, c=1)),
    ],
)
def test_integers_of_known_vectors(own, whole):
    assert integers(own) == whole


@given(matrices(least=2), st.randoms(use_true_random=False))
def test_sparsest_spans_the_same_with_no_more_numbers(drawn, random):
    rows, columns = drawn
    basis = null_space([sparse(row) for row in rows], columns)
    for _ in range(3):  # another basis of the same space, less sparse
        if len(basis) > 1:
            i, j = random.sample(range(len(basis)), 2)
            both = basis[i].keys() | basis[j].keys()
            total = {k: basis[i].get(k, Fraction(0)) + basis[j].get(k, Fraction(0)) for k in both}
            basis[i] = {k: v for k, v in total.items() if v}
    found = sparsest(basis)
    assert len(found) == len(basis)
    assert sum(map(len, found)) <= sum(map(len, basis))
    both = dense([*found, *basis], columns)
    assert dense(found, columns).rank() == both.rank() == len(basis)
    assert all(own == integers(own) for own in found)


@pytest.mark.parametrize(
    ("basis", "found"),
    [
        ([vector(a=1, b=1), vector(b=1)], [vector(a=1), vector(b=1)]),
        ([vector(a=1, b=1, c=1), vector(a=1, b=1)], [vector(c=1), vector(a=1, b=1)]),
        # Of two as short, one of a single sign.
        ([vector(a=1, b=1), vector(a=1, c=-1)], [vector(a=1, b=1), vector(b=1, c=1)]),
        ([vector(a=1, b=1), vector(c=2, d=2)], [vector(a=1, b=1), vector(c=1, d=1)]),
    ],
)
def test_sparsest_of_known_bases(basis, found):
    assert sorted(map(sorted, sparsest(basis))) == sorted(map(sorted, found))
    assert all(own in found for own in sparsest(basis))


def test_of_two_as_short_the_one_without_light_unknowns_is_taken():
    basis = [vector(a=1, b=1), vector(b=1, c=-1)]  # a + c is as short
    assert sparsest(basis, frozenset([1]))[0] == vector(a=1, c=1)
    assert sparsest(basis, frozenset([2]))[0] == vector(a=1, b=1)
