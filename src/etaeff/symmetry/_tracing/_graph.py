"""The graph of a forward pass, whichever tracer made it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from etaeff.symmetry._tracing._nodes import is_in_place, is_written
from etaeff.symmetry._tracing._torch import is_of_a_transform


@dataclass(frozen=True)
class Graph:
    """A forward pass as operators of ATen, without those that no output depends on.

    Attributes:
        module: The operators. Placeholders that are no parameter and no constant are the flat
            inputs, in order.
        parameters: Parameter of each placeholder that is one.
        constants: Value of each placeholder that is a buffer or another tensor of the model.
    """

    module: fx.GraphModule
    parameters: Mapping[str, str]
    constants: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        """Drop dead code: what it does to a weight is nothing to the outputs."""
        self.module.graph.eliminate_dead_code(
            lambda node: node.op in ("placeholder", "output") or is_in_place(node)
        )
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
            found = self.module
            for part in str(node.target).split("."):
                found = getattr(found, part)
        known = isinstance(found, Tensor) and not found.is_meta and not is_written(node)
        return found if known else None


def of_program(program: torch.export.ExportedProgram) -> Graph:
    """The graph of an exported program, which is used up; new values of buffers are left out.

    Raises:
        ValueError: If a transform of `torch.func` left values in it that were made of weights.
    """
    signature = program.graph_signature
    if any(map(is_of_a_transform, program.constants.values())):
        raise ValueError("a transform of torch.func hides what its values are made of.")
    stored = {**program.constants, **program.state_dict}
    kept = {**signature.inputs_to_buffers, **signature.inputs_to_lifted_tensor_constants}
    output = program.graph.output_node()
    output.args = (tuple(output.args[0])[len(signature.buffers_to_mutate) :],)
    return Graph(
        program.graph_module,
        dict(signature.inputs_to_parameters),
        {placeholder: stored[name] for placeholder, name in kept.items()},
    )
