"""The audit: every scaling symmetry of a model, proved on its graph and measured."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import ref

import torch
from torch import nn

from etaeff._words import ranges
from etaeff.errors import UsageError
from etaeff.records.audits import Note, NoteKind, SymmetryKind
from etaeff.symmetry._blocks import scale_invariant_blocks
from etaeff.symmetry._effects import decay_effects
from etaeff.symmetry._input import checked_arguments, checked_model, parameters_by_name
from etaeff.symmetry._measurement._defects import measured_null_space
from etaeff.symmetry._measurement._eager import difference_elsewhere, eager
from etaeff.symmetry._measurement._float64 import Run, runner
from etaeff.symmetry._measurement._granularity import invariant_parts
from etaeff.symmetry._measurement._replacing import scaled_by
from etaeff.symmetry._measurement._samples import Sample, samples
from etaeff.symmetry._report import Audit
from etaeff.symmetry._symmetries import Evidence, found_symmetries
from etaeff.symmetry._symmetry import Symmetry
from etaeff.symmetry._tracing._export import export, refuse_if_it_fails
from etaeff.symmetry._tracing._graph import Graph
from etaeff.symmetry._tracing._log import dispatch_log
from etaeff.symmetry._tracing._restore import unchanged
from etaeff.symmetry._tracing._torch import leaves
from etaeff.symmetry._words import described, told_in_line

_FAR = 10  # powers of two
_OTHER = 1e-3  # of a direction; the rest is rounding
_SEEN = 1e-6  # of the outputs; a direction from samples is not exact
_CHECKS = 2  # backward passes of the measurement, beside one with the model's own ε


def audit(
    model: nn.Module,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    measure: bool | None = None,
    discover: bool = False,
    training: bool = True,
    seed: int = 0,
) -> Audit:
    r"""Every scaling symmetry of a model, proved on its graph and measured in float64.

    The model is traced as it trains. Every parameter tensor θ_p is given an unknown exponent
    s_p, homogeneity degrees are carried through all operators, and what they demand of s is solved
    over the rationals. The measurement then checks
    $\sum_p s_p \langle\theta_p, \nabla_p\rangle = 0$, finds parameters without effect, and cuts
    invariant tensors into the finest blocks.

    Args:
        model: Any module. Its parameters, buffers, mode, gradients and random states are as they
            were afterwards.
        args: Positional arguments of its forward pass: a small batch of real size and type.
        kwargs: Keyword arguments.
        measure: Run it, in float64 on the CPU. By default, unless a parameter is on the meta
            device.
        discover: Find the null space from samples alone too, with as many backward passes as
            there are parameters, and say in the notes whether the proof missed any.
        training: Trace it in training mode. In eval mode Batch Normalization uses running
            statistics, and nothing before it is scale-invariant.
        seed: Of the measurement.

    Returns:
        The audit.

    Raises:
        UsageError: If the model itself fails on these arguments, or its parameters are of a kind
            that has no scale. A model that runs and cannot be traced is measured only.

    Examples:
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
        >>> found = audit(model, (torch.randn(8, 3),))
        >>> found.blocks
        (Block(names=('0.weight',), axis=0, count=4),)
        >>> found.rank
        3
        >>> found.effect_of_decay("0.weight")
        'Decay sets the effective learning rate: it feeds BatchNorm1d `1`.'

    References:
        van Laarhoven 2017 for scale invariance under normalisation; `docs/audit.md`.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise UsageError(f"`seed` must be a whole number from 0, got {seed!r}.")
    with torch.inference_mode(False), torch.enable_grad():
        return _audit(model, args, kwargs, measure, discover, training, seed)


