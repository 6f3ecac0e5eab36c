"""What autograd makes of operators, and the derivatives of nonlinearities.

A log holds these in place of the operators that a model calls where the model takes gradients
inside, as a force field does, or maps over a batch with `torch.vmap`.
"""

from typing import Final

from etaeff.symmetry._operators._call import Call
from etaeff.symmetry._operators._degree_rules import product
from etaeff.symmetry._operators._degrees import FREE, Degree, plus, times
from etaeff.symmetry._operators._operator import Chance, Operator, rows


def _affine(call: Call) -> list[Degree]:
    """What a normalisation puts out, and the mean and the inverse deviation of its input."""
    given = call.degree("input")
    gain = FREE if call.arguments.get("weight") is None else call.degree("weight")
    return [call.join(gain, call.degree("bias")), given, times(given, -1)]


def _with_statistics(call: Call) -> list[Degree]:
    if not call.arguments.get("training", True):
        names = ("input", "running_mean", "running_var")
        call.vanish(*(call.degree(name) for name in names))
    return _affine(call)


def _attention(call: Call) -> list[Degree]:
    """Values that softmax has mixed, and the logarithm of its sum."""
    call.vanish(plus(call.degree("query"), call.degree("key")), call.degree("attn_mask"))
    return [call.degree("value"), FREE]


def _dropped(call: Call) -> list[Degree]:
    """What is left, and the mask."""
    return [call.degree("input"), FREE]


def _slope(call: Call) -> Degree:
    """A gradient times a slope that is no power of where it is taken."""
    call.vanish(call.degree("self"), call.degree("output"))
    return call.degree("grad_output")


def _slope_of_threshold(call: Call) -> Degree:
    """Of a ReLU the slope is a sign."""
    if call.arguments.get("threshold"):
        return _slope(call)
    return call.degree("grad_output")


TAKEN_APART: Final = rows(
    ("native_batch_norm", Operator(_with_statistics, ends_scale=True)),
    ("native_layer_norm native_group_norm", Operator(_affine, ends_scale=True)),
    ("_scaled_dot_product_flash_attention_for_cpu", Operator(_attention)),
    ("threshold_backward", Operator(_slope_of_threshold)),
    ("""tanh_backward sigmoid_backward gelu_backward silu_backward softplus_backward mish_backward
     hardtanh_backward hardswish_backward""", Operator(_slope)),
    ("native_dropout", Operator(_dropped, chance=Chance.DROPS_AND_RETURNS_MASK)),
    ("_sparse_mm", Operator(product)),
)  # fmt: skip
