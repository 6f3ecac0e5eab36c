"""Operators whose degrees depend on which of their arguments is which."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import fx

from etaeff.symmetry._operators._degrees import FREE, Constraints, Degree, plus, times
from etaeff.symmetry._operators._epsilon import adds_epsilon


class NoRuleError(Exception):
    """The arguments are of a kind that the rule does not know."""


class Call(NamedTuple):
    """One operator with its arguments by name; tensors are `Value`s, as are those in lists."""

    name: str
    arguments: dict[str, Any]
    constraints: Constraints
    cause: str
    node: fx.Node

    def degree(self, name: str) -> Degree:
        """Degree of the argument; of a number, zero, and any if it is 0."""
        return degree_of(self.arguments.get(name))


class Value(NamedTuple):
    """A tensor in the network: its degree, and whether it holds real or complex numbers."""

    degree: Degree
    floating: bool
    ndim: int = 0


def degree_of(value: Any) -> Degree:
    """Degree of a tensor or a number; `None` stands for one that is zero, infinite or absent."""
    if isinstance(value, Value):
        return value.degree
    if value is None or (isinstance(value, int | float) and (value == 0 or math.isinf(value))):
        return None
    return FREE


def _join(call: Call, *degrees: Degree) -> Degree:
    return call.constraints.agree(degrees, call.cause)


def _vanish(call: Call, *degrees: Degree) -> Degree:
    for degree in degrees:
        call.constraints.vanish(degree, call.cause)
    return FREE


def _add(call: Call) -> Degree:
    degree = call.degree("self")
    if degree is not None and adds_epsilon(call.node, call.arguments["other"]):
        return degree
    return _join(call, degree, call.degree("other"))


def _subtract(call: Call) -> Degree:
    return _join(call, call.degree("self"), call.degree("other"))


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
    degree = call.degree("self")
    guarded = degree is not None and adds_epsilon(call.node, call.arguments.get("min"))
    return _join(call, degree, *(call.degree(n) for n in (("max",) if guarded else ("min", "max"))))


def _compare(call: Call) -> Degree:
    """What only depends on which is larger, or on the ratio."""
    names = ("self", "other", "sorted_sequence", "boundaries")
    _join(call, *(call.degree(name) for name in names))
    return FREE


def _to(call: Call) -> Degree:
    """Conversions: those to whole numbers round, those to truth ask whether it is zero."""
    other = call.arguments.get("other")
    dtype = call.arguments.get("dtype")
    if dtype is torch.bool:
        return FREE
    whole = isinstance(other, Value) and not other.floating
    if whole or (dtype is not None and not (dtype.is_floating_point or dtype.is_complex)):
        return _vanish(call, call.degree("self"))
    return call.degree("self")


def _extremum(call: Call) -> Degree:
    if "other" in call.arguments:
        return _join(call, call.degree("self"), call.degree("other"))
    return call.degree("self")


def _norm(call: Call) -> Degree:
    """A norm, or with p = 0 the number of entries that are not zero."""
    p = call.arguments.get("p", call.arguments.get("ord"))
    return FREE if p == 0 and not isinstance(p, str) else call.degree("self")


def _distance(call: Call) -> Degree:
    joined = _join(call, *(value.degree for value in flat(list(call.arguments.values()))))
    return FREE if call.arguments.get("p") == 0 else joined


def _placed(call: Call) -> Degree:
    """Values put among others: `where`, `scatter`, `index_put`. Conditions and places are free."""
    names = ("self", "other", "src", "source", "value", "values")
    parts = [call.degree(name) for name in names if name in call.arguments]
    if not parts or call.arguments.get("reduce") in ("multiply", "prod"):
        return _vanish(call, *parts)
    return _join(call, *parts)


def _full(call: Call) -> Degree:
    return degree_of(call.arguments.get("fill_value", call.arguments.get("s")))


def _copied(call: Call) -> Degree:
    return call.degree("src" if "src" in call.arguments else "value")


def _bincount(call: Call) -> Degree:
    return call.degree("weights") if call.arguments.get("weights") is not None else FREE


def _embedding_bag(call: Call) -> Degree:
    if call.arguments.get("per_sample_weights") is None:
        return call.degree("weight")
    return plus(call.degree("weight"), call.degree("per_sample_weights"))


def _grid_sampler(call: Call) -> Degree:
    _vanish(call, call.degree("grid"))
    return call.degree("input")


def _polar(call: Call) -> Degree:
    _vanish(call, call.degree("angle"))
    return call.degree("abs")


def _quantile(call: Call) -> Degree:
    _vanish(call, call.degree("q"))
    return call.degree("self")


def _solve(call: Call) -> Degree:
    return plus(call.degree("B"), call.degree("A"), -1)


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
    training = call.arguments.get("training", call.arguments.get("use_input_stats", True))
    if not training:  # the running statistics do not follow the weight
        names = ("input", "running_mean", "running_var")
        _vanish(call, *(call.degree(name) for name in names))
    return _affine(call)


def _attention(call: Call) -> Degree:
    scores = plus(call.degree("query"), call.degree("key"))
    _vanish(call, scores, call.degree("attn_mask"))
    return call.degree("value")


def _prelu(call: Call) -> Degree:
    _vanish(call, call.degree("weight"))
    return call.degree("self")


def _padded(call: Call) -> Degree:
    return _join(call, call.degree("self"), degree_of(call.arguments.get("value") or 0))


def _packed(call: Call) -> list[Degree]:
    return [call.degree("input"), FREE]  # the second are lengths, which torch traces as real


def _masked_fill(call: Call) -> Degree:
    return _join(call, call.degree("self"), call.degree("value"))


def _threshold(call: Call) -> Degree:
    return _join(call, *(call.degree(name) for name in ("self", "threshold", "value")))


def _glu(call: Call) -> Degree:
    return _vanish(call, call.degree("self"))


def _lerp(call: Call) -> Degree:
    _vanish(call, call.degree("weight"))
    return _join(call, call.degree("self"), call.degree("end"))


def _var_mean(call: Call) -> list[Degree]:
    (given,) = flat(list(call.arguments.values()))
    return [times(given.degree, 2), given.degree]


def _weight_norm(call: Call) -> Degree:
    return call.degree("g")


def _recurrent(call: Call) -> Degree:
    """LSTM, GRU and RNN: bounded gates, so each layer has degree zero; with ReLU that of its input.

    The state comes back in each step, so what multiplies it has degree zero.
    """
    given = call.degree("input" if "input" in call.arguments else "data")
    weights = [degree_of(value) for value in call.arguments["params"]]
    layers = call.arguments["num_layers"] * (2 if call.arguments["bidirectional"] else 1)
    size = 4 if call.arguments["has_biases"] else 2
    relu = call.name == "rnn_relu"
    if len(weights) != size * layers or (relu and call.arguments["num_layers"] > 1):
        raise NoRuleError  # projections; layers of different scales
    first = 2 if call.arguments["bidirectional"] else 1
    results = []
    for layer in range(layers):
        own = weights[size * layer : size * (layer + 1)]
        reads = plus(given if layer < first else FREE, own[0])
        _vanish(call, own[1])
        results.append(_join(call, reads, *own[2:]) if relu else _vanish(call, reads, *own[2:]))
    states = flat([call.arguments.get("hx")])
    return _join(call, *results, *(state.degree for state in states))


def _recurrent_cell(call: Call) -> Degree:
    """One step of them: the state may have a scale that its weight undoes."""
    states = flat([call.arguments["hx"]])
    read = plus(call.degree("input"), call.degree("w_ih"))
    back = plus(states[0].degree, call.degree("w_hh"))
    parts = [read, back, call.degree("b_ih"), call.degree("b_hh")]
    if call.name == "rnn_relu_cell":
        return _join(call, *parts)
    kept = {"lstm_cell": states[1:], "gru_cell": states}.get(call.name, [])
    return _vanish(call, *parts, *(state.degree for state in kept))


def flat(values: Sequence[Any]) -> list[Value]:
    """The tensors of arguments, those in lists too."""
    found: list[Value] = []
    for value in values:
        if isinstance(value, Value):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += flat(value)
    return found


SPECIAL: Final[dict[str, Callable[[Call], Degree | list[Degree]]]] = {
    **dict.fromkeys(("add", "add_"), _add),
    **dict.fromkeys(("sub", "sub_", "subtract", "rsub"), _subtract),
    **dict.fromkeys(("div", "div_", "divide", "true_divide"), _div),
    **dict.fromkeys(("pow", "pow_", "float_power"), _pow),
    **dict.fromkeys(("to", "_to_copy", "type_as"), _to),
    **dict.fromkeys(("max", "min"), _extremum),
    **dict.fromkeys(("norm", "linalg_norm", "linalg_vector_norm"), _norm),
    **dict.fromkeys(("cdist", "dist", "pdist"), _distance),
    **dict.fromkeys(
        """where scatter scatter_ scatter_add scatter_add_ scatter_reduce scatter_reduce_ index_put
        index_put_ _index_put_impl_ index_copy index_copy_ index_add index_add_ index_fill
        index_fill_ index_reduce index_reduce_ slice_scatter select_scatter diagonal_scatter
        masked_scatter masked_scatter_""".split(),  # noqa: SIM905
        _placed,
    ),
    **dict.fromkeys(("full", "full_like", "new_full", "scalar_tensor"), _full),
    **dict.fromkeys(("copy", "fill"), _copied),
    "bincount": _bincount,
    "embedding_bag": _embedding_bag,
    **dict.fromkeys(("grid_sampler", "grid_sampler_2d", "grid_sampler_3d"), _grid_sampler),
    "polar": _polar,
    **dict.fromkeys(("quantile", "nanquantile"), _quantile),
    "linalg_solve": _solve,
    **dict.fromkeys(("square", "square_", "var"), _power(2)),
    **dict.fromkeys(("sqrt", "sqrt_"), _power(0.5)),
    **dict.fromkeys(("rsqrt", "rsqrt_"), _power(-0.5)),
    **dict.fromkeys(("reciprocal", "reciprocal_", "inverse"), _power(-1)),
    **dict.fromkeys(
        """clamp clamp_ clamp_min clamp_min_ clamp_max clamp_max_ clip clip_""".split(),  # noqa: SIM905
        _clamp,
    ),
    **dict.fromkeys(
        """eq ne gt ge lt le greater greater_equal less less_equal not_equal atan2 arctan2
        bucketize searchsorted""".split(),  # noqa: SIM905
        _compare,
    ),
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
    **dict.fromkeys(("addmm", "addmm_"), _added_product("mat1", "mat2")),
    **dict.fromkeys(("addmv", "addmv_"), _added_product("mat", "vec")),
    **dict.fromkeys(("addr", "addr_"), _added_product("vec1", "vec2")),
    **dict.fromkeys(
        ("addbmm", "addbmm_", "baddbmm", "baddbmm_"), _added_product("batch1", "batch2")
    ),
    **dict.fromkeys(("addcmul", "addcmul_"), _added_product("tensor1", "tensor2")),
    **dict.fromkeys(("addcdiv", "addcdiv_"), _addcdiv),
    **dict.fromkeys(("layer_norm", "group_norm", "rms_norm"), _affine),
    **dict.fromkeys(("batch_norm", "instance_norm"), _batch_norm),
    "scaled_dot_product_attention": _attention,
    **dict.fromkeys(("prelu", "_prelu_kernel"), _prelu),
    **dict.fromkeys(("pad", "constant_pad_nd"), _padded),
    "_pack_padded_sequence": _packed,
    **dict.fromkeys(("masked_fill", "masked_fill_", "fill_"), _masked_fill),
    **dict.fromkeys(("threshold", "threshold_"), _threshold),
    "glu": _glu,
    **dict.fromkeys(("lerp", "lerp_"), _lerp),
    "_weight_norm": _weight_norm,
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), _recurrent),
    **dict.fromkeys(("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), _recurrent_cell),
    "var_mean": _var_mean,
}
