"""The graph of a model, if one of the tracers can follow it; and how to run the model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from etaeff.records.audits import Note, NoteKind
from etaeff.symmetry._measurement._comparison import Both, compared
from etaeff.symmetry._measurement._eager import Eager
from etaeff.symmetry._measurement._float64 import Run, runner, together
from etaeff.symmetry._measurement._weights import Lazy
from etaeff.symmetry._progress import stage
from etaeff.symmetry._tracing._chance import Generators
from etaeff.symmetry._tracing._decisions import Decision, Listener
from etaeff.symmetry._tracing._export import export
from etaeff.symmetry._tracing._graph import Graph
from etaeff.symmetry._tracing._log import dispatch_log
from etaeff.symmetry._tracing._values import is_zero
from etaeff.symmetry._words import in_a_line

_DRAWS: Final = 8  # of chance that decides which operators run

_SHARED: Final = "it shares memory with a tensor of the model that goes beyond it."


@dataclass(frozen=True)
class Subject:
    """What is traced.

    Attributes:
        model: In the mode in which it is traced.
        args: Positional arguments of its forward pass.
        kwargs: Keyword arguments.
        tensors: Parameters by their first name.
        aliases: First name of every name.
        inputs: Flat inputs.
        generators: That it may draw from.
        device: Where it is measured; by default, where its tensors are.
    """

    model: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tensors: Mapping[str, Tensor]
    aliases: Mapping[str, str]
    inputs: Sequence[Any]
    generators: Generators
    device: torch.device | None = None


@dataclass(frozen=True)
class Traced:
    """What the tracers found.

    Attributes:
        run: How to run the model with its own ε or without.
        tracer: See `Audit`.
        graph: Of the draw of chance that reads most parameters; `None` if no tracer follows it.
        other_draws: Graphs of other draws, where they are other graphs.
        held: Why a parameter cannot be scaled alone, by name.
    """

    run: Callable[[bool], Run]
    tracer: str = "none"
    graph: Graph | None = None
    other_draws: Sequence[Graph] = ()
    held: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Trace:
    """What one tracer found under one draw of chance.

    Attributes:
        graph: If there is one.
        failure: Why there is none.
        by_chance: Whether chance may have decided which operators ran.
        decisions: What Python was told.
    """

    graph: Graph | None
    failure: str = ""
    by_chance: bool = False
    decisions: Sequence[Decision] = field(default_factory=list)


def traced(subject: Subject, notes: list[Note]) -> Traced:
    """Follow a model by the first tracer whose graph does what the model does."""
    with subject.generators.unchanged():
        reasons: list[str] = []
        for tracer, trace in _TRACERS:
            stage(f"tracing by {tracer}")
            first = _drawn(trace, subject, 0)
            doubt = _doubt(subject, first, 0, notes) if first.graph is not None else first.failure
            if first.graph is not None and not doubt:
                if reasons:
                    notes.append(NoteKind.LOGGED.note(failure=reasons[0]))
                return _of_draws(trace, subject, first, first.graph, tracer, notes)
            reasons.append(doubt)
    notes.append(NoteKind.NOT_TRACED.note(failure=reasons[0], reason=reasons[1]))
    return Traced(lambda own_epsilon: _followed(subject, own_epsilon))


def _drawn(trace: Callable[[Subject], _Trace], subject: Subject, draw: int) -> _Trace:
    """One trace, with all chance begun anew where the model is entered."""
    generators = subject.generators
    torch.manual_seed(draw)
    generators.seed(draw)
    before = generators.states()

    def entered(module: nn.Module, _: Any) -> None:
        if module is subject.model:
            generators.seed(draw)

    hook = nn.modules.module.register_module_forward_pre_hook(entered)  # scripts have no others
    try:
        found = trace(subject)
    finally:
        hook.remove()
    return replace(found, by_chance=found.by_chance or generators.states() != before)


def _exported(subject: Subject) -> _Trace:
    """By `torch.export`, whose graph is that of every path that weights and inputs can take."""
    return _Trace(*export(subject.model, subject.args, subject.kwargs))


def _logged(subject: Subject) -> _Trace:
    """By a log of the operators that ran."""
    return _heard(subject, taken_apart=False)


def _logged_apart(subject: Subject) -> _Trace:
    """By a log of what autograd and transforms of `torch.func` make of them."""
    return _heard(subject, taken_apart=True)


def _heard(subject: Subject, *, taken_apart: bool) -> _Trace:
    """A log, and what Python was told."""
    listener = Listener()
    given = subject.model, subject.args, subject.kwargs
    graph, failure = dispatch_log(*given, listener, taken_apart=taken_apart)
    return _Trace(graph, failure, listener.by_chance, listener.decisions)


_TRACERS: Final = (
    ("torch.export", _exported),
    ("dispatch log", _logged),
    ("dispatch log", _logged_apart),
)


def _doubt(subject: Subject, trace: _Trace, draw: int, notes: list[Note]) -> str:
    """Why a graph is not that of the model; nothing if it is."""
    assert trace.graph is not None
    if any(tensor.is_meta for tensor in subject.tensors.values()):
        return ""  # it has no numbers to be compared

    def begin() -> None:
        torch.manual_seed(draw)
        subject.generators.seed(draw)

    stage("comparing the graph with the model")
    given = subject.model, subject.args, subject.kwargs

    def both(own_types: bool) -> Both:
        assert trace.graph is not None
        kept: dict[str, Any] = {
            "own_epsilon": True, "own_types": own_types, "device": subject.device,
        }  # fmt: skip
        return Both(
            runner(trace.graph, **kept),
            Eager(*given, **kept, decisions=trace.decisions),
            subject.tensors,
            subject.aliases,
            subject.inputs,
            begin,
            own_types,
            subject.device,
        )

    found = compared(both(own_types=False), both(own_types=True))
    if found.failure is not None:
        notes.append(NoteKind.NOT_COMPARED.note(error=in_a_line(found.failure)))
    return found.difference


def _of_draws(
    trace: Callable[[Subject], _Trace],
    subject: Subject,
    first: _Trace,
    graph: Graph,
    tracer: str,
    notes: list[Note],
) -> Traced:
    """The graph, and those of other draws where chance may decide which operators run."""
    if not first.by_chance:
        held = _held(subject, [graph])
        return Traced(_runner_of([graph], subject), tracer, graph, held=held)
    graphs = {_content(graph): graph}
    for draw in range(1, _DRAWS):
        other = _drawn(trace, subject, draw).graph
        if other is not None:
            graphs.setdefault(_content(other), other)
    notes.append(NoteKind.CHANCE.note(draws=_DRAWS, graphs=_told(len(graphs))))
    kept = _without_drops(list(graphs.values()))
    held = _held(subject, list(graphs.values()))
    return Traced(_runner_of(kept, subject), tracer, kept[0], kept[1:], held)


def _held(subject: Subject, graphs: Sequence[Graph]) -> dict[str, str]:
    """Parameters that cannot be scaled alone, with the reason."""
    shared = {subject.aliases[name] for graph in graphs for name in graph.shared}
    return dict.fromkeys(sorted(shared), _SHARED)


def _told(graphs: int) -> str:
    """How many graphs came of the draws."""
    return "all took the same path" if graphs == 1 else f"{graphs} took paths of their own"


def _without_drops(graphs: Sequence[Graph]) -> list[Graph]:
    """The graphs of which no other reads all that it reads, and more; first what reads most.

    A branch that chance drops is kept so, as dropout is off. Whether a drop was among the draws
    decides nothing then.
    """
    kept = [one for one in graphs if not any(one.read() < other.read() for other in graphs)]
    return sorted(kept, key=lambda one: -len(one.read()))


def _content(graph: Graph) -> str:
    """Two graphs are the same to the proof if this is."""
    zeros = {name: is_zero(value) for name, value in graph.constants.items()}
    return f"{graph.module.graph} {graph.parameters} {zeros}"


def _runner_of(graphs: Sequence[Graph], subject: Subject) -> Callable[[bool], Run]:
    """How to run graphs with their own ε or without."""

    def run(own_epsilon: bool) -> Run:
        return together(
            [runner(graph, own_epsilon=own_epsilon, device=subject.device) for graph in graphs]
        )

    return run


def _followed(subject: Subject, own_epsilon: bool) -> Run:
    """The model's own code; all chance follows torch's."""
    given = subject.model, subject.args, subject.kwargs
    model = Eager(*given, own_epsilon=own_epsilon, device=subject.device)

    def run(parameters: Mapping[str, Lazy], inputs: Sequence[Any]) -> list[Tensor]:
        subject.generators.seed(int(torch.randint(2**31, ())))
        return model(parameters, inputs)

    return run
