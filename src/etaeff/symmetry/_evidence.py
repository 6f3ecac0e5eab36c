"""All that is known of a model before anything is said of it: its graph, and samples of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from etaeff.records.audits import Note, NoteKind
from etaeff.symmetry._measurement._differences import difference_samples
from etaeff.symmetry._measurement._experiment import Experiment
from etaeff.symmetry._measurement._float64 import Run
from etaeff.symmetry._measurement._replacing import Replacement, Trials
from etaeff.symmetry._measurement._samples import Sample, quick_samples, samples
from etaeff.symmetry._measurement._whole import gradients_are_whole
from etaeff.symmetry._traces import Subject, traced
from etaeff.symmetry._tracing._chance import Generators
from etaeff.symmetry._tracing._export import check_that_it_runs
from etaeff.symmetry._tracing._graph import Graph
from etaeff.symmetry._words import described, in_a_line


@dataclass(frozen=True)
class Evidence:
    """All that is known of a model.

    Attributes:
        tensors: Parameters by their first name.
        aliases: First name of every name.
        inputs: Flat inputs.
        held: Why a parameter cannot be scaled by training, such as a frozen one, by name.
        device: Where all of it is measured; by default, where each tensor is.
        graph: The traced model; `None` if it cannot be traced.
        other_draws: Its graphs under other draws of chance, where they are other graphs.
        experiment: The model with every ε taken away; `None` if nothing was measured.
        drawn: Samples with every ε taken away; none if nothing was measured.
        trials: Runs of it with other weights; `None` if nothing was measured.
        own_epsilon: Samples with the model's own ε.
        gradients_tell: Whether all that moves an output shows in gradients.
        tracer: What made the graph; see `Audit`.
    """

    tensors: Mapping[str, Tensor]
    aliases: Mapping[str, str]
    inputs: Sequence[Any]
    held: Mapping[str, str] = field(default_factory=dict)
    device: torch.device | None = None
    graph: Graph | None = None
    other_draws: Sequence[Graph] = ()
    experiment: Experiment | None = None
    drawn: Sequence[Sample] = ()
    trials: Trials | None = None
    own_epsilon: Sequence[Sample] = ()
    gradients_tell: bool = True
    tracer: str = "none"

    def moved(self, other: Replacement, draw: int = 0, base: Replacement | None = None) -> float:
        """How far outputs move when weights are replaced; see `Trials`."""
        assert self.trials is not None
        return self.trials.moved(other, draw, base)

    def more(
        self, seed: int, losses: int, powers: Mapping[str, float], *, by_gradients: bool = True
    ) -> list[Sample]:
        """Further samples at one point, without slices; by differences they cost more."""
        assert self.experiment is not None
        take = quick_samples if by_gradients else difference_samples
        return take(self.experiment, losses=losses, seed=seed, powers=powers)


def gathered(
    evidence: Evidence,
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    checks: int,
    seed: int,
    notes: list[Note],
) -> Evidence:
    """Trace a model, and measure it; where neither succeeds, notes say why.

    Args:
        evidence: Its parameters and inputs.
        model: It is in the mode in which it is traced.
        args: Positional arguments of its forward pass.
        kwargs: Keyword arguments.
        checks: Backward passes; with 0 nothing is measured.
        seed: Of the measurement.
        notes: They are added to it.
    """
    known = evidence.tensors, evidence.aliases, evidence.inputs
    found = traced(Subject(model, args, kwargs, *known, Generators(model), evidence.device), notes)
    graph, run = found.graph, found.run
    evidence = replace(
        evidence,
        held={**found.held, **evidence.held},
        graph=graph,
        other_draws=found.other_draws,
        tracer=found.tracer,
    )
    if checks:
        try:
            evidence = _measured(evidence, run, checks, seed)
        except Exception as error:
            check_that_it_runs(model, args, kwargs)
            call = described(args, kwargs)
            notes.append(NoteKind.NOT_MEASURED.note(call=call, error=in_a_line(error)))
    return evidence


def _measured(evidence: Evidence, run: Callable[[bool], Run], checks: int, seed: int) -> Evidence:
    """The evidence with samples, those with the model's own ε where a graph has it."""
    given = evidence.tensors, evidence.aliases, evidence.inputs, evidence.held.keys()
    ideal = Experiment(run(False), *given)
    drawn = samples(ideal, count=checks, seed=seed)
    own: list[Sample] = []
    if evidence.graph is not None:
        own = samples(Experiment(run(True), *given), count=1, seed=seed)
    graph = evidence.graph
    in_graph = graph is not None and not graph.takes_numbers_out()
    whole = in_graph or gradients_are_whole(ideal)
    return replace(
        evidence,
        experiment=ideal,
        drawn=drawn,
        trials=Trials(ideal),
        own_epsilon=own,
        gradients_tell=whole,
    )
