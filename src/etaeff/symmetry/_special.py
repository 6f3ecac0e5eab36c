"""Operators whose degrees depend on which of their arguments is which."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from etaeff.symmetry._degrees import FREE, Constraints, Degree, plus, times

EPSILON: Final = 1e-3  # a constant up to this, added or clamped to, keeps a division from zero


class Call(NamedTuple):
    """One operator with its arguments by name; tensors are `Value`s, as are those in lists."""

    name: str
    arguments: dict[str, Any]
    constraints: Constraints
    cause: str

    def degree(self, name: str) -> Degree:
        """Degree of the argument; of a number, zero, and any if it is 0."""
        return degree_of(self.arguments.get(name))


class Value(NamedTuple):
    """A tensor in the network: its degree, and whether it holds real or complex numbers."""

    degree: Degree
    floating: bool
    ndim: int = 0


def degree_of(value: Any) -> Degree:
    """Degree of a tensor or a number; `None` stands for one that is zero or absent."""
    if isinstance(value, Value):
        return value.degree
    if value is None or (isinstance(value, int | float | bool) and value == 0):
        return None
    return FREE


def _join(call: Call, *degrees: Degree) -> Degree:
    return call.constraints.agree(degrees, call.cause)


def _vanish(call: Call, *degrees: Degree) -> Degree:
    for degree in degrees:
        call.constraints.vanish(degree, call.cause)
    return FREE


def _add(call: Call) -> Degree:
    left, right = call.arguments["self"], call.arguments["other"]
    for number, tensor in ((left, right), (right, left)):
        if isinstance(number, int | float) and 0 < abs(number) <= EPSILON:
            return degree_of(tensor)
    return _join(call, degree_of(left), degree_of(right))


def _div(call: Call) -> Degree:
    if call.arguments.get("rounding_mode") is not None:
        return _vanish(call, call.degree("self"), call.degree("other"))
    return plus(call.degree("self"), call.degree("other"), -1)


def _pow(call: Call) -> Degree:
    exponent = call.arguments["exponent"]
    if isinstance(exponent, int | float):
        return times(call.degree("self"), exponent)
    return _vanish(call, call.degree("self"), degree_of(exponent))


def _power(exponent: float) -> Callable[[Call], Degree]:
    return lambda call: times(call.degree("self"), exponent)


def _clamp(call: Call) -> Degree:
    bounds = [call.arguments.get(name) for name in ("min", "max", "other")]
    real = [
        bound
        for bound in bounds
        if isinstance(bound, Value) or (bound is not None and EPSILON < abs(bound) < math.inf)
    ]
    return _join(call, call.degree("self"), *(degree_of(bound) for bound in real))


def _compare(call: Call) -> Degree:
    _join(call, call.degree("self"), call.degree("other"))
    return FREE


def _linear(call: Call) -> Degree:
    weighted = plus(call.degree("input"), call.degree("weight"))
    return _join(call, weighted, call.degree("bias"))


def _bilinear(call: Call) -> Degree:
    both = plus(call.degree("input1"), call.degree("input2"))
    return _join(call, plus(both, call.degree("weight")), call.degree("bias"))


def _added_product(left: str, right: str) -> Callable[[Call], Degree]:
    def rule(call: Call) -> Degree:
        return _join(call, call.degree("self"), plus(call.degree(left), call.degree(right)))

    return rule


def _addcdiv(call: Call) -> Degree:
    quotient = plus(call.degree("tensor1"), call.degree("tensor2"), -1)
    return _join(call, call.degree("self"), quotient)


def _affine(call: Call) -> Degree:
    """What a normalisation puts out: its gain and shift."""
    if call.arguments.get("weight") is None:
        return _join(call, FREE, call.degree("bias"))
    return _join(call, call.degree("weight"), call.degree("bias"))


def _batch_norm(call: Call) -> Degree:
    training = next(
        (
            call.arguments[key]
            for key in ("training", "train", "use_input_stats")
            if key in call.arguments
        ),
        True,
    )
    if not training:  # the running statistics do not follow the weight
        _vanish(call, call.degree("input"))
    return _affine(call)


def _attention(call: Call) -> Degree:
    scores = plus(call.degree("query"), call.degree("key"))
    _vanish(call, scores, call.degree("attn_mask"), call.degree("attn_bias"))
    return call.degree("value")


def _prelu(call: Call) -> Degree:
    _vanish(call, call.degree("weight"))
    return call.degree("self")


def _padded(call: Call) -> Degree:
    return _join(call, call.degree("self"), degree_of(call.arguments.get("value") or 0))


def _masked_fill(call: Call) -> Degree:
    value = call.arguments["value"]
    if isinstance(value, int | float) and math.isinf(value):
        return call.degree("self")
    return _join(call, call.degree("self"), degree_of(value))


def _threshold(call: Call) -> Degree:
    return _join(
        call, call.degree("self"), call.degree("threshold"), degree_of(call.arguments["value"])
    )


def _glu(call: Call) -> Degree:
    return _vanish(call, call.degree("self"))


def _lerp(call: Call) -> Degree:
    _vanish(call, call.degree("weight"))
    return _join(call, call.degree("self"), call.degree("end"))


def _weight_norm(call: Call) -> Degree:
    return call.degree("g")


def _recurrent(call: Call) -> Degree:
    """LSTM, GRU and RNN cells: every gate is bounded, so everything must have degree zero."""
    for value in flat(list(call.arguments.values())):
        _vanish(call, value.degree)
    return FREE


def _prod(call: Call) -> Degree:
    return _vanish(call, call.degree("self"))


def flat(values: Sequence[Any]) -> list[Value]:
    """The tensors of arguments, those in lists too."""
    found: list[Value] = []
    for value in values:
        if isinstance(value, Value):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += flat(value)
    return found


SPECIAL: Final[dict[str, Callable[[Call], Degree]]] = {
    **dict.fromkeys(("add", "add_", "sub", "sub_", "subtract", "rsub"), _add),
    **dict.fromkeys(("div", "div_", "divide", "true_divide"), _div),
    **dict.fromkeys(("pow", "pow_", "float_power"), _pow),
    **dict.fromkeys(("square", "square_", "var", "var_mean"), _power(2)),
    **dict.fromkeys(("sqrt", "sqrt_"), _power(0.5)),
    **dict.fromkeys(("rsqrt", "rsqrt_"), _power(-0.5)),
    **dict.fromkeys(("reciprocal", "reciprocal_"), _power(-1)),
    **dict.fromkeys(("clamp", "clamp_", "clamp_min", "clamp_min_", "clamp_max", "clip"), _clamp),
    **dict.fromkeys(("eq", "ne", "gt", "ge", "lt", "le", "isclose", "greater", "less"), _compare),
    "linear": _linear,
    **dict.fromkeys(
        (
            "conv1d",
            "conv2d",
            "conv3d",
            "convolution",
            "conv_transpose1d",
            "conv_transpose2d",
            "conv_transpose3d",
        ),
        _linear,
    ),
    "bilinear": _bilinear,
    "addmm": _added_product("mat1", "mat2"),
    "addmv": _added_product("mat", "vec"),
    "addbmm": _added_product("batch1", "batch2"),
    "baddbmm": _added_product("batch1", "batch2"),
    "addcmul": _added_product("tensor1", "tensor2"),
    "addcmul_": _added_product("tensor1", "tensor2"),
    "addcdiv": _addcdiv,
    **dict.fromkeys(
        (
            "layer_norm",
            "native_layer_norm",
            "group_norm",
            "native_group_norm",
            "rms_norm",
            "_fused_rms_norm",
        ),
        _affine,
    ),
    **dict.fromkeys(
        (
            "batch_norm",
            "instance_norm",
            "native_batch_norm",
            "cudnn_batch_norm",
            "_native_batch_norm_legit",
            "_native_batch_norm_legit_functional",
        ),
        _batch_norm,
    ),
    **dict.fromkeys(
        (
            "scaled_dot_product_attention",
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_efficient_attention",
        ),
        _attention,
    ),
    **dict.fromkeys(("prelu", "_prelu_kernel"), _prelu),
    **dict.fromkeys(("pad", "constant_pad_nd"), _padded),
    **dict.fromkeys(("masked_fill", "masked_fill_", "fill_", "fill"), _masked_fill),
    **dict.fromkeys(("threshold", "threshold_"), _threshold),
    "glu": _glu,
    **dict.fromkeys(("lerp", "lerp_"), _lerp),
    **dict.fromkeys(("_weight_norm", "_weight_norm_interface"), _weight_norm),
    **dict.fromkeys(
        (
            "lstm",
            "gru",
            "rnn_tanh",
            "rnn_relu",
            "lstm_cell",
            "gru_cell",
            "rnn_tanh_cell",
            "rnn_relu_cell",
        ),
        _recurrent,
    ),
    "prod": _prod,
}
