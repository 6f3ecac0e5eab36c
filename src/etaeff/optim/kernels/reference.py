"""The arithmetic that defines a step, in torch's operators: any dtype, device, layout and flag."""

from collections.abc import Sequence

import torch
from torch import Tensor

from etaeff.geometry import Shard
from etaeff.optim._rounding import chances, write_
from etaeff.optim._turn import Turn
from etaeff.optim.kernels.contract import BlockStep, Kernel
from etaeff.optim.rules import Rule, State, moment_dtype


def advance(rule: Rule, steps: Sequence[BlockStep]) -> list[list[Tensor]]:
    """Moments and directions, tensor by tensor; see `Kernel.advance`."""
    for step in steps:
        step.directions = [_direction(rule, step, i) for i in range(len(step.states))]
    # Copies where autograd would keep them: the weights are written to later.
    copies = torch.is_grad_enabled()
    return [
        [
            _sums(shard, shard.param.clone() if copies else shard.param, d)
            for shard, d in zip(step.tensors.shards, step.directions, strict=True)
        ]
        for step in steps
    ]


def turn(steps: Sequence[BlockStep], turns: Sequence[Turn]) -> None:
    """αw + βd in float64, tensor by tensor; see `Kernel.turn`."""
    for step, of in zip(steps, turns, strict=True):
        for shard, name, state, d in zip(
            step.tensors.shards, step.tensors.block.names, step.states, step.directions, strict=True
        ):
            rows = shard.rows(shard.param)
            new = rows.to(torch.float64, copy=True) * shard.spread(of.weight, d)
            new = new + shard.rows(d) * shard.spread(of.direction, d)
            write_(rows, new, shard.spread(of.stays, d), _chance(name, shard, state))


REFERENCE = Kernel("reference", advance, turn)


def _direction(rule: Rule, step: BlockStep, i: int) -> Tensor:
    """The direction of one tensor: zero without a gradient, since a block is scaled as one."""
    gradient, state, shard = step.gradients[i], step.states[i], step.tensors.shards[i]
    d = None
    if step.mean_square is not None:
        assert rule.direction_by_piece is not None
        d = rule.direction_by_piece(gradient, state, step.group, shard, step.mean_square)
    elif gradient is not None:
        d = rule.direction(gradient, state, step.group)
    return (
        d if d is not None else torch.zeros_like(shard.param, dtype=moment_dtype(shard.param.dtype))
    )


def _sums(shard: Shard, w: Tensor, d: Tensor) -> Tensor:
    """⟨w, w⟩, ⟨w, d⟩ and ⟨d, d⟩ of each piece as far as it is local, of shape (3, count)."""
    return torch.stack([shard.inner(w, w), shard.inner(w, d), shard.inner(d, d)])


def _chance(name: str, shard: Shard, state: State) -> Tensor | None:
    """By which a weight in bfloat16 is rounded; how often it was is part of its state."""
    if shard.param.dtype != torch.bfloat16:
        return None
    if "roundings" not in state:
        state["roundings"] = torch.zeros((), dtype=torch.int64, device=shard.entry_ids.device)
    state["roundings"] += 1
    return chances(shard.entry_ids, state["roundings"], name)
