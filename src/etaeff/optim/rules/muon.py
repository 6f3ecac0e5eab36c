"""Muon: the averaged gradient with all its singular values near 1."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from etaeff.optim.rules.rule import Group, Rule, State


def direction(gradient: Tensor, state: State, group: Group) -> Tensor:
    r"""The step of Muon for a matrix, times its factor for the shape.

    $$m \leftarrow \mu m + (1-\mu) g, \qquad
      d = s \cdot \mathrm{orth}(m), \;\text{or}\; s \cdot \mathrm{orth}(\mu m + (1-\mu) g)
      \;\text{(Nesterov)}$$

    References:
        Jordan et al. 2024; `torch.optim.Muon`.
    """
    mu = group["momentum"]
    m = state["momentum_buffer"].lerp_(gradient, 1 - mu)
    mixed = gradient.lerp(m, mu) if group["nesterov"] else m
    d = orthogonalized(mixed, group["ns_coefficients"], group["ns_steps"], group["eps"])
    return d.to(gradient) * shape_factor(gradient.shape, group)


def orthogonalized(
    matrix: Tensor,  # (rows, columns)
    coefficients: tuple[float, float, float],
    steps: int,
    eps: float,
) -> Tensor:
    r"""A matrix with the same singular vectors, and singular values near 1, in bfloat16.

    Newton-Schulz steps $X \leftarrow aX + (bA + cA^2)X$ with $A = XX^\top$, from a matrix of
    Frobenius norm 1.

    References:
        Jordan et al. 2024, for the quintic and its coefficients.
    """
    a, b, c = coefficients
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.bfloat16()
    x = x.T if is_tall else x
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x


def shape_factor(shape: Sequence[int], group: Group) -> float:
    """What Muon's learning rate is multiplied by for a matrix of this shape."""
    rows, columns = shape
    if group["adjust_lr_fn"] == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))


def _begin(p: Tensor, dtype: torch.dtype, _group: Group) -> State:
    return {"momentum_buffer": torch.zeros_like(p, dtype=dtype)}


def _step_free(
    params: Sequence[Tensor],
    gradients: Sequence[Tensor],
    states: Sequence[State],
    group: Group,
    _grad_scale: Tensor | None,
    _found_inf: Tensor | None,
) -> None:
    # Private to torch, and needed to be equal to it bit for bit: in bfloat16 and without Nesterov
    # it normalises the momentum itself, which a rule read from the paper does not.
    from torch.optim._muon import muon as torch_muon

    if any(p.is_complex() for p in params):
        raise RuntimeError("Muon does not support complex parameters")
    if any(g.is_sparse for g in gradients):
        raise RuntimeError("Muon does not support sparse gradients")
    torch_muon(
        list(params),
        list(gradients),
        [state["momentum_buffer"] for state in states],
        lr=group["lr"],
        weight_decay=group["weight_decay"],
        momentum=group["momentum"],
        nesterov=group["nesterov"],
        ns_coefficients=group["ns_coefficients"],
        eps=group["eps"],
        ns_steps=group["ns_steps"],
        adjust_lr_fn=group["adjust_lr_fn"],
        has_complex=False,
    )


MUON = Rule("muon", _begin, direction, _step_free, moments=("momentum_buffer",))
