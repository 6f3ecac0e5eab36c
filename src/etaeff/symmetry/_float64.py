"""A traced model run in float64, with its ε taken away and its chance switched off."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, fx

from etaeff.symmetry._special import EPSILON

TINY: Final = 1e-30  # batch_norm refuses an ε of zero
_REAL: Final = (torch.float16, torch.bfloat16, torch.float32)
_CONSTANT_ADDED: Final = {"add", "add_"}
_CLAMPED: Final = {"clamp", "clamp_", "clamp_min", "clamp_min_"}
_CHANCE: Final = {"dropout", "dropout_", "feature_dropout", "alpha_dropout", "native_dropout"}


class Float64(fx.Interpreter):
    """Runs a graph with float64 in place of every other real type.

    Args:
        module: The graph.
        own_epsilon: Keep ε as the model has it.
    """

    def __init__(self, module: fx.GraphModule, *, own_epsilon: bool) -> None:
        """Ready to `run`."""
        super().__init__(module, garbage_collect_values=True)
        self.own_epsilon = own_epsilon

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Constants in float64."""
        found = super().get_attr(target, args, kwargs)
        return double(found)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """One operator, with its ε and types replaced."""
        if not isinstance(target, torch._ops.OpOverload):
            graphs = [a for a in args if isinstance(a, fx.GraphModule)]
            if graphs:
                inner = Float64(graphs[0], own_epsilon=self.own_epsilon)
                position = args.index(graphs[0])
                grad = torch.is_grad_enabled()
                if position and isinstance(args[0], bool) and "grad" in str(target):
                    grad = args[0]
                with torch.set_grad_enabled(grad):
                    return inner.run(*args[position + 1 :], *kwargs.values())
            return super().call_function(target, args, kwargs)
        name = str(target).split(".")[1]
        if name in _CHANCE:
            return args[0] if name != "native_dropout" else (args[0], torch.ones_like(args[0]))
        schema = [argument.name for argument in target._schema.arguments]
        given = dict(zip(schema, args, strict=False)) | dict(kwargs)
        changed = {key: self._replaced(name, key, value) for key, value in given.items()}
        if "dropout_p" in changed:
            changed["dropout_p"] = 0.0
        position_only = [changed[key] for key in schema[: len(args)]]
        return target(*position_only, **{k: changed[k] for k in kwargs})

    def _replaced(self, name: str, key: str, value: Any) -> Any:
        if isinstance(value, torch.dtype):
            return torch.float64 if value in _REAL else value
        if key == "padding_idx":
            return -1  # its row is told no gradient, whatever it does
        if self.own_epsilon:
            return value
        if key in ("eps", "epsilon") and isinstance(value, float):
            return TINY
        added = (name in _CONSTANT_ADDED and key == "other") or (name in _CLAMPED and key == "min")
        if added and isinstance(value, int | float) and 0 < value <= EPSILON:
            return TINY
        return value


def runner(
    program: torch.export.ExportedProgram, *, own_epsilon: bool
) -> Callable[[Mapping[str, Tensor], Sequence[Any]], list[Tensor]]:
    """The model as a function of its parameters (by name) and its flat inputs.

    It returns the outputs that hold real numbers. Buffers are as they were when it was traced.
    """
    signature = program.graph_signature
    interpreter = Float64(program.graph_module, own_epsilon=own_epsilon)
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]

    def run(parameters: Mapping[str, Tensor], inputs: Sequence[Any]) -> list[Tensor]:
        waiting = iter(inputs)
        values = []
        for node in placeholders:
            if node.name in signature.inputs_to_parameters:
                values.append(parameters[signature.inputs_to_parameters[node.name]])
            elif node.name in signature.inputs_to_buffers:
                values.append(_stored(program, signature.inputs_to_buffers[node.name]))
            elif node.name in signature.inputs_to_lifted_tensor_constants:
                name = signature.inputs_to_lifted_tensor_constants[node.name]
                values.append(double(program.constants[name]))
            else:
                values.append(double(next(waiting)))
        found = interpreter.run(*values)
        interpreter.args_iter = iter(())  # it would hold the weights until the next run
        flat = found if isinstance(found, list | tuple) else [found]
        outputs = flat[len(signature.buffers_to_mutate) :]
        return [v for v in outputs if isinstance(v, Tensor) and v.is_floating_point()]

    return run


def double(value: Any) -> Any:
    """A copy in float64 of a real tensor; anything else as it is, tensors copied."""
    if not isinstance(value, Tensor):
        return value
    if value.dtype in (*_REAL, torch.float64):
        return (
            value.detach().to(torch.float64).clone() if not value.requires_grad else value.double()
        )
    return value.detach().clone()


def _stored(program: torch.export.ExportedProgram, name: str) -> Any:
    held = program.state_dict.get(name)
    return double(program.constants[name] if held is None else held)
