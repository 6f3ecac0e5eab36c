"""Errors and calls in words."""

import pytest
import torch

from etaeff.symmetry._words import described, in_a_line


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("One cause.", "One cause."),
        ("\n\n  One cause\nand its tale", "One cause"),
        ("One cause. If this is new, please file an issue. See https://x.y/z.", "One cause."),
        ("Please file an issue. The cause is this. More.", "The cause is this."),
        ("Found <class 'a.B'> in v. 2 of it", "Found <class 'a.B'> in v. 2 of it"),
        (
            "Could not guard on u0 (unhinted: u0).  (Size-like symbols: none)",
            "Could not guard on u0.",
        ),
        ("please help", "please help"),
        ("", "no text"),
    ],
)
def test_an_error_is_its_cause(text, cause):
    assert in_a_line(RuntimeError(text)) == f"RuntimeError: {cause}"


def test_a_long_cause_is_cut():
    told = in_a_line(RuntimeError("x" * 1000))
    assert len(told) < 260
    assert told.endswith("x…")


def test_a_call_is_told_by_shapes():
    assert described((torch.zeros(2, 3), 1), {"ids": [torch.zeros(2).long()]}) == (
        "(float32[2, 3], 1, ids=(int64[2]))"
    )
