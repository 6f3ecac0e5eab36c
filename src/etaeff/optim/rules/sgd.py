"""SGD: the gradient, or a sum of gradients that forgets."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.sgd import sgd as torch_sgd

from etaeff.optim.rules.rule import Group, Rule, State


def direction(gradient: Tensor, state: State, group: Group) -> Tensor:
    r"""The step of SGD, with momentum μ and dampening τ as torch has them.

    $$m \leftarrow \mu m + (1-\tau) g \;\text{(at first } m = g), \qquad
      d = m, \;\text{or}\; g + \mu m \;\text{(Nesterov)}$$

    References:
        Sutskever et al. 2013; `torch.optim.SGD`.
    """
    if group["momentum"] == 0:
        return gradient
    if state.get("momentum_buffer") is None:
        state["momentum_buffer"] = gradient.clone()
    else:
        state["momentum_buffer"].mul_(group["momentum"]).add_(
            gradient, alpha=1 - group["dampening"]
        )
    buffer: Tensor = state["momentum_buffer"]
    return gradient + group["momentum"] * buffer if group["nesterov"] else buffer


def _begin(_p: Tensor, _dtype: torch.dtype, group: Group) -> State:
    """No buffer yet: the first gradient is the first one."""
    return {"momentum_buffer": None} if group["momentum"] != 0 else {}


def _step_free(
    params: Sequence[Tensor],
    gradients: Sequence[Tensor],
    states: Sequence[State],
    group: Group,
    grad_scale: Tensor | None,
    found_inf: Tensor | None,
) -> None:
    if group["nesterov"] and group["foreach"] is not False:  # torch would write into them
        gradients = [g.clone() for g in gradients]
    buffers = [state.get("momentum_buffer") for state in states]
    torch_sgd(
        list(params),
        list(gradients),
        buffers,
        weight_decay=group["weight_decay"],
        momentum=group["momentum"],
        lr=group["lr"],
        dampening=group["dampening"],
        nesterov=group["nesterov"],
        maximize=group["maximize"],
        has_sparse_grad=any(g.is_sparse for g in gradients),
        foreach=group["foreach"],
        fused=group["fused"],
        grad_scale=grad_scale,
        found_inf=found_inf,
    )
    if group["momentum"] != 0:
        for state, buffer in zip(states, buffers, strict=True):
            state["momentum_buffer"] = buffer


SGD = Rule("sgd", _begin, direction, _step_free, moments=("momentum_buffer",))
