"""The audit: every scaling symmetry of a model, proved on its graph and measured."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor, nn

from etaeff.errors import UsageError
from etaeff.geometry import Block
from etaeff.symmetry._basis import homogeneous, readable, spans
from etaeff.symmetry._effects import parameter_reports
from etaeff.symmetry._granularity import finest_block
from etaeff.symmetry._measure import (
    ZERO,
    Sample,
    defect,
    inert,
    measured_rank,
    rescaled_difference,
    samples,
)
from etaeff.symmetry._nullspace import Vector, null_space
from etaeff.symmetry._propagate import Flow, propagate
from etaeff.symmetry._report import Audit, Symmetry
from etaeff.symmetry._shift import forgotten_biases
from etaeff.symmetry._trace import described, first_line, trace, unchanged

_CHECKS = 3  # backward passes of the measurement


def audit(
    model: nn.Module,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    measure: bool | None = None,
    discover: bool = False,
    seed: int = 0,
) -> Audit:
    r"""Every scaling symmetry of a model, proved on its graph and measured in float64.

    The model is traced in training mode. Every parameter tensor θ_p is given an unknown exponent
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
        seed: Of the measurement.

    Returns:
        The audit.

    Raises:
        UsageError: If the model cannot be traced on these arguments, or its parameters are of a
            kind that has no scale.

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
    model = _unwrapped(model)
    names, aliases = _names(model)
    _check(names)
    kwargs = kwargs or {}
    with unchanged(model):
        model.train()
        program = trace(model, args, kwargs)
    index = {name: i for i, name in enumerate(names)}
    flow = propagate(program, {alias: index[own] for alias, own in aliases.items()})
    if measure is None:
        measure = not any(p.is_meta for p in names.values())
    notes = [_unknown_note(flow)] if flow.unknown else []
    drawn: list[Sample] = []
    inputs = pytree.tree_leaves((tuple(args), dict(kwargs)))
    if measure:
        count = len(names) + _CHECKS if discover else _CHECKS
        try:
            drawn = samples(program, names, aliases, inputs, count=count, seed=seed)
        except Exception as error:
            notes.append(
                f"It could not be measured: {type(error).__name__} on "
                f"{described(args, kwargs)}: {first_line(error)}"
            )
    return _assembled(model, program, names, aliases, inputs, flow, drawn, notes, discover)


def _assembled(
    model: nn.Module,
    program: torch.export.ExportedProgram,
    tensors: Mapping[str, Tensor],
    aliases: Mapping[str, str],
    inputs: Sequence[Any],
    flow: Flow,
    drawn: Sequence[Sample],
    notes: list[str],
    discover: bool,
) -> Audit:
    names = list(tensors)
    index = {name: i for i, name in enumerate(names)}
    outputs = [value.degree for value in flow.outputs if value.degree is not None]
    rows = [*flow.constraints.rows, *(degree for degree in outputs if degree)]
    proved = null_space(rows, len(names))
    shown_inert = {aliases[name] for name in forgotten_biases(program)}
    without = inert(drawn) if drawn else shown_inert
    certain = proved + [{index[name]: Fraction(1)} for name in shown_inert & without]
    vectors = readable(proved, {index[name] for name in without})
    if drawn:
        vectors, missed = _with_single(vectors, drawn, names, without)
        notes += missed
    found = [
        _symmetry(v, names, spans(certain, v), drawn, program, tensors, aliases, inputs)
        for v in vectors
    ]
    denied = [s for s in found if s.defect is not None and s.defect > ZERO]
    notes += [
        f"The graph shows, and the measurement denies, {_listed(s.exponents)}; it is left out."
        for s in denied
    ]
    found = [s for s in found if s not in denied]
    found += [
        Symmetry("inert", {n: Fraction(1)}, proved=spans(certain, {index[n]: Fraction(1)}))
        for n in names
        if n in without
    ]
    rank = len(found)
    if drawn and discover:
        measured = measured_rank(drawn)[0]
        notes.append(
            f"The samples alone have a null space of dimension {measured}, and these symmetries "
            f"{rank}: the proof missed {'none' if measured == rank else measured - rank}."
        )
    scaled = homogeneous(flow.constraints.rows, [d for d in outputs if d is not None],
                         [*proved], len(names))  # fmt: skip
    if scaled is not None:
        vector, degree = scaled
        exponents = {names[i]: v for i, v in vector.items() if names[i] not in without}
        if exponents:
            found.append(Symmetry("homogeneous", exponents, degree=degree))
    found.sort(key=_order)
    blocks = _blocks(found, drawn)
    reports = parameter_reports(tensors, found, blocks, flow.absorbed)
    return Audit(
        type(model).__name__, tuple(found), blocks, reports, tuple(notes), rank, dict(tensors)
    )


