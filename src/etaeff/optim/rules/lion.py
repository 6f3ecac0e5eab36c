"""Lion: the sign of a mixture of the gradient and its average."""

from collections.abc import Sequence

import torch
from torch import Tensor

from etaeff.errors import UsageError
from etaeff.optim.rules.rule import Group, Rule, State


def direction(gradient: Tensor, state: State, group: Group) -> Tensor:
    r"""The step of Lion.

    $$d = \mathrm{sign}(\beta_1 m + (1-\beta_1) g), \qquad
      m \leftarrow \beta_2 m + (1-\beta_2) g$$

    References:
        Chen et al. 2023, algorithm 2.
    """
    beta1, beta2 = group["betas"]
    mixed = state["exp_avg"].lerp(gradient, 1 - beta1)
    state["exp_avg"].lerp_(gradient, 1 - beta2)
    d: Tensor = mixed.sign() + 0 * mixed  # sign(NaN) is 0: nobody would see it
    return d


def _begin(p: Tensor, dtype: torch.dtype, _group: Group) -> State:
    return {"exp_avg": torch.zeros_like(p, dtype=dtype)}


def _step_free(
    params: Sequence[Tensor],
    gradients: Sequence[Tensor],
    states: Sequence[State],
    group: Group,
    _grad_scale: Tensor | None,
    _found_inf: Tensor | None,
) -> None:
    """With decoupled weight decay. There is no Lion in torch to be equal to."""
    for p, g, state in zip(params, gradients, states, strict=True):
        if g.is_sparse:
            raise UsageError("Lion takes no sparse gradients; densify them.")
        wide = g.to(state["exp_avg"].dtype)
        d = direction(-wide if group["maximize"] else wide, state, group)
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.sub_((d * group["lr"]).to(p.dtype))


LION = Rule("lion", _begin, direction, _step_free, moments=("exp_avg",), has_wide_moments=True)
