"""What a sample costs: counted on the graph, so that it is the same on every machine."""

from collections.abc import Iterable
from typing import Any, Final

from torch import Tensor, fx

from etaeff.symmetry._operators._products import PRODUCTS
from etaeff.symmetry._tracing._graph import Graph
from etaeff.symmetry._tracing._nodes import name_of

# In float64 on two cores: rough, and only compared with each other.
_PER_OPERATOR: Final = 150e-6  # seconds, forward and backward
_PER_ENTRY: Final = 20e-9  # of what operators put out
_PER_WEIGHT: Final = 40e-9  # to make it, twice, and to sum up its gradient
_PER_PRODUCT: Final = 3e-10  # one multiplication, forward and twice backward
_PER_TRACE: Final = 3e-3  # of an operator, to trace it


def sample_cost(graph: Graph) -> float:
    """Seconds of one forward and backward pass."""
    calls = [node for node in graph.module.graph.nodes if node.op == "call_function"]
    weights = sum(
        _entries(node.meta.get("val"))
        for node in graph.module.graph.nodes
        if node.name in graph.parameters
    )
    return (
        _PER_OPERATOR * len(calls)
        + _PER_WEIGHT * weights
        + _PER_ENTRY * sum(_entries(node.meta.get("val")) for node in calls)
        + _PER_PRODUCT * sum(_products(node) for node in calls if name_of(node) in PRODUCTS)
    )


def passes_in(graph: Graph | None, seconds: float, least: int, most: int) -> int:
    """How many samples some seconds are enough for; where there is no graph, as many as may be."""
    each = sample_cost(graph) if graph is not None else 0.0
    return most if each * most <= seconds else max(least, int(seconds / each))


def trace_cost(graph: Graph) -> float:
    """Seconds to trace it."""
    return _PER_TRACE * len(graph.module.graph.nodes)


def _products(node: fx.Node) -> float:
    """Multiplications of a product: (M K)(K N) = (M N) has the root of MK · KN · MN of them."""
    given = sorted(map(_entries, _values(node.all_input_nodes)), reverse=True)[:2]
    if len(given) < 2:
        return 0.0
    return float((given[0] * given[1] * _entries(node.meta.get("val"))) ** 0.5)


def _values(nodes: Iterable[fx.Node]) -> list[Any]:
    """What nodes put out, as far as it is known."""
    return [node.meta.get("val") for node in nodes]


def _entries(value: Any) -> int:
    """Entries of a tensor, or of those in a list; those of unknown number count as none."""
    if isinstance(value, list | tuple):
        return sum(map(_entries, value))
    if not isinstance(value, Tensor):
        return 0
    count = value.numel()
    return count if isinstance(count, int) else 0
