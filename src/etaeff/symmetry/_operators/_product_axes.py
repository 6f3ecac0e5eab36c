"""Which axes of products belong together: matrices, convolutions, attention, einsum."""

from typing import Any

from etaeff.symmetry._operators._axes import Axes, AxesRule, Key, Labels, broadcast
from etaeff.symmetry._operators._call import Call, Value


def _shape(call: Call, name: str) -> tuple[int, ...]:
    value = call.arguments.get(name)
    return value.shape if isinstance(value, Value) else ()


def linear(call: Call) -> Axes | None:
    """Rows of the weight are features of the result."""
    given, weight = _shape(call, "input"), _shape(call, "weight")
    if len(weight) != 2 or not given:
        return None
    leading = list(range(len(given) - 1))
    labels: dict[Key, Labels] = {"input": [*leading, "k"], "weight": ["n", "k"], "bias": ["n"]}
    return Axes(labels, [*leading, "n"])


def matrices(left: str, right: str) -> AxesRule:
    """The rule of products of matrices, perhaps of many at a time."""

    def rule(call: Call) -> Axes | None:
        first, second = _shape(call, left), _shape(call, right)
        if len(first) < 2 or len(second) < 2:
            return None
        batch = call.shape[:-2]
        result = [*range(len(batch)), "m", "n"]
        given: dict[Key, Labels] = {
            left: [*broadcast(first[:-2], batch), "m", "k"],
            right: [*broadcast(second[:-2], batch), "k", "n"],
        }
        if _shape(call, "self") and "self" not in (left, right):  # it is added
            given["self"] = broadcast(_shape(call, "self"), call.shape, result)
        return Axes(given, result)

    return rule


def grouped(left: str, right: str) -> AxesRule:
    """The rule of rows that are multiplied by the matrix of their group."""

    def rule(call: Call) -> Axes | None:
        if len(_shape(call, left)) != 2 or len(_shape(call, right)) != 3:
            return None
        return Axes({left: [None, "k"], right: [None, "k", "n"]}, [None, "n"])

    return rule


def convolution(call: Call) -> Axes | None:
    """Channels; where each has its own filter, those of the input too."""
    given, weight = _shape(call, "input"), _shape(call, "weight")
    if len(given) != len(weight) or call.name.startswith("conv_transpose"):
        return None
    groups = call.arguments.get("groups", 1)
    reads: Any = "k" if groups == 1 else "n" if groups == given[1] == weight[0] else None
    space = [None] * (len(given) - 2)
    inner = "k" if groups == 1 else None
    labels: dict[Key, Labels] = {
        "input": ["batch", reads, *space],
        "weight": ["n", inner, *space],
        "bias": ["n"],
    }
    return Axes(labels, ["batch", "n", *space])


def attention(call: Call) -> Axes | None:
    """Heads, queries and features; what is summed over is demanded of each of its parts."""
    batch = call.shape[:-2]
    names = ("query", "key", "value")
    if any(len(_shape(call, name)) != len(call.shape) for name in names):
        return None
    query, key, value = (broadcast(_shape(call, name)[:-2], batch) for name in names)
    result = [*range(len(batch)), "queries", "features"]
    given: dict[Key, Labels] = {
        "query": [*query, "queries", "inner"],
        "key": [*key, "keys", "inner"],
        "value": [*value, "keys", "features"],
    }
    return Axes(given, result)


def einsum(call: Call) -> Axes | None:
    """What the equation says."""
    equation = str(call.arguments.get("equation", "")).replace(" ", "")
    tensors = call.arguments.get("tensors", [])
    if "." in equation or "->" not in equation:
        return None
    reads, result = equation.split("->")
    words = reads.split(",")
    if any(len(set(word)) < len(word) for word in words):  # a diagonal
        return None
    given: dict[Key, Labels] = {("tensors", i): list(word) for i, word in enumerate(words)}
    return Axes(given, list(result)) if len(words) == len(tensors) else None
