"""Every rule of the audit, measured.

A rule is sound if the output scales as it says, along all directions that it leaves. It is exact
if it leaves all directions that there are. These are the null space of a linear system: with J_p
the derivative of the outputs y along a scaling of parameter p, Σ s_p J_p = d y.
"""

import inspect

import pytest
import torch
from support import operator_calls as calls
from support.operator_modules import CASES, Calling

from etaeff.symmetry._operators._operator import Operator, rows
from etaeff.symmetry._operators._table import FAMILIES, OPERATORS, operator_of
from etaeff.symmetry._proof._nullspace import null_space
from etaeff.symmetry._proof._propagate import propagate
from etaeff.symmetry._tracing._graph import of_program

OLD = torch.__version__ < torch.torch_version.TorchVersion("2.13")
RULES = [name for name, row in OPERATORS.items() if row.degree is not None]


def outputs(module, factors):
    """All outputs, flat, with each parameter times its factor."""
    scaled = {
        n: p.detach() * f for (n, p), f in zip(module.named_parameters(), factors, strict=True)
    }
    torch.manual_seed(0)
    with torch.no_grad():
        found = torch.func.functional_call(module, scaled, ())
    real = [torch.view_as_real(v.resolve_conj()) if v.is_complex() else v for v in found]
    return [value.double().flatten().clone() for value in real]


def measured_dimension(module, step=1e-5):
    """Dimension of the scalings of the parameters that scale every output as a whole."""
    count = len(list(module.parameters()))
    base = outputs(module, [1.0] * count)
    columns = []
    for i in range(count):
        up, down = (
            torch.cat(outputs(module, [1 + sign * step * (i == j) for j in range(count)]))
            for sign in (1, -1)
        )
        columns.append((up - down) / (2 * step))
    for i, own in enumerate(base):
        if own.any():
            columns.append(torch.cat([v if i == j else 0 * v for j, v in enumerate(base)]))
    matrix = torch.stack([torch.nan_to_num(column) for column in columns], 1)
    values = torch.linalg.svdvals(matrix)
    return len(columns) - int((values > 1e-6 * max(1.0, float(values.max()))).sum())


def traced(module):
    torch.manual_seed(0)
    try:
        program = torch.export.export(module, (), strict=False)
    except Exception as error:  # the audit has a second tracer for what this one cannot follow
        if OLD:
            pytest.skip(f"torch.export of {torch.__version__} cannot follow it: {error!r:.100}")
        raise
    found = {
        node.target._schema.name
        for node in program.graph.nodes
        if isinstance(node.target, torch._ops.OpOverload)
    }
    index = {name: i for i, (name, _) in enumerate(module.named_parameters())}
    return propagate(of_program(program), index), found


def disagreement(module, flow):
    """What is wrong with the predicted degrees, in words; nothing if they hold."""
    count = len(list(module.parameters()))
    base = outputs(module, [1.0] * count)
    space = null_space(flow.constraints.rows, count)
    mixed = {}
    for k, vector in enumerate(space):
        for i, v in vector.items():
            mixed[i] = mixed.get(i, 0) + v * (k + 1)
    assert len(base) == len(flow.outputs)
    for vector in [*space, mixed]:
        for scale in (2.0, 0.7):
            found = outputs(module, [scale ** float(vector.get(i, 0)) for i in range(count)])
            for k, (old, new, value) in enumerate(zip(base, found, flow.outputs, strict=True)):
                degree = sum(float(vector.get(i, 0) * c) for i, c in (value.degree or {}).items())
                expected = old * scale**degree if value.degree is not None else 0 * old
                size = float(old[old.isfinite()].abs().max()) if old.isfinite().any() else 1.0
                if not torch.allclose(new, expected, 1e-9, 1e-9 * size, equal_nan=True):
                    return f"output {k} is not of degree {degree} along {vector}"
    return ""


# Stricter than these calls need: what rounds, compares, bounds or draws is measured near some
# weights only, where it can look homogeneous, and joins may meet a value that is not in use.
STRICT = frozenset(
    [
        "_to_copy",
        "atleast_1d",
        "atleast_2d",
        "atleast_3d",
        "batch_norm",
        "bernoulli",
        "bernoulli_",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "broadcast_tensors",
        "bucketize",
        "cdist",
        "ceil",
        "hardtanh_backward",
        "native_batch_norm",
        "threshold_backward",
        "ceil_",
        "cross_entropy_loss",
        "dist",
        "eq",
        "exponential_",
        "fill_",
        "floor",
        "floor_",
        "floor_divide",
        "fmod",
        "ge",
        "greater",
        "greater_equal",
        "gt",
        "hardshrink",
        "hinge_embedding_loss",
        "histc",
        "huber_loss",
        "index_reduce",
        "isclose",
        "item",
        "kl_div",
        "l1_loss",
        "le",
        "less",
        "less_equal",
        "lt",
        "margin_ranking_loss",
        "masked_fill",
        "meshgrid",
        "mse_loss",
        "multi_margin_loss",
        "multilabel_margin_loss",
        "multinomial",
        "ne",
        "nll_loss",
        "nll_loss2d",
        "nll_loss_nd",
        "normal_",
        "not_equal",
        "poisson_nll_loss",
        "prod",
        "random_",
        "relu6",
        "relu6_",
        "remainder",
        "round",
        "round_",
        "scatter",
        "scatter_reduce",
        "searchsorted",
        "smooth_l1_loss",
        "soft_margin_loss",
        "threshold",
        "to",
        "triplet_margin_loss",
        "trunc",
        "trunc_",
        "type_as",
        "uniform_",
        "where",
        "xlogy",
    ]
)

# Of sizes, of a shape that depends on data, or in half precision: not to be measured by scaling.
UNMEASURED = frozenset(
    [
        "_grouped_mm",
        "ctc_loss",
        "sym_constrain_range",
        "sym_constrain_range_for_size",
        "sym_numel",
        "sym_storage_offset",
        "sym_stride",
    ]
)


@pytest.mark.parametrize("name", OPERATORS)
def test_every_row_is_that_of_an_operator_of_torch(name):
    assert calls.operator_called(name) is not None


def test_every_rule_is_measured_and_stands_in_one_table():
    assert sorted(CASES) == sorted(RULES)
    assert sum(map(len, FAMILIES)) == len(OPERATORS)


def test_an_operator_that_stands_in_two_rows_is_refused():
    with pytest.raises(ValueError, match="The operator cat has two rows"):
        rows(("cat stack", Operator()), ("cat", Operator()))


def test_an_operator_without_a_row_is_one_of_which_nothing_is_known():
    assert operator_of("special_bessel_j0") == Operator()


@pytest.mark.parametrize("name", sorted(set(RULES) - UNMEASURED))
def test_rule_holds_and_leaves_all_that_there_is(name):
    if OLD and name == "bincount":
        pytest.skip(f"torch.export of {torch.__version__} takes weighted counts for whole numbers")
    exact = True
    for call in CASES[name]:
        module = Calling(name, call)
        flow, found = traced(module)
        assert (name if "::" in name else f"aten::{name}") in found
        assert not flow.unknown
        assert not disagreement(module, flow), inspect.getsource(call)
        count = len(list(module.parameters()))
        exact &= len(null_space(flow.constraints.rows, count)) == measured_dimension(module)
    assert exact == (name not in STRICT)
