"""How every operator that has a rule is called, to measure the rule."""

import pytest
import torch

aten = torch.ops.aten


def operator_called(name):
    """An operator by its name in the table; what transformers adds is there when it is loaded."""
    library, _, own = name.rpartition("::")
    if library == "transformers":
        pytest.importorskip("transformers.integrations.moe")
    return getattr(getattr(torch.ops, library or "aten"), own, None)


def normal(*shape):
    return lambda generator: torch.randn(shape, generator=generator, dtype=torch.float64)


def positive(*shape, low=0.2, high=0.9):
    def draw(generator):
        numbers = torch.rand(shape, generator=generator, dtype=torch.float64)
        return low + (high - low) * numbers

    return draw


# What the names of a case's arguments stand for; each is a parameter.
TENSORS = {
    **dict.fromkeys("abcd", normal(4, 4)),
    **dict.fromkeys("uvw", normal(4)),
    **dict.fromkeys("pq", positive(4, 4)),
    "big": positive(4, 4, low=1.2, high=2.0),
    **dict.fromkeys(("batch", "other_batch", "third_batch"), normal(2, 4, 4)),
    **dict.fromkeys(("x1", "y1"), normal(2, 4, 6)),
    **dict.fromkeys(("x2", "y2"), normal(2, 4, 6, 6)),
    "x3": normal(2, 4, 4, 4, 4),
    **dict.fromkeys(("k1",), normal(4, 4, 3)),
    **dict.fromkeys(("k2",), normal(4, 4, 3, 3)),
    **dict.fromkeys(("k3",), normal(4, 4, 3, 3, 3)),
    "grid": positive(2, 3, 3, 2),
    "grid3": positive(2, 3, 3, 3, 3),
    **dict.fromkeys(("r", "s"), positive(4)),
    **dict.fromkeys(("xyz", "rst"), normal(5, 3)),
    "one": normal(),
    "gates": normal(16, 4),
    "three_gates": normal(12, 4),
    **dict.fromkeys(("in1", "back1", "in2", "back2"), normal(16, 4)),
    **dict.fromkeys(("shift1", "shift2"), normal(16)),
}
INDEX = torch.tensor([2, 0, 3, 1])
INDICES = torch.tensor([[2, 0, 3, 1], [1, 3, 0, 2], [0, 1, 2, 3], [3, 2, 1, 0]])
WHERE = torch.tensor([True, False, True, False])
LENGTHS = torch.tensor([4, 2])
OFFSETS = torch.tensor([1, 4], dtype=torch.int32)
LABELS = torch.tensor([0, 3, 1, 2])
SIGNS = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
SPARSE = torch.tensor([[0.0, 2.0], [0.0, 0.0]], dtype=torch.float64).repeat(2, 2).to_sparse()
OPTIONS = {"dtype": torch.float64}

