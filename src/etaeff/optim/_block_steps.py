"""The steps of all blocks: what each is to do, and a kernel that does it.

The way of a learning rate: the constructor puts it into the defaults, torch into each group, a
schedule changes it there; `_aim` makes it the η or the angle of a step, `Aim.turn` the factors
(α, β) of each piece, and the kernel writes αw + βd into the entries.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

import torch
from torch import Tensor

from etaeff.errors import NumericalError, UsageError
from etaeff.geometry import (
    BlockTensors,
    inner_products,
    local,
    reduced,
)
from etaeff.optim._groups import radii_of
from etaeff.optim._tangent import remove_radial_
from etaeff.optim._turn import Aim, Turn
from etaeff.optim.kernels import BlockStep, Kernel
from etaeff.optim.rules import Group, Rule, State, moment_dtype
from etaeff.theory import Setting, equilibrium
from etaeff.theory.settings import OPTIMIZERS, of_torch

States: TypeAlias = Mapping[Tensor, State]  # `optimizer.state`, which makes those that it lacks


def block_steps(
    rule: Rule,
    group: Group,
    blocks: Sequence[BlockTensors],
    states: States,
    grad_scale: Tensor | None = None,
) -> list[BlockStep]:
    """What is to be done for each block of a group in which a tensor has a gradient.

    Args:
        rule: The update.
        group: The hyperparameters, and the parameters with their gradients.
        blocks: The blocks of the group.
        states: The state of each parameter; moments and radii that are not there are begun.
        grad_scale: What a GradScaler has multiplied gradients by, and left to the step.
    """
    steps = []
    for of in blocks:
        gradients = [_gradient(p, group, grad_scale) for p in of.params]
        if any(g is not None for g in gradients):
            _begin(rule, group, of, gradients, states)
            steps.append(BlockStep(of, group, [states[p] for p in of.params], gradients))
    if group["tangent"]:
        whole = [step for step in steps if all(g is not None for g in step.gradients)]
        remove_radial_([(step.tensors, step.gradients) for step in whole])  # type: ignore[misc]
    if rule.uses_squares(group):
        _fill_mean_squares(steps)
    return steps


def take_steps(rule: Rule, steps: Sequence[BlockStep], kernel: Kernel) -> None:
    """Take steps of all blocks together: what crosses processes is summed once.

    Raises:
        NumericalError: If a direction or a weight is NaN or infinite, or cancels the other.
    """
    aims = [_aim(rule, step) for step in steps]
    if kernel.one_pass is not None and all(step.tensors.has_whole_pieces for step in steps):
        lost = kernel.one_pass(rule, steps, aims)
        _check_finite(steps, [~mask for mask in lost])
    else:
        partial = kernel.advance(rule, steps)
        tensors = [step.tensors for step in steps]
        sums = reduced(list(zip(tensors, partial, strict=True)))
        turns = [aim.turn(*three) for aim, three in zip(aims, sums, strict=True)]
        _check_finite(steps, [_are_finite(*pair) for pair in zip(turns, sums, strict=True)])
        kernel.turn(steps, turns)
    for key in rule.moments:
        remove_radial_([
            (step.tensors, [state[key] for state in step.states])
            for step in steps
            if step.group["tangent"] and all(key in state for state in step.states)
        ])  # fmt: skip


def _gradient(p: Tensor, group: Group, grad_scale: Tensor | None) -> Tensor | None:
    """The gradient for a descent, in at least float32; a tensor to write into if it must be."""
    if p.grad is None:
        return None
    if p.grad.is_sparse:
        raise UsageError("Sparse gradients have no direction on a sphere; densify them.")
    g = p.grad.to(moment_dtype(p.grad.dtype))
    g = g if grad_scale is None else g / grad_scale
    g = -g if group.get("maximize") else g
    return g.clone() if group["tangent"] else g  # torch's are not ours to change


def _begin(
    rule: Rule,
    group: Group,
    of: BlockTensors,
    gradients: Sequence[Tensor | None],
    states: States,
) -> None:
    """Begin the moments of a block, where they have not begun, and its radius.

    Not before its first step: checkpoints take what has a state for begun.
    """
    by_piece = rule.uses_squares(group)
    for p, g in zip(of.params, gradients, strict=True):
        state = states[p]
        if any(key not in ("radius", "roundings") for key in state):
            continue
        if by_piece:  # one second moment and one count of steps for all tensors
            assert rule.begin_by_piece is not None
            state |= rule.begin_by_piece(p, moment_dtype(p.dtype), group, of.block.count)
        elif g is not None:
            state |= rule.begin(p, moment_dtype(p.dtype), group)
    if not any("radius" in states[p] for p in of.params):
        radius = _first_radius(group, of)
        for p in of.params:
            states[p]["radius"] = radius.clone()


def _first_radius(group: Group, of: BlockTensors) -> Tensor:
    """The radius of each piece, measured only if it is to be kept."""
    if group["radius"] == "keep":
        (radius,) = radii_of(group, [of])
        return radius
    number = 1.0 if group["radius"] == "unit" else float(group["radius"])
    device = local(of.params[0]).device
    return torch.full((of.block.count,), number, dtype=torch.float64, device=device)


def _fill_mean_squares(steps: Sequence[BlockStep]) -> None:
    """Give each step ‖g‖²/n of its pieces, on every process; no gradient counts as zero."""
    pairs = []
    for step in steps:
        params = step.tensors.params
        gs = [
            torch.zeros_like(p) if g is None else g
            for p, g in zip(params, step.gradients, strict=True)
        ]
        pairs.append((step.tensors, gs, gs))
    for step, square in zip(steps, inner_products(pairs, everywhere=True), strict=True):
        entries = sum(p.numel() for p in step.tensors.params) // step.tensors.block.count
        step.mean_square = square / entries


def _aim(rule: Rule, step: BlockStep) -> Aim:
    """Where the hyperparameters of its group send a block."""
    radius = step.states[0]["radius"]
    mode, amount = step.group["mode"], step.group["lr"]
    if mode == "equilibrium":
        shape = step.tensors.params[0].shape[:2]
        amount = _equilibrium_angle(rule, step.group, shape, radius.device)
    return Aim(mode == "projected", amount, radius)


@torch.compiler.disable  # type: ignore[untyped-decorator]  # theory computes with numbers
def _equilibrium_angle(
    rule: Rule, group: Group, shape: tuple[int, ...], device: torch.device
) -> Tensor:
    """Radians per step of the free optimiser at equilibrium with the group's lr and decay."""
    angle = 0.0
    if group["lr"] != 0:  # a schedule may begin or end there
        row = OPTIMIZERS[rule.name]
        # AMSGrad and other Newton-Schulz steps have no law: the angle is that without them.
        lawful = {key: value for key, value in group.items() if key not in row.assumptions}
        angle = _angle(of_torch(row.classes[0], lawful), shape if "shape" in row.defaults else None)
    return torch.tensor(angle, dtype=torch.float64, device=device)


