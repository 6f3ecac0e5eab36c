"""Change the learning rate and put the weights where it will hold them."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from etaeff._checks.numbers import positive
from etaeff._checks.tensors import quoted
from etaeff.convert._optimizer_changes import (
    Change,
    Group,
    check_holds,
    parts,
    setting_changes,
    state_changes,
)
from etaeff.convert._optimizer_scalings import LEARNING_RATES, Scaling, scaling_of
from etaeff.convert._scheduler_changes import check_scheduler, scheduler_changes
from etaeff.convert._weight_changes import radii, weight_changes
from etaeff.errors import UsageError
from etaeff.geometry import Block


def drop_lr_(
    optimizer: Optimizer,
    k: float,
    blocks: Iterable[Block],
    *,
    model: nn.Module | None = None,
    scheduler: LRScheduler | None = None,
) -> dict[str, Tensor]:
    r"""Divide the learning rate by k and move the blocks to their new equilibrium, in place.

    $$\eta \to \eta/k, \qquad w \to k^{-p} w, \qquad
    p = \begin{cases} 1/4 & \text{SGD} \\ 1/3 & \text{Adam, RMSProp with L2} \\
    1/2 & \text{AdamW, Muon} \end{cases}$$

    Decay holds a scale-invariant weight at a radius $\propto (\eta/\lambda)^p$. When η alone is
    divided, the radius has to decay there, and without momentum no faster than by the share ηλ
    per step: with the new η that is $p \ln(k)/(\eta\lambda)$ steps at least, during which the
    effective learning rate is lower than the one that it settles at. This function takes the
    weights there at once. The network computes the same function. Momentum and second moments
    are converted to the gradients at the new radius; λ and ε stay. Running statistics of Batch
    Normalization are those of the old radius until training has renewed them.

    p follows from the powers of c in the rescaling law $(\eta, \lambda) \to
    (c^a \eta, c^{-b} \lambda)$, because the radius depends on η/λ alone when ηλ is small:
    $p = 1/(a+b)$.

    Args:
        optimizer: One of torch.optim's. The learning rate of all its param groups is divided,
            also of those without a block.
        k: The divisor, > 0. Below 1 it raises the learning rate.
        blocks: Scale-invariant blocks that have weight decay, without common parameters.
        model: Where the names of the blocks are looked up. Not needed if the optimiser was built
            from `model.named_parameters()`.
        scheduler: The schedule of `optimizer`, needed if there is one. Its rates are divided
            too.

    Returns:
        For every parameter of the blocks its factors $k^{-p}$, one for each piece: shape
        `(count,)`, float64, on the CPU.

    Raises:
        UnknownNameError: If a block names a parameter that is not known.
        UsageError: If an argument is outside its range, or a block has no equilibrium. Nothing
            has been changed then.

    Examples:
        >>> model = nn.Sequential(nn.Linear(3, 2, bias=False), nn.BatchNorm1d(2))
        >>> optimizer = torch.optim.SGD(model.named_parameters(), lr=0.1, weight_decay=0.01)
        >>> drop_lr_(optimizer, 16, [Block(("0.weight",), count=2)])
        {'0.weight': tensor([0.5000, 0.5000], dtype=torch.float64)}
        >>> optimizer.param_groups[0]["lr"]
        0.00625

    References:
        Wan et al., "Spherical Motion Dynamics", 2021, arXiv:2006.08419, Corollary 3.1, for SGD;
        the other exponents are derived here.
    """
    k = float(positive("k", k))
    scaling = scaling_of(optimizer)
    check_scheduler(optimizer, scheduler)
    parameters = _named_parameters(optimizer, model)
    factors: dict[str, Tensor] = {}
    changes: list[Change] = []
    for block, norms in radii(blocks, parameters):
        check_holds(optimizer, {parameters[name]: name for name in block.names})
        c = torch.full_like(norms, k ** -_exponent(optimizer, scaling, block, parameters))
        changes += weight_changes(block, norms, c, parameters)
        factors |= dict.fromkeys(block.names, c)
    own = {parameters[name]: float(c[0]) for name, c in factors.items()}
    changes += state_changes(optimizer, scaling, own)
    changes += _rate_changes(optimizer, scheduler, 1 / k)
    with torch.no_grad():
        for change in changes:
            change()
    return factors


def _rate_changes(
    optimizer: Optimizer, scheduler: LRScheduler | None, factor: float
) -> list[Change]:
    changes: list[Change] = []
    for group in optimizer.param_groups:
        rates = [key for key in LEARNING_RATES if key in group]
        changes += setting_changes(optimizer, group, dict.fromkeys(rates, factor))
    if scheduler is not None:
        wanted = parts(optimizer, {})  # the groups as they are
        changes += scheduler_changes(scheduler, wanted, [factor] * len(wanted))
    return changes


def _named_parameters(optimizer: Optimizer, model: nn.Module | None) -> dict[str, Tensor]:
    if model is not None:
        return dict(model.named_parameters())
    groups = optimizer.param_groups
    if any("param_names" not in group for group in groups):
        raise UsageError(
            "`model` must be given, since the optimizer does not know the names of its "
            "parameters. Pass `model=`, or build the optimizer from `model.named_parameters()`."
        )
    return {
        name: parameter
        for group in groups
        for name, parameter in zip(group["param_names"], group["params"], strict=True)
    }


def _exponent(
    optimizer: Optimizer, scaling: Scaling, block: Block, parameters: Mapping[str, Tensor]
) -> float:
    """The power of η that the radius of a block settles at."""
    kind = type(optimizer).__name__
    if not scaling.settles:
        raise UsageError(
            f"`optimizer` must have an equilibrium radius that is a power of its learning rate, "
            f"and {kind} has none: its steps do not settle at a size of their own."
        )
    groups = [_group_of(optimizer, parameters[name]) for name in block.names]
    if not any(float(group["weight_decay"]) > 0 for group in groups):
        raise UsageError(
            f"`blocks` must have weight decay, and {quoted(block.names)} has none: its radius only "
            "grows, and there is no equilibrium to move it to."
        )
    exponents = {1 / (scaling.lr - scaling.weight_decay(group)) for group in groups}
    if len(exponents) > 1:
        raise UsageError(
            f"The parameters of a block must decay alike, and {quoted(block.names)} are in param "
            "groups with decoupled decay and without: they would need two factors."
        )
    return exponents.pop()


def _group_of(optimizer: Optimizer, parameter: Tensor) -> Group:
    groups: list[Group] = optimizer.param_groups
    return next(g for g in groups if any(parameter is held for held in g["params"]))