# How each operator is called. Where there are several calls, all are measured.
CALLS = (
    (
        lambda op, a: op(a),
        """alias clone contiguous detach lift lift_fresh_copy flatten squeeze t
        resolve_conj resolve_neg conj_physical positive fliplr flipud linalg_diagonal relu
        leaky_relu abs neg negative sum mean nansum nanmean aminmax median nanmedian mode sort msort
        std std_mean nuclear_norm linalg_svdvals trace fft_fft fft_ifft fft_rfft
        fft_irfft fft_hfft fft_ihfft fft_fft2 fft_ifft2 fft_rfft2 fft_irfft2 fft_fftn fft_ifftn
        fft_rfftn fft_irfftn fft_fftshift fft_ifftshift nan_to_num diag diag_embed diagflat ravel mT
        mH adjoint matrix_H numpy_T diff diagonal triu tril rot90 max min norm linalg_norm
        linalg_vector_norm amax amin var square exp exp2 expm1 sigmoid tanh gelu silu mish elu selu
        celu softplus hardswish hardsigmoid hardtanh relu6 hardshrink softshrink log_sigmoid
        log_sigmoid_forward sin cos tan atan sinh cosh asinh erf erfc sinc floor ceil round frac
        trunc prod sign sgn argmax argmin argsort isnan isinf isfinite isreal isposinf isneginf
        logical_not any all nonzero nonzero_numpy argwhere count_nonzero angle signbit ones_like
        rand_like randn_like zeros_like zero inverse histc pdist""",
    ),
    (
        lambda op, a: op(a.clone()),
        """detach_ relu_ leaky_relu_ abs_ neg_ squeeze_ t_ nan_to_num_ tril_ triu_ zero_ square_
        exp_ sigmoid_ tanh_ gelu_ silu_ mish_ elu_ selu_ celu_ hardswish_ hardsigmoid_ hardtanh_
        relu6_ sin_ cos_ erf_ floor_ ceil_ round_ trunc_ normal_ uniform_ exponential_ random_""",
    ),
    (
        lambda op, p: op(p),
        """log log2 log1p log10 asin acos atanh erfinv lgamma digamma logit sqrt rsqrt reciprocal
        bernoulli""",
    ),
    (lambda op, p: op(p.clone()), "log_ sqrt_ rsqrt_ reciprocal_ bernoulli_"),
    (lambda op, a, p: op(a.clone(), p), "bernoulli_"),
    (lambda op, big: op(big), "acosh"),
    (lambda op, a: op(a, [8, 2]), "view reshape _unsafe_view"),
    (lambda op, u: op(u, [4, 4]), "expand broadcast_to"),
    (lambda op, a, b: op(a, b), "reshape_as view_as copysign type_as"),
    (lambda op, u, b: op(u, b), "expand_as"),
    (lambda op, a: op(a, [4]), "sum_to_size"),
    (lambda op, a: op(a, 0, [2, 2]), "unflatten"),
    (lambda op, a: op(a, [1, 3], 0), "split_with_sizes"),
    (lambda op, a: op(a, [1], True), "frobenius_norm"),
    (lambda op, a: op(a, 0), "unsqueeze cummax cummin cumsum unbind"),
    (lambda op, a: op(a, [0]), "flip amax amin"),
    (lambda op, a: op(a.clone(), 0), "unsqueeze_ cumsum_"),
    (lambda op, a: op(a, 0, 1), "transpose swapaxes swapdims"),
    (lambda op, a: op(a.clone(), 0, 1), "transpose_"),
    (lambda op, a: op(a, [1, 0]), "permute"),
    (lambda op, a: op(a, [0], [1]), "movedim"),
    (lambda op, a: op(a, [2, 3]), "repeat tile"),
    (lambda op, a: op(a, 2, 0), "repeat_interleave split chunk unsafe_chunk unsafe_split"),
    (lambda op, a: op(a, 2, 0), "tensor_split topk kthvalue"),
    (lambda op, a: op(a, 1, 2), "select"),
    (lambda op, a: op(a, 1, 0, 2), "slice narrow narrow_copy"),
    (lambda op, a: op(a, 2), "hsplit vsplit"),
    (lambda op, batch: op(batch, 2), "dsplit"),
    (lambda op, a: op(a, [1], [0]), "roll"),
    (lambda op, a: op(a, 0, INDICES), "gather"),
    (lambda op, a: op(a, INDICES, 0), "take_along_dim"),
    (lambda op, a: op(a, [INDEX]), "index"),
    (lambda op, a: op(a, 0, INDEX), "index_select"),
    (lambda op, a: op(a, WHERE), "masked_select"),
    (lambda op, a: op(a, INDEX), "take embedding"),
    (lambda op, a: op(a, 0, 2, 1), "unfold"),
    (lambda op, x2: op(x2, [2, 2], [1, 1], [0, 0], [1, 1]), "im2col"),
    (lambda op, x1: op(x1, [4, 3], [2, 2], [1, 1], [0, 0], [1, 1]), "col2im"),
    (lambda op, x2: op(x2, 2), "pixel_shuffle pixel_unshuffle channel_shuffle"),
    (lambda op, a: op(a, [2, 3], [3, 1]), "as_strided"),
    (lambda op, a, b: op(torch.complex(a, b)), "view_as_real abs angle"),
    (lambda op, xyz: op(xyz[:, :2].clone()), "view_as_complex"),
    (lambda op, xyz: op(torch.view_as_complex(xyz[:, :2].clone())), "real imag conj"),
    (lambda op, a: op(a, 0.1, 0.3, True), "rrelu"),
    (lambda op, a: op(a, 0.5, True), "dropout feature_dropout"),
    (lambda op, a: op(a, 0.5, True), "alpha_dropout feature_alpha_dropout"),
    (
        lambda op, a: op(a.clone(), 0.5, True),
        "dropout_ alpha_dropout_ feature_alpha_dropout_",
    ),
    (lambda op, a: op(a, "nuc"), "linalg_matrix_norm linalg_norm"),
    (lambda op, a: op(a, 0), "norm linalg_vector_norm max min median sort argsort mode any all"),
    (lambda op, a: op(a, 1), "norm linalg_vector_norm logcumsumexp cumprod argmax argmin"),
    (lambda op, a: op(a, [1]), "logsumexp"),
    (lambda op, a: op(a, 1, False), "_softmax _log_softmax"),
    (lambda op, a: op(a, 1), "softmax log_softmax _safe_softmax glu"),
    (lambda op, x1: op(x1, [2]), "max_pool1d avg_pool1d"),
    (lambda op, x2: op(x2, [2, 2]), "max_pool2d max_pool2d_with_indices avg_pool2d"),
    (lambda op, x3: op(x3, [2, 2, 2]), "max_pool3d max_pool3d_with_indices avg_pool3d"),
    (lambda op, x1: op(x1, [2]), "adaptive_avg_pool1d adaptive_max_pool1d"),
    (
        lambda op, x2: op(x2, [2, 2]),
        "adaptive_avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d",
    ),
    (lambda op, x3: op(x3, [2, 2, 2]), "adaptive_avg_pool3d adaptive_max_pool3d"),
    (lambda op, x1: op(x1, [12]), "upsample_nearest1d _upsample_nearest_exact1d"),
    (lambda op, x2: op(x2, [12, 9]), "upsample_nearest2d _upsample_nearest_exact2d"),
    (lambda op, x3: op(x3, [8, 8, 8]), "upsample_nearest3d _upsample_nearest_exact3d"),
    (lambda op, x1: op(x1, [9], False), "upsample_linear1d"),
    (
        lambda op, x2: op(x2, [9, 9], False),
        """upsample_bilinear2d upsample_bicubic2d _upsample_bilinear2d_aa
        _upsample_bicubic2d_aa""",
    ),
    (lambda op, x3: op(x3, [8, 8, 8], False), "upsample_trilinear3d"),
    (
        lambda op, x2: op(*aten.max_pool2d_with_indices(x2, [2, 2]), [6, 6]),
        "max_unpool2d",
    ),
    (
        lambda op, x3: op(*aten.max_pool3d_with_indices(x3, [2, 2, 2]), [4] * 3, [2] * 3, [0] * 3),
        "max_unpool3d",
    ),
    (
        lambda op, x2: op(x2, [2, 2], [3, 3], torch.full((2, 4, 2), 0.4, **OPTIONS)),
        "fractional_max_pool2d",
    ),
    (
        lambda op, x3: op(x3, [2] * 3, [2] * 3, torch.full((2, 4, 3), 0.4, **OPTIONS)),
        "fractional_max_pool3d",
    ),
    (lambda op, x1: op(x1, [1, 2]), "reflection_pad1d replication_pad1d pad constant_pad_nd"),
    (lambda op, x1: op(x1, [1, 2], "reflect"), "pad"),
    (lambda op, x1: op(x1, [1, 2], "constant", 0.5), "pad"),
    (lambda op, x1: op(x1, [1, 2], 0.5), "constant_pad_nd"),
    (lambda op, x2: op(x2, [1, 2, 0, 1]), "reflection_pad2d replication_pad2d"),
    (lambda op, x3: op(x3, [1, 2, 0, 1, 1, 1]), "reflection_pad3d replication_pad3d"),
    (lambda op, a, b: op(a, 1, 0, b, b), "diff"),
    (
        lambda op, a, b: op([a, b]),
        """cat concat concatenate stack hstack vstack dstack column_stack broadcast_tensors
        block_diag atleast_1d atleast_2d atleast_3d linalg_multi_dot""",
    ),
    (lambda op, u, v: op([u, v]), "cartesian_prod meshgrid"),
    (lambda op, u: op(u), "atleast_1d atleast_2d atleast_3d"),
    (
        lambda op, a, b: op(a, b),
        """maximum minimum max min fmax fmin hypot complex copy cdist dist mul
        multiply mm matmul inner kron linalg_vecdot add sub subtract rsub div divide true_divide
        eq ne gt ge lt le greater greater_equal less less_equal not_equal atan2 arctan2
        logaddexp logaddexp2 floor_divide isclose logical_and logical_or logical_xor mse_loss
        l1_loss smooth_l1_loss huber_loss kl_div cosine_similarity linalg_solve""",
    ),
    (lambda op, xyz, rst: op(xyz, rst, dim=-1), "cross linalg_cross linalg_vecdot"),
    (lambda op, a, b: op(a.clone(), b), "hypot_ copy_ mul_ add_ sub_ div_"),
    (lambda op, a: op(a, 0.5), "add sub subtract rsub div mul eq ne gt ge lt le floor_divide"),
    (lambda op, a: op(a, 0), "add sub rsub eq ne gt ge lt le"),
    (lambda op, u, v: op(u, v), "dot vdot inner outer ger dist"),
    (lambda op, a, v: op(a, v), "mv"),
    (lambda op, batch, other_batch: op(batch, other_batch), "bmm"),
    (
        lambda op, a, batch: op(
            a.bfloat16().repeat(1, 2), batch.bfloat16().repeat(1, 2, 2), OFFSETS
        ),
        "_grouped_mm",
    ),
    (lambda op, a, batch: op(a, batch, OFFSETS), "transformers::grouped_mm_fallback"),
    (lambda op, a, b: op(a, b, 2.0, 1e-30), "pairwise_distance"),
    (lambda op, a, b: op("ij,kj->ik", [a, b]), "einsum"),
    (lambda op, a, b: op(a, b, [1], [0]), "tensordot"),
    (lambda op, a, b: op(a, b, 0), "cdist dist"),
    (lambda op, a: op(a, 0), "pdist"),
    (lambda op, p, q: op(p, q), "fmod remainder xlogy pow float_power binary_cross_entropy"),
    (lambda op, a, p: op(a, p), "binary_cross_entropy_with_logits"),
    (lambda op, p: op(p, 3), "pow float_power"),
    (lambda op, p: op(p, -0.5), "pow"),
    (lambda op, p: op(2.0, p), "pow"),
    (lambda op, p: op(p.clone(), 3), "pow_"),
    (lambda op, a: op(a, 0.7), "clamp_min clamp_max fmod"),
    (lambda op, a: op(a, 2.0, 0, 0.7), "renorm"),
    (lambda op, a: a * op(a.sum()), "item"),
    (lambda op, a: op(a, LABELS), "cross_entropy_loss nll_loss nll_loss_nd"),
    (
        lambda op, batch: op(batch.unsqueeze(-1), INDICES[:2].unsqueeze(-1), None, 1, -100),
        "nll_loss2d",
    ),
    (lambda op, a: op(a, SIGNS), "soft_margin_loss hinge_embedding_loss"),
    (lambda op, a: op(a, SIGNS.abs(), True, False, 1e-8, 1), "poisson_nll_loss"),
    (lambda op, a, b: op(1e6 * a, 1e6 * b, SIGNS), "cosine_embedding_loss"),
    (lambda op, a, b: op(a, b, SIGNS), "margin_ranking_loss"),
    (lambda op, a, b, c: op(a, b, c), "triplet_margin_loss"),
    (lambda op, a: op(a, LABELS), "multi_margin_loss"),
    (lambda op, a: op(a, INDICES), "multilabel_margin_loss"),
    (
        lambda op, batch: op(
            batch.transpose(0, 1),
            INDICES[:2, :2] * 0 + 1,
            [4, 4],
            [2, 2],
        ),
        "ctc_loss",
    ),
    (lambda op, p: op(p, 2), "multinomial"),
    (lambda op, a: op(a, 10, -1, 1), "histc"),
    (lambda op, a: op(a.argmax(1)), "bincount bitwise_not"),
    (lambda op, r: op(LABELS, r), "bincount"),
    (
        lambda op, a, b: op(a.argmax(1), b.argmax(1)),
        """bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift __and__ __or__
        __xor__ __lshift__ __rshift__""",
    ),
    (lambda op, a: op(a.argmax(1), 4), "one_hot"),
    (lambda op, a: a * op(torch.nonzero(INDEX), 0), "sym_size sym_stride"),
    (lambda op, a: a * op(torch.nonzero(INDEX)), "sym_numel sym_storage_offset"),
    (lambda op, r, a: op(r.cumsum(0), a), "searchsorted"),
    (lambda op, r, a: op(a, r.cumsum(0)), "bucketize"),
    (lambda op, r: op(r.cumsum(0), 0.5), "searchsorted"),
    (lambda op, a: a * op([4, 4], **OPTIONS), "ones zeros rand randn"),
    (lambda op, a: op(a, [4, 4]), "new_ones new_zeros"),
    (lambda op, a: a * op(4, **OPTIONS), "arange eye"),
    (lambda op, a: a * op(1, 4, 4, **OPTIONS), "linspace logspace"),
    (lambda op, a: a * op(9, [4, 4]), "randint"),
    (lambda op, a: op(a, 9), "randint_like"),
    (lambda op, a: a * op(4), "randperm"),
    (lambda op, a: a * op(2, 2).flatten()[:4], "tril_indices triu_indices"),
    (lambda op, a: (op(a, dtype=torch.float64), a)[1], "_assert_tensor_metadata"),
    (lambda op, a: (op(torch.nonzero(a).shape[0] > 0, "no"), a)[1], "_assert_scalar"),
    (
        lambda op, a: (op(torch.nonzero(a).shape[0], min=0), a)[1],
        "sym_constrain_range sym_constrain_range_for_size",
    ),
    (lambda op, a: (op(torch.isfinite(a).all()), a)[1], "_assert_async"),
    (lambda op, a: op(a).copy_(a), "empty_like"),
    (lambda op, a: op(a, [4, 4]).copy_(a), "new_empty"),
    (lambda op, a: op([4, 4], **OPTIONS).copy_(a), "empty"),
    (lambda op, a: op([4, 4], [4, 1], **OPTIONS).copy_(a), "empty_strided"),
    (lambda op, a: op(a, [4, 4], [4, 1]).copy_(a), "new_empty_strided"),
    (lambda op, a: op(a, torch.float64), "to"),
    (lambda op, a: op(a, torch.int64), "to"),
    (lambda op, a: op(a, torch.bool), "to"),
    (lambda op, a: op(a, INDEX), "to type_as"),
    (lambda op, a: op(a, dtype=torch.int64), "_to_copy"),
    (lambda op, a: op(a), "_to_copy"),
    (lambda op, a, b: op(WHERE, a, b), "where"),
    (lambda op, a: op(WHERE, a, 0.5), "where"),
    (lambda op, a: op(WHERE, 1, a), "where"),
    (lambda op, a: op(WHERE, a, 0), "where"),
    (lambda op, a: op(WHERE, a, -torch.inf), "where"),
    (lambda op, a: op(WHERE, a, INDEX), "where"),
    (lambda op, a, b: op(a > b), "where"),
    (lambda op, a, b, c, d: op(a > b, c, d), "where"),
    (lambda op, a, b: op(a, 0, INDICES, b), "scatter scatter_add"),
    (lambda op, a: op(a, 0, INDICES[:2], 0.5), "scatter"),
    (lambda op, a: op(a, 0, INDICES[:2], 0), "scatter"),
    (lambda op, a, b: op(a, 0, INDICES[:2], b, reduce="multiply"), "scatter"),
    (lambda op, a, b: op(a, 0, INDICES[:2], b, reduce="add"), "scatter"),
    (lambda op, a, b: op(a.clone(), 0, INDICES[:2], b), "scatter_ scatter_add_"),
    (lambda op, a, b: op(a, 0, INDICES[:2], b, "amax"), "scatter_reduce"),
    (lambda op, a, b: op(a, 0, INDICES[:2], b, "prod"), "scatter_reduce"),
    (lambda op, a, b: op(a.clone(), 0, INDICES[:2], b, "sum"), "scatter_reduce_"),
    (lambda op, a, u: op(a, [INDEX[:2]], u), "index_put"),
    (lambda op, a, u: op(a.clone(), [INDEX[:2]], u), "index_put_ _index_put_impl_"),
    (lambda op, a, b: op(a, 0, INDEX[:2], b[:2]), "index_copy index_add"),
    (lambda op, a, b: op(a.clone(), 0, INDEX[:2], b[:2]), "index_copy_ index_add_"),
    (lambda op, a, b: op(a, 0, INDEX[:2], b[:2], "amax"), "index_reduce"),
    (lambda op, a, b: op(a, 0, INDEX[:2], b[:2], "prod"), "index_reduce"),
    (lambda op, a, b: op(a.clone(), 0, INDEX[:2], b[:2], "mean"), "index_reduce_"),
    (lambda op, a: op(a, 0, INDEX[:2], 0.5), "index_fill"),
    (lambda op, a, one: op(a, 0, INDEX[:2], one), "index_fill"),
    (lambda op, a: op(a.clone(), 0, INDEX[:2], 0), "index_fill_"),
    (lambda op, a, b: op(a, b[:2], 0, 1, 3), "slice_scatter"),
    (lambda op, a, u: op(a, u, 0, 1), "select_scatter"),
    (lambda op, a, u: op(a, u), "diagonal_scatter"),
    (lambda op, a, b: op(a, WHERE, b), "masked_scatter"),
    (lambda op, a, b: op(a.clone(), WHERE, b), "masked_scatter_"),
    (lambda op, a: a + op([4, 4], 0.5, **OPTIONS), "full"),
    (lambda op, a: a + op([4, 4], 0, **OPTIONS), "full"),
    (lambda op, a: a + op(a, 0.5), "full_like"),
    (lambda op, a: a + op(a, [4, 4], 0.5), "new_full"),
    (lambda op, a: a + op(0.5), "scalar_tensor"),
    (lambda op, a: a + op(0), "scalar_tensor"),
    (
        lambda op, a, p: op(a, INDEX, INDEX[:1] * 0, False, 0, False, p[0]),
        "embedding_bag",
    ),
    (lambda op, a: op(a, INDEX, INDEX[:1] * 0), "embedding_bag"),
    (lambda op, x2, grid: op(x2, grid, 0, 0, False), "grid_sampler grid_sampler_2d"),
    (lambda op, x3, grid3: op(x3, grid3, 0, 0, False), "grid_sampler_3d"),
    (lambda op, a, b: torch.view_as_real(op(a, b)), "polar"),
    (lambda op, a, p: op(a, p.flatten()), "quantile nanquantile"),
    (lambda op, a: op(a, 0.3), "quantile nanquantile"),
    (lambda op, batch: op(batch, [1], correction=0), "var std std_mean var_mean"),
    (lambda op, a: op(a, 0.0), "clamp clamp_min clip"),
    (lambda op, a: op(a, None, 0.0005), "clamp clip"),
    (lambda op, a: op(a, -0.0005, None), "clamp"),
    (lambda op, a: op(a, -0.5, 0.7), "clamp clip hardtanh"),
    (lambda op, a, b: op(a, b), "clamp clamp_min clamp_max"),
    (lambda op, a, b: op(a.clone(), b), "clamp_ clamp_min_ clamp_max_ clip_"),
    (lambda op, a, b, u: op(a, b, u), "linear"),
    (lambda op, a, b: op(a, b), "linear"),
    (lambda op, x1, k1, u: op(x1, k1, u), "conv1d conv_transpose1d"),
    (lambda op, x2, k2, u: op(x2, k2, u), "conv2d conv_transpose2d"),
    (lambda op, x3, k3, u: op(x3, k3, u), "conv3d conv_transpose3d"),
    (
        lambda op, x2, k2, u: op(x2, k2, u, [1, 1], [0, 0], [1, 1], False, [0, 0], 1),
        "convolution",
    ),
    (lambda op, a, b, batch, v: op(a, b, batch.repeat(2, 1, 1), v), "bilinear"),
    (lambda op, a, b, c: op(a, b, c), "addmm addcmul addcdiv"),
    (lambda op, a, b, c: op(a.clone(), b, c), "addmm_ addcmul_ addcdiv_"),
    (lambda op, u, a, v: op(u, a, v), "addmv"),
    (lambda op, u, a, v: op(u.clone(), a, v), "addmv_"),
    (lambda op, a, u, v: op(a, u, v), "addr"),
    (lambda op, a, u, v: op(a.clone(), u, v), "addr_"),
    (lambda op, a, batch, other_batch: op(a, batch, other_batch), "addbmm baddbmm"),
    (lambda op, a, batch, other_batch: op(a.clone(), batch, other_batch), "addbmm_"),
    (
        lambda op, third_batch, batch, other_batch: op(third_batch.clone(), batch, other_batch),
        "baddbmm_",
    ),
    (lambda op, a, u, v: op(a, [4], u, v, 1e-30), "native_layer_norm"),
    (
        lambda op, a, u, v: op(
            a, u, v, torch.zeros(4, **OPTIONS), torch.ones(4, **OPTIONS), True, 0.1, 1e-30
        ),
        "native_batch_norm",
    ),
    (
        lambda op, a, u, v: op(
            a, u, v, torch.zeros(4, **OPTIONS), torch.ones(4, **OPTIONS), False, 0.1, 1e-30
        ),
        "native_batch_norm",
    ),
    (lambda op, a: op(a, None, None, None, None, True, 0.1, 1e-30), "native_batch_norm"),
    (lambda op, x2, u, v: op(x2, u, v, 2, 4, 36, 2, 1e-30), "native_group_norm"),
    (lambda op, a, b: op(a, b, 0), "threshold_backward"),
    (lambda op, a, b: op(a, b, 0.2), "threshold_backward"),
    (lambda op, a, p: op(a, p), "tanh_backward sigmoid_backward"),
    (lambda op, a, b: op(a, b), "gelu_backward silu_backward mish_backward hardswish_backward"),
    (lambda op, a, b: op(a, b, 1, 20), "softplus_backward"),
    (lambda op, a, b: op(a, b, -1, 1), "hardtanh_backward"),
    (lambda op, a: op(a, 0.5, True), "native_dropout"),
    (lambda op, a: op(SPARSE, a), "_sparse_mm"),
    (
        lambda op, batch, other_batch, third_batch: op(
            batch[None], other_batch[None], third_batch[None]
        ),
        "_scaled_dot_product_flash_attention_for_cpu",
    ),
    (lambda op, a, u, v: op(a, [4], u, v, 1e-30), "layer_norm"),
    (lambda op, a: op(a, [4], None, None, 1e-30), "layer_norm"),
    (lambda op, a, u: op(a, [4], u, 1e-30), "rms_norm"),
    (lambda op, a: op(a, [4], None, 1e-30), "rms_norm"),
    (lambda op, x2, u, v: op(x2, 2, u, v, 1e-30), "group_norm"),
    (
        lambda op, x2, u, v: op(x2, u, v, None, None, True, 0.1, 1e-30, False),
        "batch_norm instance_norm",
    ),
    (
        lambda op, x2, u, v: op(x2, u, v, SIGNS, SIGNS.abs(), False, 0.1, 1e-30, False),
        "batch_norm instance_norm",
    ),
    (
        lambda op, x2, u, v, w, r: op(x2, u, v, w.detach(), r.detach(), False, 0.1, 1e-30, False),
        "batch_norm",
    ),
    (
        lambda op, batch, other_batch, third_batch: op(batch, other_batch, third_batch),
        "scaled_dot_product_attention",
    ),
    (
        lambda op, batch, other_batch, third_batch, a: op(batch, other_batch, third_batch, a),
        "scaled_dot_product_attention",
    ),
    (lambda op, a, u: op(a, u), "prelu _prelu_kernel"),
    (lambda op, batch: op(batch, LENGTHS, True), "_pack_padded_sequence"),
    (lambda op, a: op(a, WHERE, 0.5), "masked_fill"),
    (lambda op, a: op(a, WHERE, 0), "masked_fill"),
    (lambda op, a: op(a, WHERE, -torch.inf), "masked_fill"),
    (lambda op, a, one: op(a, WHERE, one), "masked_fill"),
    (lambda op, a: op(a.clone(), WHERE, 0.5), "masked_fill_"),
    (lambda op, a, one: op(a, one), "fill"),
    (lambda op, a, one: op(a.clone(), one), "fill_"),
    (lambda op, a: op(a, 0.3, 0.0), "threshold"),
    (lambda op, a: op(a, 0.0, 0.0), "threshold"),
    (lambda op, a: op(a, 0.0, 0.5), "threshold"),
    (lambda op, a: op(a.clone(), 0.0, 0.0), "threshold_"),
    (lambda op, a, b, c: op(a, b, c), "lerp"),
    (lambda op, a, b: op(a, b, 0.3), "lerp"),
    (lambda op, a, b: op(a.clone(), b, 0.3), "lerp_"),
    (lambda op, a, v: op(a, v[:, None], 0), "_weight_norm"),
    (
        lambda op, batch, a, gates, b: op(
            batch, [a[None, :2], b[None, :2]], [gates, gates], False, 1, 0.0, False, False, True
        ),
        "lstm",
    ),
    (
        lambda op, batch, in1, back1, shift1, shift2: op(
            batch,
            [batch.new_zeros(1, 2, 4)] * 2,
            [in1, back1, shift1, shift2],
            True,
            1,
            0.0,
            False,
            False,
            True,
        ),
        "lstm",
    ),
    (
        lambda op, batch, in1, back1, in2, back2: op(
            batch,
            [batch.new_zeros(2, 2, 4)] * 2,
            [in1, back1, in2, back2],
            False,
            2,
            0.0,
            False,
            False,
            True,
        ),
        "lstm",
    ),
    (
        lambda op, batch, in1, back1, in2, back2: op(
            batch,
            [batch.new_zeros(2, 2, 4)] * 2,
            [in1, back1, in2, back2],
            False,
            1,
            0.0,
            False,
            True,
            True,
        ),
        "lstm",
    ),
    (
        lambda op, batch, a, b, c: op(
            batch, batch.new_zeros(2, 2, 4), [a, b, c, b], False, 1, 0.0, False, True, True
        ),
        "rnn_relu rnn_tanh",
    ),
    (
        lambda op, batch, a, three_gates: op(
            batch, a[None, :2], [three_gates, three_gates], False, 1, 0.0, False, False, True
        ),
        "gru",
    ),
    (
        lambda op, batch, a, b: op(batch, a[None, :2], [b, b], False, 1, 0.0, False, False, True),
        "rnn_tanh rnn_relu",
    ),
    (lambda op, a, b, c, gates: op(a, [b, c], gates, gates), "lstm_cell"),
    (lambda op, a, b, three_gates: op(a, b, three_gates, three_gates), "gru_cell"),
    (lambda op, a, b, c: op(a, b, c, c), "rnn_tanh_cell rnn_relu_cell"),
)
