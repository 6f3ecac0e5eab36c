"""Biases that a later operator forgets: the small calculus of shifts.

A constant added along an axis is forgotten by a mean that is subtracted over the others: a
convolution's bias by Batch and Instance Normalization in training. A vector added to every key is
forgotten by the softmax over the keys.
"""

from collections.abc import Iterator
from typing import Any, Final

import torch
from torch import fx

# They neither mix entries nor change values.
_SHAPE_ONLY: Final = frozenset(
    """view reshape _unsafe_view unflatten flatten transpose permute contiguous clone unsqueeze
    squeeze movedim to alias detach""".split()  # noqa: SIM905
)
_LINEAR: Final = frozenset(
    (
        "linear",
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
    )
)
_FORGETS_CHANNELS: Final = frozenset(("batch_norm", "instance_norm"))


def forgotten_biases(program: torch.export.ExportedProgram) -> set[str]:
    """Names of biases that the graph shows to have no effect."""
    found = set()
    names = program.graph_signature.inputs_to_parameters
    for node in program.graph.nodes:
        if node.op != "call_function" or _name(node) not in _LINEAR or len(node.args) < 3:
            continue
        bias = node.args[2]
        if isinstance(bias, fx.Node) and bias.name in names and len(bias.users) == 1:
            readers = list(_readers(node))
            if readers and all(_forgets(before, reader) for before, reader in readers):
                found.add(names[bias.name])
    return found


def _readers(node: fx.Node) -> Iterator[tuple[fx.Node, fx.Node]]:
    """Operators that read a value, those that only change its shape passed through."""
    for user in node.users:
        if user.op == "call_function" and _name(user) in _SHAPE_ONLY:
            yield from _readers(user)
        else:
            yield node, user


def _forgets(value: fx.Node, reader: fx.Node) -> bool:
    name = _name(reader)
    if name in _FORGETS_CHANNELS:
        training = reader.args[5] if len(reader.args) > 5 else True
        untouched = value.op == "call_function" and _name(value) in _LINEAR - {"linear"}
        flat = value.op == "call_function" and _name(value) == "linear" and _ndim(value) == 2
        return reader.args[0] is value and bool(training) and (untouched or flat)
    if name == "scaled_dot_product_attention":
        return reader.args[1] is value and value not in (reader.args[0], reader.args[2])
    return False


def _ndim(node: fx.Node) -> int:
    meta: Any = node.meta.get("val")
    return meta.ndim if isinstance(meta, torch.Tensor) else -1


def _name(node: fx.Node) -> str:
    parts = str(node.target).split(".")
    return parts[1] if len(parts) > 2 else str(node.target)
