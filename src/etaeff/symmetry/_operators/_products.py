"""Products: matrices, convolutions, attention, transforms of Fourier."""

from collections.abc import Callable
from typing import Final

from torch import Tensor

from etaeff.symmetry._operators._axes import elementwise
from etaeff.symmetry._operators._call import Call
from etaeff.symmetry._operators._degree_rules import power, product, same
from etaeff.symmetry._operators._degrees import Degree, plus
from etaeff.symmetry._operators._operator import Operator, rows
from etaeff.symmetry._operators._product_axes import (
    attention,
    convolution,
    einsum,
    grouped,
    linear,
    matrices,
)
from etaeff.symmetry._operators._shifts import (
    NotForgottenError,
    ShiftedCall,
    is_constant,
    varying,
    varying_axes,
)

# ---------------------------------------------------------------------------------------- degrees


def _linear(call: Call) -> Degree:
    weighted = plus(call.degree("input"), call.degree("weight"))
    return call.join(weighted, call.degree("bias"))


def _grouped(call: Call) -> Degree:
    both = plus(call.degree("self"), call.degree("mat2"))
    return call.join(both, call.degree("bias"))


def _bilinear(call: Call) -> Degree:
    both = plus(call.degree("input1"), call.degree("input2"))
    return call.join(plus(both, call.degree("weight")), call.degree("bias"))


def _added_product(left: str, right: str) -> Callable[[Call], Degree]:
    """The rule of self + left · right."""

    def rule(call: Call) -> Degree:
        return call.join(call.degree("self"), plus(call.degree(left), call.degree(right)))

    return rule


def _embedding_bag(call: Call) -> Degree:
    if call.arguments.get("per_sample_weights") is None:
        return call.degree("weight")
    return plus(call.degree("weight"), call.degree("per_sample_weights"))


def _solved(call: Call) -> Degree:
    return plus(call.degree("B"), call.degree("A"), -1)


def _attention(call: Call) -> Degree:
    scores = plus(call.degree("query"), call.degree("key"))
    call.vanish(scores, call.degree("attn_mask"))
    return call.degree("value")


# ----------------------------------------------------------------------------------------- shifts


def _matmul_of_shift(call: ShiftedCall) -> Tensor:
    """Constant columns on the right, or rows on the left, stay so."""
    shift, shape = call.shift, call.meta.shape
    other = call.argument(1 - call.position).meta.get("val")
    if shift.ndim < 2 or other.ndim < 2:
        raise NotForgottenError
    free = -1 if call.position else -2
    axes = set(range(-len(shape), 0))
    return varying(shape, axes - {free} if is_constant(shift, free) else axes)


def _linear_of_shift(call: ShiftedCall) -> Tensor:
    """Of its input, or of its bias."""
    call.only_at(0, 2)
    axes = () if call.position == 2 else varying_axes(call.shift)
    return varying(call.meta.shape, {*axes, -1})


def _added_product_of_shift(call: ShiftedCall) -> Tensor:
    """Of what is added, or of the rows that are multiplied."""
    call.only_at(0, 1)
    if call.node.kwargs:  # other multiples
        raise NotForgottenError
    axes = varying_axes(call.shift)
    return varying(call.meta.shape, axes if call.position == 0 else {*axes, -1})


def _convolution_of_shift(spatial: int) -> Callable[[ShiftedCall], Tensor]:
    """The rule for its bias, which varies along the channels, and for what is constant in space."""
    channels = -1 - spatial

    def rule(call: ShiftedCall) -> Tensor:
        call.only_at(0, 2)
        if call.position == 2:
            return varying(call.meta.shape, {channels})
        if not _is_without_edges(call, spatial):
            raise NotForgottenError
        call.forget(range(-spatial, 0))
        return varying(call.meta.shape, {*varying_axes(call.shift), channels})

    return rule


def _is_without_edges(call: ShiftedCall, spatial: int) -> bool:
    """Whether every place of the result meets the whole kernel, so that none is next to zeros."""
    weight, padding = call.argument(1).meta["val"], call.argument(4, "padding", 0)
    if "transpose" in str(call.node.target):
        return False
    if padding == "same":
        return all(length == 1 for length in weight.shape[-spatial:])
    return padding == "valid" or not any([padding] if isinstance(padding, int) else padding)


def _attention_of_shift(call: ShiftedCall) -> Tensor | None:
    """The same for all keys is forgotten; the same for all values passes: weights sum to one."""
    call.only_at(1, 2)
    if call.position == 2 and call.argument(4, "dropout_p", 0):
        raise NotForgottenError
    call.forget([-2])
    if call.position == 1:
        return None
    return varying(call.meta.shape, varying_axes(call.shift))


# ------------------------------------------------------------------------------------------- rows

PRODUCTS: Final = rows(
    ("matmul", Operator(product, _matmul_of_shift, axes=matrices("self", "other"))),
    ("bmm", Operator(product, _matmul_of_shift, axes=matrices("self", "mat2"))),
    ("_grouped_mm", Operator(_grouped, axes=grouped("self", "mat2"))),
    ("transformers::grouped_mm_fallback",
     Operator(product, axes=grouped("input", "weight"))),
    ("""mv dot vdot inner outer ger kron tensordot linalg_multi_dot cross linalg_cross
     linalg_vecdot""", Operator(product)),
    ("mm", Operator(product, axes=matrices("self", "mat2"))),
    ("einsum", Operator(product, axes=einsum)),
    ("linear", Operator(_linear, _linear_of_shift, axes=linear)),
    ("conv1d conv_transpose1d",
     Operator(_linear, _convolution_of_shift(1), axes=convolution)),
    ("conv2d conv_transpose2d",
     Operator(_linear, _convolution_of_shift(2), axes=convolution)),
    ("conv3d conv_transpose3d",
     Operator(_linear, _convolution_of_shift(3), axes=convolution)),
    ("convolution", Operator(_linear)),
    ("bilinear", Operator(_bilinear)),
    ("addmm",
     Operator(_added_product("mat1", "mat2"), _added_product_of_shift,
              axes=matrices("mat1", "mat2"))),
    ("addmm_", Operator(_added_product("mat1", "mat2"), axes=matrices("mat1", "mat2"))),
    ("addmv addmv_", Operator(_added_product("mat", "vec"))),
    ("addr addr_", Operator(_added_product("vec1", "vec2"))),
    ("addbmm addbmm_", Operator(_added_product("batch1", "batch2"))),
    ("baddbmm baddbmm_",
     Operator(_added_product("batch1", "batch2"), axes=matrices("batch1", "batch2"))),
    ("addcmul addcmul_",
     Operator(_added_product("tensor1", "tensor2"), axes=elementwise)),
    ("embedding_bag", Operator(_embedding_bag)),
    ("scaled_dot_product_attention",
     Operator(_attention, _attention_of_shift, axes=attention)),
    ("linalg_solve", Operator(_solved)),
    ("inverse", Operator(power(-1))),
    ("""fft_fft fft_ifft fft_rfft fft_irfft fft_hfft fft_ihfft fft_fft2 fft_ifft2 fft_rfft2
     fft_irfft2 fft_fftn fft_ifftn fft_rfftn fft_irfftn fft_fftshift fft_ifftshift""",
     Operator(same)),
)  # fmt: skip
