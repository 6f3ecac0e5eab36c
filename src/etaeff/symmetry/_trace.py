"""Two tracers: `torch.export`, and where that fails a log of the operators that ran."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import torch
import torch.fx.traceback as metadata
import torch.utils._pytree as pytree
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from etaeff.errors import UsageError
from etaeff.symmetry._graph import Graph, of_program
from etaeff.symmetry._input import copied, tensors_in
from etaeff.symmetry._restore import unwritten
from etaeff.symmetry._words import described, told_in_line

# Not about the model: the machine, or the installation.
_ELSEWHERE: Final = (ImportError, OSError, MemoryError)


def export(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Graph | None, str]:
    """The graph of every path through `model`, or why there is none.

    Raises:
        UsageError: If the model itself fails on these arguments, with its own error.
    """
    with _quiet():
        try:
            program = torch.export.export(model, tuple(args), dict(kwargs), strict=False)
            return of_program(program), ""
        except Exception as error:
            failure = error
    refuse_if_it_fails(model, args, kwargs)
    if isinstance(failure, _ELSEWHERE):
        raise failure
    return None, told_in_line(failure)


def refuse_if_it_fails(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Run the model itself.

    Raises:
        UsageError: With the model's own error.
    """
    try:
        with _quiet(), torch.no_grad(), unwritten(model):
            model(*copied(args), **copied(kwargs))
    except Exception as error:
        raise UsageError(
            f"{type(model).__name__} fails on {described(args, kwargs)}: {told_in_line(error)}"
        ) from error


def dispatch_log(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Graph | None, str]:
    """The graph of the operators that ran on these arguments, or why there is none.

    It holds for the path that they took through the model.
    """
    values, shape = pytree.tree_flatten(copied((tuple(args), dict(kwargs))))
    parameters = {name: p.detach().clone() for name, p in model.named_parameters()}
    buffers = {name: b.detach().clone() for name, b in model.named_buffers()}

    def forward(*flat: Any) -> list[Any]:
        given = iter(flat)
        state = {name: next(given) for name in (*parameters, *buffers)}
        positional, named = pytree.tree_unflatten(list(given), shape)
        found = torch.func.functional_call(model, state, positional, named)
        return tensors_in(found)

    with _quiet(), metadata.preserve_node_meta(), _named_in_metadata(model):
        try:
            module = make_fx(forward, pre_dispatch=True, _error_on_data_dependent_ops=False)(
                *parameters.values(), *(b.clone() for b in buffers.values()), *values
            )
        except _ELSEWHERE:
            raise
        except Exception as error:
            return None, told_in_line(error)
    places = [node.name for node in module.graph.nodes if node.op == "placeholder"]
    split = len(parameters)
    return Graph(
        module,
        dict(zip(places, parameters, strict=False)),
        dict(zip(places[split:], buffers.values(), strict=False)),
    ), ""


@contextlib.contextmanager
def _named_in_metadata(model: nn.Module) -> Iterator[None]:
    """Every operator is told in which module it stands, as `torch.export` does."""
    stack: list[tuple[str, str]] = []
    paths = {module: path for path, module in model.named_modules()}

    def tell() -> None:
        metadata.current_meta["nn_module_stack"] = {path: (path, kind) for path, kind in stack}

    def entered(module: nn.Module, _: Any) -> None:
        stack.append((paths.get(module, ""), type(module).__name__))
        tell()

    def left(_module: nn.Module, _args: Any, _found: Any) -> None:
        stack.pop()
        tell()

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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what tracers warn of and log on their way to an exception, which we raise."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
