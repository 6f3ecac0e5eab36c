"""The audit: every scaling symmetry of a model, proved on its graph and measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor, nn

from etaeff.errors import UsageError
from etaeff.geometry import Block
from etaeff.symmetry._assemble import Evidence, found_symmetries
from etaeff.symmetry._effects import parameter_reports
from etaeff.symmetry._granularity import finest_block
from etaeff.symmetry._measure import Sample, measured_rank, samples
from etaeff.symmetry._report import Audit, Symmetry
from etaeff.symmetry._trace import described, eager, first_line, trace, unchanged

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
    model = _unwrapped(model)
    tensors, aliases = _names(model)
    _check(tensors)
    kwargs = kwargs or {}
    if measure is None:
        measure = not any(p.is_meta for p in tensors.values())
    count = (len(tensors) + _CHECKS if discover else _CHECKS) if measure else 0
    inputs = pytree.tree_leaves((tuple(args), dict(kwargs)))
    with unchanged(model):
        model.train(training)
        program, reason = trace(model, args, kwargs)
        run = program if program is not None else eager(model, args, kwargs)
    notes: list[str] = []
    if program is None:
        notes.append(f"It could not be traced, so nothing is proved. {reason}")
    try:
        drawn = samples(run, tensors, aliases, inputs, count=count, seed=seed)
        count = min(count, 1) if program is not None else 0
        own_epsilon = samples(
            run, tensors, aliases, inputs, count=count, seed=seed, own_epsilon=True
        )
    except Exception as error:
        drawn, own_epsilon = [], []
        notes.append(
            f"It could not be measured: {type(error).__name__} on {described(args, kwargs)}: "
            f"{first_line(error)}"
        )
    evidence = Evidence(tensors, aliases, inputs, program, drawn, own_epsilon)
    symmetries, rank, absorbed = found_symmetries(evidence, notes)
    if drawn and discover:
        seen = measured_rank(drawn)[0]
        notes.append(
            f"The samples alone have a null space of dimension {seen}, and these symmetries "
            f"{rank}: the proof missed {'none' if seen == rank else seen - rank}."
        )
    blocks = _blocks(symmetries, drawn)
    reports = parameter_reports(tensors, symmetries, blocks, absorbed)
    return Audit(
        type(model).__name__, tuple(symmetries), blocks, reports, tuple(notes), rank, dict(tensors)
    )


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
