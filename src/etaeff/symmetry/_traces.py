"""The graph of a model, if one of the tracers can follow it; and how to run the model."""

from collections.abc import Callable
from typing import Any

from torch import nn

from etaeff.records.audits import Note, NoteKind
from etaeff.symmetry._measurement._eager import difference_elsewhere, eager
from etaeff.symmetry._measurement._float64 import Run, runner
from etaeff.symmetry._progress import stage
from etaeff.symmetry._tracing._export import export
from etaeff.symmetry._tracing._graph import Graph
from etaeff.symmetry._tracing._log import dispatch_log
from etaeff.symmetry._words import in_a_line


def traced(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], notes: list[Note]
) -> tuple[Graph | None, Callable[[bool], Run], str]:
    """The graph, if there is one; how to run the model with its own ε or without; the tracer."""
    stage("tracing with torch.export")
    graph, failure = export(model, args, kwargs)
    if graph is not None:
        return graph, _runner_of(graph), "torch.export"
    stage("logging the operators, as torch.export cannot trace it")
    graph, reason = dispatch_log(model, args, kwargs)
    if graph is not None:
        stage("comparing the log with the model")
        try:
            reason = difference_elsewhere(model, args, kwargs, graph)
        except Exception as error:
            notes.append(NoteKind.LOG_NOT_COMPARED.note(error=in_a_line(error)))
    if graph is not None and not reason:
        notes.append(NoteKind.LOGGED.note(failure=failure))
        return graph, _runner_of(graph), "dispatch log"
    notes.append(NoteKind.NOT_TRACED.note(failure=failure, reason=reason))
    return None, lambda own_epsilon: eager(model, args, kwargs), "none"


def _runner_of(graph: Graph) -> Callable[[bool], Run]:
    """How to run a graph with its own ε or without."""
    return lambda own_epsilon: runner(graph, own_epsilon=own_epsilon)
