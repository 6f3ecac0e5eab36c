r"""What each operator does to degrees: one line an operator.

A rule is one of the words below. Where an operator is not in the table, its inputs must have
degree zero and so has its output, which is always safe, and the audit's notes name it. To add an
operator, add its ATen name (without overload) to the line of its kind, or give it a function in
`SPECIAL`; `tests/symmetry/test_rules.py` measures every rule against scaled tensors.

=============  ===============================================================
word           degree of the output, and what is demanded
=============  ===============================================================
`same`         that of the first tensor: f(cx) = c f(x)
`join`         that of all tensors, which must agree: sums, concatenations
`product`      the sum of those of all tensors
`bounded`      zero, as the input must have: exp, softmax, gelu
`blind`        zero, whatever the input has: f(cx) = f(x) for c > 0
`constant`     zero
`nothing`      any: the value is zero everywhere
=============  ===============================================================
"""

from typing import Final

_SAME = """
alias clone contiguous detach detach_ lift_fresh_copy to _to_copy type_as view reshape _unsafe_view
flatten unflatten squeeze unsqueeze transpose t permute movedim swapaxes expand expand_as repeat
repeat_interleave tile select slice narrow split split_with_sizes chunk unbind unsafe_chunk
unsafe_split tensor_split diagonal triu tril flip roll gather index index_select masked_select take
take_along_dim embedding embedding_bag unfold im2col col2im pixel_shuffle pixel_unshuffle
channel_shuffle as_strided view_as view_as_real view_as_complex real imag conj resolve_conj
relu relu_ leaky_relu leaky_relu_ rrelu abs abs_ neg neg_ negative
dropout dropout_ native_dropout feature_dropout
sum mean nansum amax amin max min aminmax median mode sort topk msort cumsum cummax cummin
std linalg_vector_norm norm frobenius_norm linalg_norm linalg_matrix_norm nuclear_norm trace
max_pool1d max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices
avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
_adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d
upsample_bicubic2d upsample_trilinear3d _upsample_bilinear2d_aa grid_sampler
reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d
fft_fft fft_ifft fft_rfft fft_irfft fft_fft2 fft_ifft2 fft_rfft2 fft_irfft2
diff kthvalue nan_to_num squeeze_ unsqueeze_ t_ transpose_ diag diag_embed block_diag
ravel mT adjoint matrix_H numpy_T swapdims atleast_1d atleast_2d
"""
_JOIN = """
cat concat concatenate stack hstack vstack dstack maximum minimum fmax fmin hypot
where scatter scatter_ index_put index_put_ _index_put_impl_
index_copy index_copy_ index_add index_add_ slice_scatter select_scatter scatter_add scatter_add_
masked_scatter masked_scatter_ copy copy_ cdist dist
"""
_PRODUCT = """
mul mul_ multiply mm bmm matmul mv dot vdot inner outer ger kron einsum tensordot linalg_multi_dot
cross linalg_cross
"""
_BOUNDED = """
exp exp2 expm1 log log2 log1p log10 sigmoid sigmoid_ tanh tanh_ gelu gelu_ silu silu_ mish mish_ elu
elu_ selu selu_ celu celu_ softplus softsign softmax _softmax log_softmax _log_softmax hardswish
hardswish_ hardsigmoid hardsigmoid_ hardtanh hardtanh_ relu6 relu6_ hardshrink softshrink tanhshrink
logsigmoid log_sigmoid_forward sin cos tan asin acos atan sinh cosh asinh acosh atanh erf erfc
erfinv lgamma digamma logsumexp softmin gumbel_softmax floor floor_divide ceil round frac trunc fmod
remainder cross_entropy_loss nll_loss binary_cross_entropy binary_cross_entropy_with_logits mse_loss
l1_loss smooth_l1_loss huber_loss kl_div multinomial bernoulli
"""
_BLIND = """
sign sgn argmax argmin argsort isnan isinf isfinite logical_not logical_and logical_or logical_xor
bitwise_not bitwise_and bitwise_or bitwise_xor any all nonzero count_nonzero one_hot bincount
searchsorted bucketize is_nonzero sym_size sym_numel sym_stride angle signbit histc
__and__ __or__ __xor__ __lshift__ __rshift__ bitwise_left_shift bitwise_right_shift
"""
_CONSTANT = """
ones ones_like full full_like new_ones new_full arange linspace scalar_tensor eye rand rand_like
randn randn_like randint randint_like randperm new_empty empty empty_like tril_indices triu_indices
_assert_tensor_metadata _assert_scalar _assert_async sym_constrain_range_for_size
sym_constrain_range
"""
_NOTHING = "zeros zeros_like new_zeros zero_"

KINDS: Final = {
    name: kind
    for kind, names in {
        "same": _SAME,
        "join": _JOIN,
        "product": _PRODUCT,
        "bounded": _BOUNDED,
        "blind": _BLIND,
        "constant": _CONSTANT,
        "nothing": _NOTHING,
    }.items()
    for name in names.split()
}

# Their integer tensors are places, not values.
INDEXED: Final = frozenset(
    name
    for name in KINDS
    if name.startswith(("scatter", "index_", "_index_")) and KINDS[name] == "join"
)
