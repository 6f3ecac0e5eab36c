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
alias clone contiguous detach detach_ lift lift_fresh_copy view reshape reshape_as
_unsafe_view flatten unflatten squeeze unsqueeze transpose t permute movedim swapaxes expand
expand_as repeat repeat_interleave tile select slice narrow split split_with_sizes chunk unbind
unsafe_chunk unsafe_split tensor_split diagonal triu tril flip roll gather index index_select
masked_select take take_along_dim embedding unfold im2col col2im pixel_shuffle pixel_unshuffle
channel_shuffle as_strided view_as view_as_real view_as_complex real imag conj resolve_conj
resolve_neg conj_physical broadcast_to sum_to_size positive rot90 fliplr flipud hsplit vsplit dsplit
narrow_copy linalg_diagonal diagflat copysign
relu relu_ leaky_relu leaky_relu_ rrelu abs abs_ neg neg_ negative
dropout dropout_ feature_dropout
sum mean nansum nanmean amax amin aminmax median nanmedian mode sort topk msort cumsum cumsum_
cummax cummin std std_mean frobenius_norm linalg_matrix_norm nuclear_norm linalg_svdvals trace
max_pool1d max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices
avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
_adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d
upsample_bicubic2d upsample_trilinear3d _upsample_bilinear2d_aa _upsample_bicubic2d_aa
_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d
max_unpool2d max_unpool3d fractional_max_pool2d fractional_max_pool3d
reflection_pad1d reflection_pad2d reflection_pad3d
replication_pad1d replication_pad2d replication_pad3d
fft_fft fft_ifft fft_rfft fft_irfft fft_hfft fft_ihfft fft_fft2 fft_ifft2 fft_rfft2 fft_irfft2
fft_fftn fft_ifftn fft_rfftn fft_irfftn fft_fftshift fft_ifftshift
kthvalue nan_to_num nan_to_num_ squeeze_ unsqueeze_ t_ transpose_ tril_ triu_ diag diag_embed ravel
mT mH adjoint matrix_H numpy_T swapdims
"""
_JOIN = """
cat concat concatenate stack hstack vstack dstack maximum minimum fmax fmin hypot
column_stack broadcast_tensors meshgrid cartesian_prod block_diag atleast_1d atleast_2d
atleast_3d complex diff hypot_ copy_
"""
_PRODUCT = """
mul mul_ multiply mm bmm matmul mv dot vdot inner outer ger kron einsum tensordot linalg_multi_dot
cross linalg_cross linalg_vecdot
"""
_BOUNDED = """
exp exp_ exp2 expm1 log log_ log2 log1p log10 sigmoid sigmoid_ tanh tanh_ gelu gelu_ silu silu_ mish
mish_ elu elu_ selu selu_ celu celu_ softplus softmax _softmax _safe_softmax log_softmax
_log_softmax hardswish hardswish_ hardsigmoid hardsigmoid_ hardtanh hardtanh_ relu6 relu6_
hardshrink softshrink log_sigmoid log_sigmoid_forward alpha_dropout alpha_dropout_
feature_alpha_dropout feature_alpha_dropout_ sin sin_ cos cos_ tan asin acos atan sinh cosh asinh
acosh atanh sinc erf erf_ erfc erfinv lgamma digamma logit xlogy logsumexp logcumsumexp logaddexp
logaddexp2 floor floor_ floor_divide ceil ceil_ round round_ frac trunc trunc_ fmod remainder prod
cumprod item isclose histc cross_entropy_loss nll_loss nll_loss_nd nll_loss2d binary_cross_entropy
binary_cross_entropy_with_logits mse_loss l1_loss smooth_l1_loss huber_loss kl_div soft_margin_loss
poisson_nll_loss cosine_embedding_loss hinge_embedding_loss margin_ranking_loss triplet_margin_loss
multi_margin_loss multilabel_margin_loss ctc_loss multinomial bernoulli bernoulli_ normal_ uniform_
exponential_ random_ renorm
"""
_BLIND = """
sign sgn argmax argmin argsort isnan isinf isfinite logical_not logical_and logical_or logical_xor
bitwise_not bitwise_and bitwise_or bitwise_xor any all nonzero nonzero_numpy argwhere count_nonzero
one_hot isreal isposinf isneginf sym_size sym_numel sym_stride sym_storage_offset angle
signbit cosine_similarity
__and__ __or__ __xor__ __lshift__ __rshift__ bitwise_left_shift bitwise_right_shift
"""
_CONSTANT = """
ones ones_like new_ones arange linspace logspace eye rand rand_like randn randn_like randint
randint_like randperm tril_indices triu_indices
_assert_tensor_metadata _assert_scalar _assert_async sym_constrain_range_for_size
sym_constrain_range
"""
# What is empty is written before it is read.
_NOTHING = """
zeros zeros_like new_zeros zero zero_ empty empty_like new_empty empty_strided new_empty_strided
"""

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
