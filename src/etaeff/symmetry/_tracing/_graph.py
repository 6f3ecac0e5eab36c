"""The graph of a forward pass, whichever tracer made it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, fx

from etaeff.symmetry._tracing._nodes import attribute_of, is_in_place, is_written, name_of
from etaeff.symmetry._tracing._shared import shared_with_parameters
from etaeff.symmetry._tracing._torch import (
    draws,
    is_a_level,
    is_of_a_transform,
    with_whole_sizes,
)


@dataclass(frozen=True)
class Graph:
    """A forward pass as operators of ATen, without those that no output depends on.

    Attributes:
        module: The operators. Placeholders that are no parameter and no constant are the flat
            inputs, in order.
        parameters: Parameter of each placeholder that is one.
        constants: Value of each placeholder that is a buffer or another tensor of the model.
        shared: Parameters of which a constant shows a part, and what lies beside them.
        touched: Parameters that an operator read, be it that no output depends on it.
    """

    module: fx.GraphModule
    parameters: Mapping[str, str]
    constants: Mapping[str, Tensor]
    shared: Sequence[str] = ()
    touched: frozenset[str] = field(default=frozenset(), init=False)

    def read(self) -> set[str]:
        """The parameters that it reads."""
        nodes = self.module.graph.nodes
        return {self.parameters[n.name] for n in nodes if n.name in self.parameters and n.users}

    def takes_numbers_out(self) -> bool:
        """Whether a value leaves its tensor as a number, which has no gradient."""
        graphs = [m.graph for m in self.module.modules() if isinstance(m, fx.GraphModule)]
        names = {name_of(node) for graph in graphs for node in graph.nodes}
        return bool(names & {"item", "_local_scalar_dense"})

    def __post_init__(self) -> None:
        """Drop dead code: what it does to a weight is nothing to the outputs.

        What draws stays, or the next would draw its numbers.
        And sizes become whole numbers, so that nobody else needs to know of symbols.
        """
        object.__setattr__(self, "touched", frozenset(self.read()))
        self.module.graph.eliminate_dead_code(
            lambda node: (
                node.op in ("placeholder", "output") or is_in_place(node) or draws(node.target)
            )
        )
        for inner in self.module.modules():
            for node in inner.graph.nodes if isinstance(inner, fx.GraphModule) else ():
                if "val" in node.meta:
                    node.meta["val"] = with_whole_sizes(node.meta["val"])
        for node in self.module.graph.nodes:
            constant = self.constant(node)
            if constant is not None and constant.numel() == 1 and constant.is_floating_point():
                node.meta["number"] = float(constant)

    def constant(self, node: fx.Node) -> Tensor | None:
        """What a node holds, if it is a tensor of the model that the forward pass does not change.

        A buffer that may be written elsewhere, by a callback or between two steps, is taken as it
        is now: so is all that the audit says.
        """
        found: Any = None
        if node.op == "placeholder":
            found = self.constants.get(node.name)
        elif node.op == "get_attr":
            found = attribute_of(self.module, node)
        known = isinstance(found, Tensor) and not found.is_meta and not is_written(node)
        return found if known else None


def of_program(
    program: torch.export.ExportedProgram, own: Mapping[str, Tensor] = MappingProxyType({})
) -> Graph:
    """The graph of an exported program, which is used up; new values of buffers are left out.

    Args:
        program: Of a model.
        own: The parameters of the model by name.

    Raises:
        ValueError: If a transform of `torch.func` left values in it that were made of weights.
    """
    signature = program.graph_signature
    stored = {**program.constants, **program.state_dict}
    kept = {**signature.inputs_to_buffers, **signature.inputs_to_lifted_tensor_constants}
    output = program.graph.output_node()
    output.args = (tuple(output.args[0])[len(signature.buffers_to_mutate) :],)
    constants = {placeholder: stored[name] for placeholder, name in kept.items()}
    return graph_of(program.graph_module, signature.inputs_to_parameters, constants, own)


def graph_of(
    module: fx.GraphModule,
    parameters: Mapping[str, str],
    constants: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    memory: Mapping[str, Tensor] = MappingProxyType({}),
) -> Graph:
    """The graph, in which constants in the memory of a parameter are that parameter.

    Args:
        module: The operators; they are changed.
        parameters: Parameter of each placeholder that is one.
        constants: Value of each other placeholder that the model has.
        own: The parameters of the model by name.
        memory: Of constants whose value is a copy, the tensor that was copied.

    Raises:
        ValueError: If it cannot be run again, because a transform of `torch.func` begins in it.
    """
    held = [attribute_of(module, node) for node in module.graph.nodes if node.op == "get_attr"]
    levels = any(is_a_level(node.target) for node in module.graph.nodes)
    if levels or any(map(is_of_a_transform, [*constants.values(), *held])):
        raise ValueError("a transform of torch.func hides what its values are made of.")
    found = shared_with_parameters(module, parameters, constants, own, memory)
    return Graph(module, found.parameters, found.constants, found.held)
