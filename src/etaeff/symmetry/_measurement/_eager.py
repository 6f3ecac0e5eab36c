"""A model that no tracer can follow, run as it is in float64."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from etaeff.symmetry._measurement._float64 import TINY, Run, real, runner, scaled
from etaeff.symmetry._measurement._weights import Lazy
from etaeff.symmetry._tracing._graph import Graph
from etaeff.symmetry._tracing._torch import leaves, taken_apart
from etaeff.symmetry._tracing._values import copied, tensors_in

_NEARBY_FACTOR: Final = 1 + 1e-3
_EXACT_GAP: Final = 1e-9
_FLOAT32_GAP: Final = 1e-5
_DROPOUTS: Final = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
_EPSILON_NAMES: Final = ("eps", "epsilon", "variance_epsilon", "layer_norm_eps")


def eager(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], *, own_epsilon: bool = False
) -> Run:
    """A copy of `model` in float64 as a function of its parameters and flat inputs.

    Dropout is off, and so is ε where a module holds it.

    Args:
        model: The model.
        args: Positional arguments, for their structure.
        kwargs: Keyword arguments.
        own_epsilon: Keep ε as the model has it.
    """
    wide = copy.deepcopy(model).to("cpu", torch.float64)
    for module in wide.modules():
        for name in () if own_epsilon else _EPSILON_NAMES:
            alone = isinstance(module, nn.RMSNorm)  # whose ε may be None, its type's own
            if isinstance(getattr(module, name, None), float) or (alone and name == "eps"):
                setattr(module, name, TINY)
        if isinstance(module, _DROPOUTS):
            module.p = 0.0
    _, put_together = taken_apart((tuple(args), dict(kwargs)))

    def run(parameters: Mapping[str, Lazy], inputs: Sequence[Any]) -> list[Tensor]:
        whole = [
            v.double() if isinstance(v, Tensor) and v.is_floating_point() else v for v in inputs
        ]
        positional, named = put_together(copied(whole))
        made = {name: weight.make() for name, weight in parameters.items()}
        result = torch.func.functional_call(wide, made, positional, named)
        return real(tensors_in(result))

    return run


def difference_elsewhere(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], graph: Graph
) -> str:
    """Why a graph does not follow the model at other weights; nothing if it does.

    It does not if the log missed a number, which the model took out of a tensor by way of NumPy.
    """
    inputs = leaves((tuple(args), dict(kwargs)))
    gaps = []
    runs = (eager(model, args, kwargs, own_epsilon=True), runner(graph, own_epsilon=True))
    with torch.no_grad():
        for factor in (1.0, _NEARBY_FACTOR):
            weights = {n: scaled(p, factor) for n, p in model.named_parameters()}
            left, right = (_with_the_same_chance(run, weights, inputs) for run in runs)
            pairs = zip(left, right, strict=True)
            gaps.append(max((_gap(a, b) for a, b in pairs), default=0.0))
    at_weights, nearby = gaps
    # What was computed in float32 parts them a little.
    if nearby <= _EXACT_GAP or (at_weights <= _FLOAT32_GAP and nearby <= 100 * at_weights):
        return ""
    return "at other weights it does not do what the model does."


def _with_the_same_chance(
    run: Run, weights: Mapping[str, Lazy], inputs: Sequence[Any]
) -> list[Tensor]:
    """Outputs with the random numbers of seed 0."""
    torch.manual_seed(0)
    return run(weights, inputs)


def _gap(left: Tensor, right: Tensor) -> float:
    """Largest difference, beside the largest entry."""
    if not left.numel():
        return 0.0
    return float((left - right).abs().max() / left.abs().max().clamp_min(1e-300))
