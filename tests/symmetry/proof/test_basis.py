from fractions import Fraction

import pytest
import sympy
from hypothesis import example, given
from hypothesis import strategies as st

from etaeff.symmetry._proof._basis import Span, homogeneous, independent, readable
from etaeff.symmetry._proof._nullspace import null_space

WIDTH = 5
vectors = st.dictionaries(
    st.integers(0, WIDTH - 1), st.sampled_from([1, -1, 2, 3]).map(Fraction), max_size=4
)
lists = st.lists(vectors, max_size=5)


def vector(**coefficients):
    return {"abcde".index(name): Fraction(value) for name, value in coefficients.items()}


def rank(own):
    return sympy.Matrix(len(own), WIDTH, [v.get(i, 0) for v in own for i in range(WIDTH)]).rank()


def times(row, own):
    return sum((row.get(i, Fraction(0)) * v for i, v in own.items()), Fraction(0))


@given(lists, vectors)
def test_a_span_holds_what_does_not_add_to_the_rank(own, other):
    assert (other in Span(own)) == (rank([*own, other]) == rank(own))


@given(lists)
def test_independent_vectors_span_the_same(own):
    found = independent(own)
    assert len(found) == rank(found) == rank(own) == rank([*own, *found])


def test_a_span_of_nothing_holds_zero_alone():
    assert {} in Span([])
    assert vector(a=1) not in Span([])


@given(lists, st.sets(st.integers(0, WIDTH - 1)))
def test_readable_spans_the_same_beside_what_is_inert(own, inert):
    found = readable(own, inert)
    single = [{i: Fraction(1)} for i in inert]
    assert not inert & {i for v in found for i in v}
    assert rank([*found, *single]) == len(found) + len(single)
    assert rank([*found, *single]) == rank([*own, *single]) == rank([*own, *found, *single])


def test_readable_takes_inert_directions_out_and_shortens():
    found = readable([vector(a=1, b=1, c=1), vector(a=2, b=-2, c=5, d=1)], {2, 3})
    assert found == [vector(a=1), vector(b=1)]
    assert readable([vector(c=1)], {2}) == []
    assert readable([vector(a=1, b=1), vector(a=2, b=2)], ()) == [vector(a=1, b=1)]


def test_readable_prefers_matrices_to_gains():
    own = [vector(a=1, b=-1), vector(b=1, c=-1)]  # a against c is as short
    assert vector(a=1, c=-1) in readable(own, (), frozenset([1]))
    assert vector(a=1, b=-1) in readable(own, (), frozenset([2]))
    assert vector(b=1, c=-1) in readable(own, (), frozenset([0]))


@pytest.mark.parametrize(
    ("rows", "outputs", "expected"),
    [
        # One layer, with its bias: both scale together.
        ([vector(a=1, b=-1)], [vector(a=1)], (vector(a=1, b=1), 1)),
        # A square root of a product that is tied.
        ([vector(a=1, b=-1)], [vector(a="1/2", b="1/2")], (vector(a=1, b=1), 1)),
        # The inverse.
        ([], [vector(a=-2)], (vector(a=-1), 2)),
        # Outputs that scale alike, and others that cannot.
        ([], [vector(a=1), vector(b=1)], (vector(a=1, b=1), 1)),
        ([], [vector(a=1), {}], None),
        ([vector(a=1)], [vector(a=1)], None),
        ([], [{}], None),
        ([], [], None),
    ],
)
def test_homogeneous_directions_by_hand(rows, outputs, expected):
    symmetries = null_space([*rows, *filter(None, outputs)], 2)
    assert homogeneous(rows, outputs, symmetries, 2) == expected


# The direction found must not be shortened to a symmetry.
SHORTENED = (
    [vector(b=1, c=-1, d=1, e=1), vector(a=1, b=1, c=1)],
    [vector(a=-1, d=-1)],
)


@given(st.lists(vectors.filter(bool), max_size=3), st.lists(vectors, min_size=1, max_size=2))
@example(*SHORTENED)
def test_a_homogeneous_direction_is_one_and_is_found_if_there_is_one(rows, outputs):
    symmetries = null_space([*rows, *filter(None, outputs)], WIDTH)
    found = homogeneous(rows, outputs, symmetries, WIDTH)
    alike = [{i: outputs[0].get(i, 0) - other.get(i, 0) for i in range(WIDTH)} for other in outputs]
    dimension = WIDTH - rank([*rows, *alike])
    if dimension == len(symmetries):
        assert found is None
        return
    direction, degree = found
    assert degree > 0
    assert all(times(row, direction) == 0 for row in rows)
    assert all(times(output, direction) == degree for output in outputs)