def _audit(
    model: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None,
    measure: bool | None,
    discover: bool,
    training: bool,
    seed: int,
) -> Audit:
    model = checked_model(model)
    args, kwargs = checked_arguments(args, {} if kwargs is None else kwargs)
    tensors, aliases = parameters_by_name(model)
    on_meta = next((name for name, p in tensors.items() if p.is_meta), None)
    if measure and on_meta is not None:
        raise UsageError(
            f"Parameter {on_meta!r} is on the meta device and has no numbers to measure. Leave "
            "`measure` out, or create the model on a real device."
        )
    measure = on_meta is None if measure is None else measure
    if discover and not measure:
        raise UsageError(
            "`discover` finds symmetries by measuring. Leave it out for a proof alone."
        )
    with unchanged(model):
        torch.manual_seed(seed)
        model.train(training)
        notes: list[Note] = []
        graph, run, tracer = _traced(model, args, kwargs, notes)
        evidence = Evidence(tensors, aliases, leaves((args, kwargs)), graph)
        if measure:
            checks = len(tensors) + _CHECKS if discover else _CHECKS
            try:
                evidence = _measured(evidence, run, checks, seed)
            except Exception as error:
                refuse_if_it_fails(model, args, kwargs)
                call = described(args, kwargs)
                notes.append(NoteKind.NOT_MEASURED.note(call=call, error=told_in_line(error)))
        if graph is None and not evidence.drawn:
            raise UsageError(
                f"Nothing can be said of {type(model).__name__}: it was neither traced nor "
                "measured. " + " ".join(notes)
            )
        symmetries, rank, flow = found_symmetries(evidence, notes)
        if evidence.drawn and discover:
            notes.append(_compared(evidence, symmetries, rank))
        if graph is not None and not flow.outputs:
            raise UsageError(
                f"{type(model).__name__} returns no real or complex tensor on "
                f"{described(args, kwargs)}, so nothing can be said of its weights. An audit "
                "needs outputs, such as logits or a loss."
            )
        blocks = scale_invariant_blocks(symmetries, evidence, notes)
    notes += _parts_noted(evidence.drawn, tensors, symmetries)
    ends = {name: flow.absorbed.get(i, []) for i, name in enumerate(tensors)}
    complete = graph is not None and not flow.unknown
    reports = decay_effects(tensors, symmetries, blocks, ends, complete=complete)
    return Audit(
        type(model).__name__,
        tuple(symmetries),
        blocks,
        reports,
        tuple(notes),
        rank,
        tracer,
        ref(model),
        dict(tensors),
    )


def _measured(evidence: Evidence, run: Callable[[bool], Run], checks: int, seed: int) -> Evidence:
    """The evidence with samples, those with the model's own ε where a graph has it."""
    given = evidence.tensors, evidence.aliases, evidence.inputs
    ideal = run(False)
    drawn = samples(ideal, *given, count=checks, seed=seed)
    own = samples(run(True), *given, count=1, seed=seed) if evidence.graph is not None else []
    return replace(evidence, run=ideal, drawn=drawn, own_epsilon=own)


def _traced(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], notes: list[Note]
) -> tuple[Graph | None, Callable[[bool], Run], str]:
    """The graph, if there is one; how to run the model with its own ε or without; the tracer."""
    graph, failure = export(model, args, kwargs)
    if graph is not None:
        return graph, _runner_of(graph), "torch.export"
    graph, reason = dispatch_log(model, args, kwargs)
    if graph is not None:
        try:
            reason = difference_elsewhere(model, args, kwargs, graph)
        except Exception as error:
            notes.append(NoteKind.LOG_NOT_COMPARED.note(error=told_in_line(error)))
    if graph is not None and not reason:
        notes.append(NoteKind.LOGGED.note(failure=failure))
        return graph, _runner_of(graph), "dispatch log"
    notes.append(NoteKind.NOT_TRACED.note(failure=failure, reason=reason))
    return None, lambda own_epsilon: eager(model, args, kwargs), "none"


def _runner_of(graph: Graph) -> Callable[[bool], Run]:
    return lambda own_epsilon: runner(graph, own_epsilon=own_epsilon)


def _compared(evidence: Evidence, symmetries: Sequence[Symmetry], rank: int) -> Note:
    """What the samples alone say, beside the symmetries that were found."""
    space = measured_null_space(evidence.drawn)
    facts: dict[str, Any] = {"dimension": len(space), "rank": rank}
    if len(space) <= rank:
        return NoteKind.NONE_MISSED.note(**facts)
    names = list(evidence.tensors)
    vectors = [s.exponents for s in symmetries if s.kind is not SymmetryKind.HOMOGENEOUS]
    known = torch.tensor([[float(v.get(n, 0)) for n in names] for v in vectors], dtype=space.dtype)
    others = space - space @ torch.linalg.pinv(known) @ known if vectors else space
    _, sizes, rows = torch.linalg.svd(others, full_matrices=False)
    far = _FAR * rows[sizes > _OTHER] / rows[sizes > _OTHER].abs().amax(1, keepdim=True)
    both = torch.cat([far, -far]).tolist()
    powers = [dict(zip(names, row, strict=True)) for row in both]
    if any(evidence.moved(scaled_by(row)) > _SEEN for row in powers):
        return NoteKind.NONE_KNOWN_MISSED.note(**facts)
    return NoteKind.MISSED.note(**facts, missed=len(space) - rank)


def _parts_noted(
    drawn: Sequence[Sample], names: Iterable[str], symmetries: Sequence[Symmetry]
) -> list[Note]:
    """A note on tensors of which only some pieces are scale-invariant."""
    whole = {next(iter(s.exponents)) for s in symmetries if len(s.exponents) == 1}
    alike: dict[str, list[str]] = {}
    for name in names if drawn else ():
        parts = None if name in whole else invariant_parts(drawn, name)
        if parts is not None:
            axis, count, pieces = parts
            text = f"{len(pieces)} of {count} equal pieces along axis {axis} ({ranges(pieces)})"
            alike.setdefault(text, []).append(name)
    return [NoteKind.PARTS.note(tensors, parts=text) for text, tensors in alike.items()]
