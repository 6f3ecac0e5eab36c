from fractions import Fraction

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from etaeff.symmetry._operators._degrees import FREE, Constraints, plus, times

WIDTH = 5
numbers = st.fractions(-3, 3, max_denominator=4)
degrees = st.dictionaries(st.integers(0, WIDTH - 1), numbers.filter(bool))
points = st.lists(numbers, min_size=WIDTH, max_size=WIDTH)


def at(degree, point):
    """The value of a linear form."""
    return sum((value * point[i] for i, value in degree.items()), Fraction(0))


def form(**coefficients):
    return {"abcde".index(name): Fraction(value) for name, value in coefficients.items()}


@given(degrees, degrees, numbers, points)
def test_plus_is_the_sum_of_linear_forms(left, right, factor, point):
    total = plus(left, right, factor)
    assert at(total, point) == at(left, point) + factor * at(right, point)
    assert all(total.values())


@given(degrees, degrees)
def test_plus_changes_neither_of_its_arguments(left, right):
    before = dict(left), dict(right)
    plus(left, right, -1)
    assert (left, right) == before


def test_what_cancels_is_not_kept():
    assert plus(form(a=1, b=2), form(a=1), -1) == form(b=2)
    assert plus(form(a=1), form(a=1), -1) == FREE


@given(degrees, numbers, points)
def test_times_is_the_multiple_of_a_linear_form(degree, factor, point):
    multiple = times(degree, factor)
    assert at(multiple, point) == factor * at(degree, point)
    assert all(multiple.values())


def test_powers_that_are_written_as_floats_are_exact():
    assert times(form(a=1), 0.5) == {0: Fraction(1, 2)}
    assert times(form(a=3), 1 / 3) == {0: Fraction(1)}
    assert times(form(a=1), -0.1) == {0: Fraction(-1, 10)}


def test_zero_stays_zero_in_products_and_powers():
    assert plus(None, form(a=1)) is None
    assert plus(form(a=1), None, -1) is None
    assert times(None, 2) is None


def test_zero_to_the_power_of_zero_is_one():
    assert times(None, 0) == times(form(a=1), 0) == FREE


@given(st.lists(st.one_of(st.none(), degrees), max_size=5))
def test_agree_demands_that_all_are_equal_and_no_more(given_degrees):
    constraints = Constraints()
    agreed = constraints.agree(given_degrees, "sum")
    known = [degree for degree in given_degrees if degree is not None]
    if not known:
        assert agreed is None
        assert not constraints.rows
        return
    assert agreed in known
    expected = [plus(known[0], other, -1) for other in known[1:]]
    assert same_span(constraints.rows, expected)


def test_agree_returns_the_first_unless_it_is_long():
    first, other = form(a=1, b=1), form(c=1)
    assert Constraints().agree([None, first, other], "sum") == first
    long = {i: Fraction(1) for i in range(50)}
    assert Constraints().agree([long, other], "sum") == other


@given(st.lists(degrees, max_size=6))
def test_rows_are_kept_up_to_scale(forms):
    constraints = Constraints()
    for degree in forms:
        constraints.vanish(degree, "test")
    assert same_span(constraints.rows, forms)
    assert len(constraints.causes) == len(constraints.rows)
    assert all(constraints.rows)


@given(degrees.filter(bool), numbers.filter(bool), st.randoms(use_true_random=False))
def test_a_row_is_kept_once(degree, factor, random):
    multiple = [(i, factor * value) for i, value in degree.items()]
    random.shuffle(multiple)
    constraints = Constraints()
    constraints.vanish(degree, "first")
    constraints.vanish(dict(multiple), "second")
    assert len(constraints.rows) == 1
    assert constraints.causes == ["first"]


@pytest.mark.parametrize("degree", [None, FREE])
def test_nothing_is_demanded_of_what_has_no_degree(degree):
    constraints = Constraints()
    constraints.vanish(degree, "test")
    assert constraints.rows == constraints.causes == []


def test_rows_are_in_the_order_in_which_they_were_met():
    constraints = Constraints()
    constraints.vanish(form(c=2), "one")
    constraints.vanish(form(a=1, b=-1), "two")
    constraints.vanish(form(c=-1), "one again")
    assert [dict(row) for row in constraints.rows] == [form(c=1), form(a=1, b=-1)]
    assert constraints.causes == ["one", "two"]


def same_span(left, right):
    """Whether two lists of linear forms vanish on the same points."""
    return len({rank(own) for own in (left, right, [*left, *right])}) == 1


def rank(forms):
    entries = [own.get(i, 0) for own in forms for i in range(WIDTH)]
    return sympy.Matrix(len(forms), WIDTH, entries).rank()