@lru_cache(maxsize=1024)
def _angle(setting: Setting, shape: tuple[int, int] | None) -> float:
    """The angle at equilibrium; blocks of a kind ask once a step."""
    angle = equilibrium(setting, shape=shape).angle
    assert angle is not None  # only a missing norm of the gradient takes it away
    return float(angle)


def _are_finite(turn: Turn, sums: Tensor) -> Tensor:
    """Which pieces have factors of a step that are numbers, and a direction that is one."""
    return (turn.weight + turn.direction + 0 * sums[2]).isfinite()


def _check_finite(steps: Sequence[BlockStep], finite: Sequence[Tensor]) -> None:
    """Refuse a step that is not finite; one question for all: each would wait for the device."""
    unasked = all(step.group.get("capturable") for step in steps)
    if unasked or torch.compiler.is_compiling():
        return
    local_masks = [own[step.tensors.local_pieces] for step, own in zip(steps, finite, strict=True)]
    if bool(torch.cat(local_masks).all()):
        return
    for step, mask in zip(steps, local_masks, strict=True):
        if not bool(mask.all()):
            raise NumericalError(
                f"The weight or the update of {', '.join(map(repr, step.tensors.block.names))} "
                "is NaN, infinite or zero, or the update cancels the weight. No weight was "
                "changed in this step, but the moments hold it: go back to a checkpoint, and "
                "look at the loss."
            )
