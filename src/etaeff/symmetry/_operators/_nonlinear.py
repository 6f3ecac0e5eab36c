"""Nonlinearities, losses and chance: what is homogeneous, and what bounds its input."""

from typing import Final

from etaeff.symmetry._operators._axes import elementwise
from etaeff.symmetry._operators._call import Call
from etaeff.symmetry._operators._degree_rules import blind, bounded, same
from etaeff.symmetry._operators._degrees import Degree
from etaeff.symmetry._operators._operator import Chance, Memory, Operator, rows
from etaeff.symmetry._operators._shifts import ShiftedCall


def _prelu(call: Call) -> Degree:
    call.vanish(call.degree("weight"))
    return call.degree("self")


def _threshold(call: Call) -> Degree:
    return call.join(*(call.degree(name) for name in ("self", "threshold", "value")))


def _glu(call: Call) -> Degree:
    return call.vanish(call.degree("self"))


def softmax_of_shift(call: ShiftedCall) -> None:
    """What is constant along its axis is forgotten; masked entries are zero before and after."""
    call.only_at(0)
    call.forget([call.argument(1, "dim")])


def _log_softmax_of_shift(call: ShiftedCall) -> None:
    """The same, but for masked entries, which come out as large numbers."""
    softmax_of_shift(call)


NONLINEAR: Final = rows(
    ("relu relu_ leaky_relu leaky_relu_", Operator(same, axes=elementwise)),
    ("rrelu", Operator(same, axes=elementwise, chance=Chance.SLOPES)),
    ("rrelu_", Operator(chance=Chance.SLOPES)),
    ("prelu _prelu_kernel", Operator(_prelu)),
    ("threshold threshold_", Operator(_threshold, axes=elementwise)),
    ("glu", Operator(_glu)),
    ("softmax _softmax", Operator(bounded, softmax_of_shift)),
    ("log_softmax _log_softmax", Operator(bounded, _log_softmax_of_shift)),
    ("""exp exp_ exp2 expm1 log log_ log2 log1p log10 sigmoid sigmoid_ tanh tanh_ gelu gelu_ silu
     silu_ mish mish_ elu elu_ selu selu_ celu celu_ softplus _safe_softmax hardswish hardswish_
     hardsigmoid hardsigmoid_ hardtanh hardtanh_ relu6 relu6_ hardshrink softshrink log_sigmoid
     log_sigmoid_forward sin sin_ cos cos_ tan asin acos atan sinh cosh asinh acosh atanh sinc erf
     erf_ erfc erfinv lgamma digamma logit xlogy logaddexp logaddexp2""", Operator(bounded)),
    # Losses.
    ("""cross_entropy_loss nll_loss nll_loss_nd nll_loss2d binary_cross_entropy
     binary_cross_entropy_with_logits mse_loss l1_loss smooth_l1_loss huber_loss kl_div
     soft_margin_loss poisson_nll_loss hinge_embedding_loss
     margin_ranking_loss triplet_margin_loss multi_margin_loss multilabel_margin_loss
     ctc_loss""", Operator(bounded)),
    ("cosine_embedding_loss", Operator(blind)),
    # Chance.
    ("dropout feature_dropout",
     Operator(same, memory=Memory.MAY_BE_ITS_INPUT, axes=elementwise, chance=Chance.DROPS)),
    ("dropout_", Operator(same, axes=elementwise, chance=Chance.DROPS)),
    ("feature_dropout_", Operator(chance=Chance.DROPS)),
    ("alpha_dropout alpha_dropout_ feature_alpha_dropout feature_alpha_dropout_",
     Operator(bounded, chance=Chance.DROPS)),
    ("bernoulli bernoulli_", Operator(bounded, chance=Chance.COIN)),
    ("multinomial normal_ uniform_ exponential_ random_", Operator(bounded)),
)  # fmt: skip
