"""Constants that lie in the memory of a parameter: they are that parameter under another name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from etaeff.symmetry._tracing._nodes import attribute_of
from etaeff.symmetry._tracing._torch import address_of, entries, has_memory


@dataclass(frozen=True)
class Shared:
    """What a graph reads once its constants are looked at.

    Attributes:
        parameters: Parameter of each placeholder that is one, with those that were constants.
        constants: Those that are left.
        held: Parameters that share memory in part with a constant that goes beyond them.
    """

    parameters: dict[str, str]
    constants: dict[str, Tensor]
    held: tuple[str, ...]


def shared_with_parameters(
    module: fx.GraphModule,
    parameters: Mapping[str, str],
    constants: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    memory: Mapping[str, Tensor],
) -> Shared:
    """Make constants of a graph parameters where they lie in their memory.

    Args:
        module: The graph; it is changed.
        parameters: Parameter of each placeholder that is one.
        constants: Value of each other placeholder that the model has.
        own: The model's parameters by name.
        memory: Of constants whose value is a copy, the tensor that was copied.
    """
    found, left, held = dict(parameters), dict(constants), []
    placeholders = {node.name: node for node in module.graph.nodes if node.op == "placeholder"}
    of_parameter = {name: placeholders[key] for key, name in parameters.items()}
    attributes = [node for node in module.graph.nodes if node.op == "get_attr"]
    nodes = [placeholders[name] for name in constants] + attributes
    for node in nodes:
        value = memory.get(node.name, constants.get(node.name, attribute_of(module, node)))
        name = next(_in_the_memory_of(value, own), None)
        if name is None:
            continue
        if not _is_within(value, own[name]) or name not in of_parameter:
            held.append(name)
            continue
        if node.op == "placeholder" and _is_the_same(value, own[name]):
            found[node.name] = name
            del left[node.name]
            continue
        _replace(node, of_parameter[name], value, own[name])
    return Shared(found, left, tuple(held))


def _in_the_memory_of(value: Any, own: Mapping[str, Tensor]) -> Iterator[str]:
    """The parameters that share memory with a value."""
    if not isinstance(value, Tensor) or not has_memory(value) or not value.numel():
        return
    first, last = _bytes(value)
    for name, parameter in own.items():
        if not has_memory(parameter) or address_of(parameter) != address_of(value):
            continue
        start, end = _bytes(parameter)
        if first < end and start < last:
            yield name


def _is_within(value: Tensor, parameter: Tensor) -> bool:
    """Whether a value is a view of a parameter, entry for entry."""
    if value.dtype != parameter.dtype:
        return False
    (first, last), (start, end) = entries(value), entries(parameter)
    laid_out = parameter.is_contiguous() or _is_the_same(value, parameter)
    return laid_out and start <= first and last <= end


def _is_the_same(value: Tensor, parameter: Tensor) -> bool:
    """Whether each entry is where that of the parameter is."""
    return (value.shape, value.stride(), value.storage_offset(), value.dtype) == (
        parameter.shape, parameter.stride(), parameter.storage_offset(), parameter.dtype,
    )  # fmt: skip


def _bytes(tensor: Tensor) -> tuple[int, int]:
    """Where a tensor begins and ends in its memory."""
    first, last = entries(tensor)
    return first * tensor.element_size(), (last + 1) * tensor.element_size()


def _replace(node: fx.Node, source: fx.Node, value: Tensor, parameter: Tensor) -> None:
    """Let what reads a constant read a view of the parameter."""
    graph = node.graph
    first_call = next(n for n in graph.nodes if n.op != "placeholder")
    with graph.inserting_before(first_call):
        offset = int(value.storage_offset() - parameter.storage_offset())
        target = torch.ops.aten.as_strided.default
        shape, stride = list(value.shape), list(value.stride())
        view = graph.call_function(target, (source, shape, stride, offset))
    view.meta["val"] = torch.empty_strided(shape, stride, dtype=value.dtype, device="meta")
    node.replace_all_uses_with(view)
    if node.op == "get_attr":
        graph.erase_node(node)
