import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from etaeff.errors import UnknownNameError, UsageError
from etaeff.geometry import Block, block_norms, block_pieces, pieces


def random(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


# The same numbers, (6, 4, 2, 2), in the memory layouts that weights come in.
LAYOUTS = {
    "contiguous": lambda x: x.clone(),
    "channels last": lambda x: x.clone(memory_format=torch.channels_last),
    "transposed": lambda x: x.permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0),
    "every other": lambda x: torch.stack([x, x], dim=-1)[..., 0],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("axis", "count"), [(0, 6), (0, 3), (0, 1), (1, 2), (1, 4), (-3, 2), (3, 2), (-1, 1)]
)
def test_pieces_are_what_numpy_splits_off_in_every_layout(layout, axis, count):
    x = random(6, 4, 2, 2)
    expected = np.split(x.numpy(), count, axis=axis)
    found = pieces(LAYOUTS[layout](x), axis, count)
    assert len(found) == count
    for piece, own in zip(found, expected, strict=True):
        assert sorted(piece.flatten().tolist()) == sorted(own.ravel().tolist())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("axis", "count"), [(0, 3), (1, 4), (-3, 2), (2, 2)])
def test_pieces_can_be_scaled_in_place(layout, axis, count):
    x, factors = random(6, 4, 2, 2), [2.0, 3.0, 5.0, 7.0][:count]
    laid_out = LAYOUTS[layout](x)
    assert torch.equal(laid_out, x)
    pieces(laid_out, axis, count).mul_(torch.tensor(factors).reshape(-1, 1, 1, 1, 1))
    parts = np.split(x.numpy(), count, axis=axis)
    expected = np.concatenate([c * p for c, p in zip(factors, parts, strict=True)], axis=axis)
    assert np.array_equal(laid_out.numpy(), expected)


def test_pieces_of_a_parameter_are_views_of_it():
    weight = torch.nn.Parameter(random(4, 3))
    with torch.no_grad():
        pieces(weight, 0, 2)[1].zero_()
    assert weight[2:].eq(0).all()
    assert weight[:2].ne(0).all()


@pytest.mark.parametrize("axis", [0, -1])
def test_a_tensor_without_axes_is_one_piece(axis):
    scalar = torch.tensor(3.0)
    pieces(scalar, axis, 1).mul_(2)
    assert scalar.item() == 6.0


@pytest.mark.parametrize(
    ("shape", "axis", "count", "sentence"),
    [
        ((4, 3), 2, 1, "`axis` must name one of the axes of the shape (4, 3), got 2."),
        ((4, 3), -3, 1, "`axis` must name one of the axes of the shape (4, 3), got -3."),
        ((), 1, 1, "`axis` must name one of the axes of the shape (), got 1."),
        ((), 0, 2, "`count` must divide the length 1 of axis 0 of the shape (), got 2."),
        ((4, 3), 1, 2, "`count` must divide the length 3 of axis 1 of the shape (4, 3), got 2."),
    ],
)
def test_pieces_refuse_what_cannot_be_cut(shape, axis, count, sentence):
    with pytest.raises(UsageError) as error:
        pieces(torch.zeros(shape), axis, count)
    assert str(error.value) == sentence


def test_block_takes_a_list_of_names_and_never_changes():
    block = Block(["a", "b"], axis=1, count=3)
    assert block == Block(("a", "b"), axis=1, count=3)
    assert hash(block) == hash(Block(("a", "b"), axis=1, count=3))
    with pytest.raises(FrozenInstanceError):
        block.count = 2


@pytest.mark.parametrize(
    ("names", "count", "sentence"),
    [
        ((), 1, "`names` must hold at least one parameter name, got none."),
        (("a", "b", "a"), 1, "`names` must differ, got 'a' twice: a sphere has each entry once."),
        (("a",), 0, "`count` must be at least 1, got 0."),
        (
            "fc.weight",
            1,
            "`names` must be a tuple of parameter names, got the string 'fc.weight': write "
            "('fc.weight',).",
        ),
    ],
)
def test_block_refuses(names, count, sentence):
    with pytest.raises(UsageError) as error:
        Block(names, count=count)
    assert str(error.value) == sentence


def test_norms_take_the_slices_of_all_tensors_together():
    tensors = {"w": random(6, 4, 3), "b": random(6, seed=1), "other": random(5)}
    rows = [
        math.hypot(*tensors["w"][i : i + 2].flatten().tolist(), *tensors["b"][i : i + 2].tolist())
        for i in (0, 2, 4)
    ]
    found = block_norms(Block(("w", "b"), count=3), tensors)
    assert found.tolist() == pytest.approx(rows, rel=1e-14)


def test_norms_along_another_axis_are_those_of_columns():
    w = random(5, 4)
    found = block_norms(Block(("w",), axis=-1, count=4), {"w": w})
    assert found.tolist() == pytest.approx(np.linalg.norm(w.numpy(), axis=0).tolist(), rel=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_norms_are_summed_in_float64(dtype):
    w = (random(2, 10**6, seed=3) * 0.1).to(dtype)
    exact = np.linalg.norm(w.double().numpy(), axis=1)
    found = block_norms(Block(("w",), count=2), {"w": w.requires_grad_()})
    assert found.dtype == torch.float64
    assert not found.requires_grad
    assert found.tolist() == pytest.approx(exact.tolist(), rel=1e-12)


def test_norm_of_ten_million_equal_float32_entries_is_exact():
    w = torch.full((10**7,), 0.5)
    assert block_norms(Block(("w",)), {"w": w}).item() == pytest.approx(0.5 * 10**3.5, rel=1e-12)


def test_norm_of_complex_entries_is_that_of_their_moduli():
    w = torch.tensor([[3.0 + 4.0j], [0.0 - 2.0j]])
    assert block_norms(Block(("w",), count=2), {"w": w}).tolist() == [5.0, 2.0]


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 1), st.integers(0, 99))
def test_squares_of_the_norms_add_up_to_that_of_the_whole(count, length, axis, seed):
    shape = [count * length, 3] if axis == 0 else [3, count * length]
    w = random(*shape, seed=seed)
    found = block_norms(Block(("w",), axis, count), {"w": w})
    assert float(found.square().sum()) == pytest.approx(float((w * w).sum()), rel=1e-14)


def test_unknown_name_is_refused_with_the_nearest_ones():
    tensors = {f"layers.{i}.weight": torch.zeros(2) for i in range(30)}
    with pytest.raises(UnknownNameError) as error:
        block_norms(Block(("layer.7.weight",)), tensors)
    sentence = str(error.value)
    assert sentence.startswith("Unknown parameter 'layer.7.weight'. Known: layers.7.weight, ")
    assert sentence.endswith(", … and 22 more. Did you mean 'layers.7.weight'?")


def test_unknown_name_is_refused_with_all_names_of_a_small_model():
    tensors = {"w": torch.zeros(2), "b": torch.zeros(2)}
    with pytest.raises(UnknownNameError, match=r"^Unknown parameter 'ww'. Known: w, b. "):
        block_pieces(Block(("ww",)), tensors)


def test_error_of_a_cut_names_the_parameter():
    tensors = {"a": torch.zeros(4), "b": torch.zeros(3)}
    with pytest.raises(UsageError) as error:
        block_pieces(Block(("a", "b"), count=4), tensors)
    assert str(error.value) == (
        "Parameter 'b' cannot be cut into blocks: `count` must divide the length 3 of axis 0 of "
        "the shape (3,), got 4."
    )
