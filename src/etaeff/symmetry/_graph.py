"""The graph of a forward pass, whichever tracer made it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx


@dataclass(frozen=True)
class Graph:
    """A forward pass as operators of ATen.

    Attributes:
        module: The operators. Placeholders that are no parameter and no constant are the flat
            inputs, in order.
        parameters: Parameter of each placeholder that is one.
        constants: Value of each placeholder that is a buffer or another tensor of the model.
        written: How many outputs, the first ones, are new values of buffers.
    """

    module: fx.GraphModule
    parameters: Mapping[str, str]
    constants: Mapping[str, Tensor]
    written: int = 0


def of_program(program: torch.export.ExportedProgram) -> Graph:
    """The graph of an exported program."""
    signature = program.graph_signature
    stored = {**program.constants, **program.state_dict}
    kept = {**signature.inputs_to_buffers, **signature.inputs_to_lifted_tensor_constants}
    return Graph(
        program.graph_module,
        dict(signature.inputs_to_parameters),
        {placeholder: stored[name] for placeholder, name in kept.items()},
        len(signature.buffers_to_mutate),
    )