def _symmetry(
    vector: Vector,
    names: Sequence[str],
    proved: bool,
    drawn: Sequence[Sample],
    program: torch.export.ExportedProgram,
    tensors: Mapping[str, Tensor],
    aliases: Mapping[str, str],
    inputs: Sequence[Any],
) -> Symmetry:
    exponents = {names[i]: v for i, v in vector.items()}
    kind = "scale-invariant" if len({v > 0 for v in vector.values()}) == 1 else "rescaling"
    if not drawn:
        return Symmetry(kind, exponents, proved=proved)
    numbers = {name: float(value) for name, value in exponents.items()}
    own = rescaled_difference(program, tensors, aliases, inputs, numbers, own_epsilon=True)
    return Symmetry(kind, exponents, proved=proved, defect=defect(drawn, numbers), own_defect=own)


def _with_single(
    vectors: list[Vector], drawn: Sequence[Sample], names: Sequence[str], without: set[str]
) -> tuple[list[Vector], list[str]]:
    """Add tensors that the samples show invariant by themselves, where the proof does not."""
    missed = []
    for i, name in enumerate(names):
        single: Vector = {i: Fraction(1)}
        if name in without or spans(vectors, single):
            continue
        if defect(drawn, {name: 1.0}) <= ZERO:
            missed.append(name)
            vectors = readable([*vectors, single], ())
    if not missed:
        return vectors, []
    return vectors, [f"Measured, and not proved: {_listed(missed)} scale-invariant."]


def _blocks(found: Sequence[Symmetry], drawn: Sequence[Sample]) -> tuple[Block, ...]:
    blocks: list[Block] = []
    taken: set[str] = set()
    for symmetry in found:
        names = tuple(symmetry.exponents)
        one_power = len(set(symmetry.exponents.values())) == 1
        if symmetry.kind != "scale-invariant" or not one_power or taken & set(names):
            continue
        taken |= set(names)
        blocks.append(finest_block(drawn, names) if drawn else Block(names))
    return tuple(blocks)


def _order(symmetry: Symmetry) -> tuple[int, int]:
    kinds = ("scale-invariant", "rescaling", "inert", "homogeneous")
    return kinds.index(symmetry.kind), len(symmetry.exponents)


def _unwrapped(model: nn.Module) -> nn.Module:
    """The module inside wrappers of compilation and data parallelism."""
    kind = type(model).__name__
    if kind == "FullyShardedDataParallel":
        raise UsageError(
            "FullyShardedDataParallel (FSDP1) holds flattened shards, which have no channels. "
            "Audit the model before it is wrapped."
        )
    if kind == "OptimizedModule":
        return _unwrapped(model._orig_mod)  # type: ignore[arg-type]
    if kind in ("DistributedDataParallel", "DataParallel"):
        return _unwrapped(model.module)  # type: ignore[arg-type]
    return model


def _names(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Parameters by their first name, and the first name of every name."""
    first: dict[int, str] = {}
    aliases = {}
    tensors = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        own = first.setdefault(id(parameter), name)
        aliases[name] = own
        tensors[own] = parameter.detach()
    return tensors, aliases


def _check(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise UsageError(
                f"Parameter {name!r} is {str(tensor.dtype).removeprefix('torch.')}; only real "
                "numbers can be audited."
            )
        if not tensor.is_meta and not bool(torch.isfinite(tensor).all()):
            raise UsageError(f"Parameter {name!r} holds NaN or infinity; nothing can be measured.")


def _unknown_note(flow: Flow) -> str:
    return (
        f"No rule is known for {_listed(flow.unknown)}: what feeds it was taken to have a fixed "
        "scale, so symmetries that pass through it are not proved."
    )


def _listed(names: Any) -> str:
    shown = [f"`{name}`" for name in list(names)[:4]]
    more = len(list(names)) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
