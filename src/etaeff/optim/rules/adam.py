"""Adam: an average of gradients over the root of an average of their squares."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw as torch_adamw

from etaeff.geometry import Shard
from etaeff.optim.rules.rule import Group, Rule, State


def direction(gradient: Tensor, state: State, group: Group) -> Tensor:
    r"""The step of Adam after t gradients, one second moment for each entry.

    $$m \leftarrow \beta_1 m + (1-\beta_1) g, \qquad v \leftarrow \beta_2 v + (1-\beta_2) g^2,
      \qquad d = \frac{m/(1-\beta_1^t)}{\sqrt{v/(1-\beta_2^t)} + \epsilon}$$

    With AMSGrad the largest v so far takes the place of v.

    References:
        Kingma & Ba 2015, algorithm 1; Reddi et al. 2018 for AMSGrad.
    """
    beta1, beta2 = group["betas"]
    state["step"] += 1
    m = state["exp_avg"].lerp_(gradient, 1 - beta1)
    v = state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, (1 - beta2) * gradient)
    # m/√v is zero for ever once v is infinite; then it is NaN, which is noticed.
    infinity = 0 * v
    if group["amsgrad"]:
        v = state["max_exp_avg_sq"].copy_(torch.maximum(state["max_exp_avg_sq"], v))
    t = _steps(state, group)
    size = (v.sqrt() / (1 - beta2**t) ** 0.5).add_(group["eps"])
    d: Tensor = m / (1 - beta1**t) / size + infinity
    return d


def direction_by_piece(
    gradient: Tensor | None, state: State, group: Group, shard: Shard, mean_square: Tensor
) -> Tensor | None:
    r"""The step of Adam with one second moment for each piece, of n entries.

    $$v \leftarrow \beta_2 v + (1-\beta_2) \|g\|^2/n$$

    References:
        Roburin et al. 2020.
    """
    beta1, beta2 = group["betas"]
    state["step"] += 1
    v = state["exp_avg_sq"]
    v.lerp_(mean_square.to(v), 1 - beta2)
    if gradient is None:
        return None
    t = state["step"].to(v)
    size = (v / (1 - beta2**t)).sqrt() + group["eps"] + 0 * v  # NaN where v is infinite
    d: Tensor = state["exp_avg"].lerp_(gradient, 1 - beta1) / (1 - beta1**t)
    rows = shard.rows(d)
    rows.copy_(rows / shard.spread(size, d))
    return d


def _steps(state: State, group: Group) -> Any:
    """How many steps it has been: a number, or a tensor where Python cannot know it."""
    step = state["step"]
    is_unknown = step.device.type != "cpu" or group["differentiable"]
    return step if is_unknown or torch.compiler.is_compiling() else step.item()


def _begin(p: Tensor, dtype: torch.dtype, group: Group) -> State:
    state = {
        "step": _counter(p, group),
        "exp_avg": torch.zeros_like(p, dtype=dtype),
        "exp_avg_sq": torch.zeros_like(p, dtype=dtype),
    }
    if group["amsgrad"]:
        state["max_exp_avg_sq"] = torch.zeros_like(p, dtype=dtype)
    return state


def _begin_by_piece(p: Tensor, dtype: torch.dtype, group: Group, count: int) -> State:
    return {
        "step": _counter(p, group),
        "exp_avg": torch.zeros_like(p, dtype=dtype),
        "exp_avg_sq": torch.zeros(count, dtype=torch.float64, device=p.device),
    }


def _counter(p: Tensor, group: Group) -> Tensor:
    """Zero, where and in the precision that torch counts steps."""
    on_device = group["capturable"] or group["fused"]
    is_wide = torch.get_default_dtype() == torch.float64 and not group["fused"]
    dtype = torch.float64 if is_wide else torch.float32
    return torch.zeros((), dtype=dtype, device=p.device if on_device else "cpu")


def _step_free(
    params: Sequence[Tensor],
    gradients: Sequence[Tensor],
    states: Sequence[State],
    group: Group,
    grad_scale: Tensor | None,
    found_inf: Tensor | None,
) -> None:
    if any(g.is_sparse for g in gradients):
        raise RuntimeError("Adam does not support sparse gradients, please use SparseAdam instead")
    if group["foreach"] and isinstance(group["lr"], Tensor) and not group["capturable"]:
        raise RuntimeError("lr as a Tensor is not supported for capturable=False and foreach=True")
    torch_adamw(
        list(params),
        list(gradients),
        [state["exp_avg"] for state in states],
        [state["exp_avg_sq"] for state in states],
        [state["max_exp_avg_sq"] for state in states] if group["amsgrad"] else [],
        [state["step"] for state in states],
        amsgrad=group["amsgrad"],
        has_complex=any(p.is_complex() for p in params),
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        lr=group["lr"],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        maximize=group["maximize"],
        foreach=group["foreach"],
        capturable=group["capturable"],
        differentiable=group["differentiable"],
        fused=group["fused"],
        grad_scale=grad_scale,
        found_inf=found_inf,
    )


ADAM = Rule(
    "adamw",
    _begin,
    direction,
    _step_free,
    moments=("exp_avg",),
    uses_squares=lambda group: group["second_moment"] == "block",
    direction_by_piece=direction_by_piece,
    begin_by_piece=_begin_by_piece,
)
