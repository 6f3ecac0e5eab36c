"""The second tracer: a log of the operators that ran."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from etaeff.symmetry._tracing._decisions import Listener
from etaeff.symmetry._tracing._export import MACHINE_ERRORS, quiet
from etaeff.symmetry._tracing._graph import Graph, graph_of
from etaeff.symmetry._tracing._torch import flattened, in_plain_torch, logged, tell_modules
from etaeff.symmetry._tracing._values import copied, tensors_in
from etaeff.symmetry._words import in_a_line


def dispatch_log(
    model: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    listener: Listener,
    *,
    taken_apart: bool = False,
) -> tuple[Graph | None, str]:
    """The graph of the operators that ran on these arguments, or why there is none.

    It holds for the path that they took through the model, of which `listener` hears.

    Args:
        model: The model.
        args: Positional arguments of its forward pass.
        kwargs: Keyword arguments.
        listener: It has heard nothing yet.
        taken_apart: See `logged`.
    """
    values, put_together = flattened(copied((tuple(args), dict(kwargs))))
    parameters = {name: p.detach().clone() for name, p in model.named_parameters()}
    buffers = {name: b.detach().clone() for name, b in model.named_buffers()}

    def forward(*flat: Any) -> list[Any]:
        given = iter(flat)
        state = {name: next(given) for name in (*parameters, *buffers)}
        positional, named = put_together(list(given))
        with listener:
            result = torch.func.functional_call(model, state, positional, named)
        return tensors_in(result)

    with quiet(), in_plain_torch(), _named_in_metadata(model):
        try:
            copies = (b.clone() for b in buffers.values())
            module = logged(
                forward, [*parameters.values(), *copies, *values], taken_apart=taken_apart
            )
            return _graph(model, module, parameters, buffers), ""
        except MACHINE_ERRORS:
            raise
        except Exception as error:
            return None, in_a_line(error)


def _graph(
    model: nn.Module,
    module: fx.GraphModule,
    parameters: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
) -> Graph:
    """The graph of a log whose first placeholders are the parameters, and the next the buffers."""
    placeholders = [node.name for node in module.graph.nodes if node.op == "placeholder"]
    inside = placeholders[len(parameters) :]
    return graph_of(
        module,
        dict(zip(placeholders, parameters, strict=False)),
        dict(zip(inside, buffers.values(), strict=False)),
        dict(model.named_parameters()),
        dict(zip(inside, (b for _, b in model.named_buffers()), strict=False)),
    )


@contextlib.contextmanager
def _named_in_metadata(model: nn.Module) -> Iterator[None]:
    """Every operator is told in which module it stands, as `torch.export` does."""
    stack: list[tuple[str, str]] = []
    paths = {module: path for path, module in model.named_modules()}

    def entered(module: nn.Module, _: Any) -> None:
        stack.append((paths.get(module, ""), type(module).__name__))
        tell_modules(stack)

    def left(_module: nn.Module, _args: Any, _found: Any) -> None:
        stack.pop()
        tell_modules(stack)

    hooks = nn.modules.module
    handles = [
        hooks.register_module_forward_pre_hook(entered),
        hooks.register_module_forward_hook(left, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
