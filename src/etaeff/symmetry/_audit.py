"""The audit: every scaling symmetry of a model, proved on its graph and measured."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from weakref import ref

import torch
from torch import Tensor, nn

from etaeff.errors import UsageError
from etaeff.records.audits import NoteKind
from etaeff.symmetry._blocks import scale_invariant_blocks
from etaeff.symmetry._devices import (
    checked_device,
    inputs_on_device,
    on_device,
    without_numbers,
)
from etaeff.symmetry._effects import decay_effects
from etaeff.symmetry._evidence import Evidence, gathered
from etaeff.symmetry._forecasts import Optimiser, checked_optimizer, forecasts, not_trained
from etaeff.symmetry._gains import with_gains
from etaeff.symmetry._held import held_parameters
from etaeff.symmetry._input import (
    checked_arguments,
    checked_model,
    mode_of,
    parameters_by_name,
)
from etaeff.symmetry._operators._call import Value
from etaeff.symmetry._outputs import Choice, check_choice, counted_outputs
from etaeff.symmetry._pieces import piece_symmetries, with_pieces
from etaeff.symmetry._progress import Progress, stage, told
from etaeff.symmetry._remarks import remarks
from etaeff.symmetry._report import Audit
from etaeff.symmetry._symmetries import symmetries_of
from etaeff.symmetry._tracing._restore import unchanged
from etaeff.symmetry._tracing._torch import leaves
from etaeff.symmetry._words import described

_CHECKS: Final = 2  # backward passes of the measurement, beside one with the model's own ε


def audit(
    model: nn.Module,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    outputs: Choice | None = None,
    loss: Callable[[Any], Tensor] | None = None,
    optimizer: Optimiser | None = None,
    measure: bool | None = None,
    discover: bool | None = None,
    training: bool | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: Progress = None,
) -> Audit:
    r"""Every scaling symmetry of a model, proved on its graph and measured in float64.

    The model is traced in the modes that its modules have. Every parameter tensor θ_p is given an
    unknown exponent s_p, homogeneity degrees are carried through all operators, and what they
    demand of s is solved over the rationals. The measurement then checks
    $\sum_p s_p \langle\theta_p, \nabla_p\rangle = 0$, finds parameters without effect, and cuts
    invariant tensors into the finest blocks.

    Args:
        model: Any module. Its parameters, buffers, mode, gradients and random states are as they
            were afterwards.
        args: Positional arguments of its forward pass: a small batch of real size and type.
        kwargs: Keyword arguments.
        outputs: Those that count, where the model returns more than training uses: a field, key or
            attribute of what it returns, an index, a list of those, or a function of what it
            returns. By default every tensor in it, as any of them may enter the loss.
        loss: A function of what the model returns, and of nothing else, that returns one tensor.
        optimizer: An optimiser over the model's parameters, of torch.optim or `etaeff.optim`, or a
            setting such as `"sgd lr=0.1 wd=5e-4 momentum=0.9"`: the audit then says what lr and
            weight decay come to for the scale-invariant parameters of each param group.
        measure: Run it, in float64. By default, unless a parameter is on the meta
            device.
        discover: Search for what the proof may miss: take as many samples as there are parameters
            in doubt, and try what they allow. By default where that costs less than the rest of
            the audit, or little; what is not searched is "not known" where no symmetry is found.
        training: Put all its modules in training mode, or with `False` in eval mode, in which
            Batch Normalization uses running statistics, so that nothing before it is
            scale-invariant. By default each module keeps the mode that it has.
        seed: Of the measurement.
        device: Where it is measured. By default each tensor stays where it is, and only where one
            is on a device without float64 all are copied to the CPU.
        progress: A function that is told each stage, such as "measuring sample 1 of 3"; or whether
            to show the stages on standard error, from two seconds on. By default, if that is a
            terminal.

    Returns:
        The audit.

    Raises:
        UsageError: If the model itself fails on these arguments, or its parameters are not there
            yet, or not as a whole. A model that runs and cannot be traced is measured only.

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
    check_choice(outputs, loss)
    with (
        told(progress, type(model).__name__),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        return _audit(
            model, args, kwargs, outputs, loss, optimizer, measure, discover, training, seed, device
        )


def _audit(
    model: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None,
    outputs: Choice | None,
    loss: Callable[[Any], Tensor] | None,
    optimizer: Optimiser | None,
    measure: bool | None,
    discover: bool | None,
    training: bool | None,
    seed: int,
    device: str | torch.device | None,
) -> Audit:
    """The audit, where gradients are on."""
    model = checked_model(model)
    args, kwargs = checked_arguments(args, {} if kwargs is None else kwargs)
    tensors, aliases = parameters_by_name(model)
    call: tuple[tuple[Any, ...], dict[str, Any]] = without_numbers(tensors, (args, kwargs))
    args, kwargs = call
    inputs = leaves((args, kwargs))
    place = checked_device(device, [*tensors.values(), *inputs])
    evidence = Evidence(
        on_device(tensors, place),
        aliases,
        inputs_on_device(inputs, place),
        held_parameters(tensors),
        place,
    )
    optimizer = checked_optimizer(optimizer, tensors)
    checks = _checks(evidence.tensors, measure, discover)
    with unchanged(model), counted_outputs(model, outputs, loss) as counted:
        torch.manual_seed(seed)
        if training is not None:
            model.train(training)
        mode, notes = mode_of(model)
        evidence = gathered(evidence, model, args, kwargs, checks=checks, seed=seed, notes=notes)
        stage("proving symmetries on the graph")
        findings = symmetries_of(evidence, discover, notes)
        if evidence.graph is not None and not any(map(_has_entries, findings.flow.outputs)):
            raise UsageError(
                f"{type(model).__name__} returns no real or complex number on "
                f"{described(args, kwargs)}, so nothing can be said of its weights. An audit "
                "needs outputs, such as logits or a loss."
            )
        stage("trying parts of tensors")
        pieces = piece_symmetries(evidence, findings.symmetries, notes)
        stage("cutting blocks")
        blocks = scale_invariant_blocks(findings.symmetries, evidence, findings.heed)
        effects = with_pieces(decay_effects(evidence, findings, blocks), pieces)
        notes += remarks(evidence, findings, blocks, effects, discover)
    if outputs is None and loss is None and len(counted.names) > 1:
        notes.append(NoteKind.MANY_OUTPUTS.note(count=len(counted.names)))
    effects = with_gains(effects, evidence.graph, evidence.aliases)
    unused = not_trained(optimizer, tensors, effects)
    notes += [NoteKind.NOT_TRAINED.note(unused)] if unused else []
    return Audit(
        type(model).__name__,
        findings.symmetries,
        blocks,
        effects,
        tuple(notes),
        findings.rank,
        evidence.tracer,
        mode,
        ref(model),
        dict(tensors),
        outputs=counted.names,
        piece_symmetries=pieces.symmetries,
        forecasts=forecasts(optimizer, tensors, effects),
    )


def _has_entries(output: Value) -> bool:
    """Whether an output holds a number, as far as is known before it is run."""
    return 0 not in output.shape


def _checks(tensors: Mapping[str, Tensor], measure: bool | None, discover: bool | None) -> int:
    """How many backward passes were asked for; 0 for a proof alone.

    Raises:
        UsageError: If numbers are asked for where there are none.
    """
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
    return _CHECKS if measure else 0
