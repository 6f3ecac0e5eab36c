"""Put scale-invariant weights at another radius in the middle of training."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from etaeff._checks.numbers import positive
from etaeff._checks.tensors import quoted
from etaeff.convert._optimizer_changes import (
    Change,
    check_exact,
    check_holds,
    group_changes,
    parts,
    state_changes,
)
from etaeff.convert._optimizer_scalings import scaling_of
from etaeff.convert._scheduler_changes import check_scheduler, scheduler_changes
from etaeff.convert._weight_changes import radii, weight_changes
from etaeff.errors import UsageError
from etaeff.geometry import Block


def rescale_(
    model: nn.Module,
    blocks: Iterable[Block],
    *,
    radius: float | None = None,
    scale: float | None = None,
    uniform: bool = False,
    optimizer: Optimizer | None = None,
    scheduler: LRScheduler | None = None,
) -> dict[str, Tensor]:
    r"""Put scale-invariant blocks at another radius, in place, in the middle of training.

    $$w \to cw, \quad g \to g/c, \quad (\eta, \lambda) \to
    \begin{cases} (c^2\eta,\, \lambda/c^2) & \text{SGD} \\
    (c\,\eta,\, \lambda/c^2) & \text{Adam with L2} \\
    (c\,\eta,\, \lambda/c) & \text{AdamW} \end{cases}$$

    The network computes the same function. With its optimiser given, whose momentum, second
    moments, ε and settings are converted too, training goes on in the same directions, step for
    step, up to rounding; `_optimizer_scalings.py` has the table for all of torch.optim. For factors
    that are powers of two nothing is rounded, and every bit of the directions stays.

    Not everything can follow. Clipping by the gradient's norm acts otherwise afterwards, since
    the gradient is divided by c. The running statistics of Batch Normalization belong to the old
    radius until training has renewed them (with a momentum of 0.1, after some hundred steps); an
    evaluation before that is wrong. ε in a normalisation acts as ε/c². Muon orthogonalises in
    bfloat16: with it only powers of two are exact.

    Args:
        model: The network. Its loss must not depend on the scale of any block.
        blocks: Blocks without common parameters, named as in `model.named_parameters()`.
        radius: The norm that every piece gets, > 0. Either this or `scale`.
        scale: The factor c > 0 of every piece.
        uniform: With `radius`: one factor for a block, so that its pieces keep the ratios of
            their radii, whose root mean square becomes `radius`. Needed with an optimiser if the
            radii differ, because a param group has one learning rate.
        optimizer: One of torch.optim's, which holds all these parameters. A param group whose
            parameters get different factors is split; the new groups come last, with the names
            of their parameters if it knew them.
        scheduler: The schedule of `optimizer`, needed if there is one. Its base rates are
            converted and its lists extended to the new groups.

    Returns:
        For every parameter of the blocks its factors c, one for each piece: shape `(count,)`,
        float64, on the CPU.

    Raises:
        UnknownNameError: If a block names a parameter that the model does not have.
        UsageError: If an argument is outside its range, a piece has norm 0, or what is asked
            cannot be done exactly. Nothing has been changed then.

    Examples:
        >>> model = nn.Sequential(nn.Linear(3, 2, bias=False), nn.BatchNorm1d(2))
        >>> _ = nn.init.ones_(model[0].weight)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.01)
        >>> done = rescale_(model, [Block(("0.weight",), count=2)], scale=2.0, optimizer=optimizer)
        >>> done
        {'0.weight': tensor([2., 2.], dtype=torch.float64)}
        >>> [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
        [(0.4, 0.0025), (0.1, 0.01)]

    References:
        van Laarhoven 2017; Li & Arora, "An Exponential Learning Rate Schedule for
        Deep Learning", 2020, Lemma 2.4.
    """
    target = _target(radius, scale, uniform)
    if scheduler is not None and optimizer is None:
        raise UsageError("`scheduler` must come with its `optimizer`, got it alone.")
    parameters = dict(model.named_parameters())
    factors: dict[str, Tensor] = {}
    changes: list[Change] = []
    for block, norms in radii(blocks, parameters):
        c = target(norms)
        if optimizer is not None:
            precision = max(torch.finfo(parameters[name].dtype).eps for name in block.names)
            c = _one_factor(block, norms, c, precision)
        changes += weight_changes(block, norms, c, parameters)
        factors |= dict.fromkeys(block.names, c)
    if optimizer is not None:
        changes += _optimizer_changes(optimizer, scheduler, parameters, factors)
    with torch.no_grad():
        for change in changes:
            change()
    return factors


def _target(radius: float | None, scale: float | None, uniform: bool) -> Callable[[Tensor], Tensor]:
    """The function from the norms of a block's pieces to their factors."""
    if scale is not None and radius is None:
        c = float(positive("scale", scale))
        return lambda norms: torch.full_like(norms, c)
    if radius is not None and scale is None:
        r = float(positive("radius", radius))
        if uniform:
            return lambda norms: torch.full_like(norms, r / float(norms.square().mean().sqrt()))
        return lambda norms: r / norms
    got = "neither" if radius is None else "both"
    raise UsageError(f"Either `radius` or `scale` must be given, got {got}.")


def _one_factor(block: Block, norms: Tensor, factors: Tensor, precision: float) -> Tensor:
    """The factor of all pieces, which a param group needs, if they have one."""
    # Rows that were normalised have equal norms but for rounding, and are taken for equal.
    if bool(((factors / factors[0] - 1).abs() <= 4 * precision).all()):
        return torch.full_like(factors, float(factors[0]))
    raise UsageError(
        "With an optimizer `radius` needs pieces of equal norm, got "
        f"{float(norms.min()):.3g} to {float(norms.max()):.3g} in {quoted(block.names)}: each "
        "would need its own learning rate, and a param group has one. Pass `uniform=True` (the "
        "pieces keep their ratios, and the root mean square of their norms becomes `radius`) or "
        "`scale=`."
    )


def _optimizer_changes(
    optimizer: Optimizer,
    scheduler: LRScheduler | None,
    parameters: Mapping[str, Tensor],
    factors: Mapping[str, Tensor],
) -> list[Change]:
    scaling = scaling_of(optimizer)
    names = {parameters[name]: name for name in factors}
    check_holds(optimizer, names)
    check_exact(optimizer, names)
    check_scheduler(optimizer, scheduler)
    own = {parameter: float(factors[name][0]) for parameter, name in names.items()}
    wanted = parts(optimizer, own)
    changes = state_changes(optimizer, scaling, own)
    if scheduler is not None:
        rates = [part.factor**scaling.lr for part in wanted]
        changes += scheduler_changes(scheduler, wanted, rates)
    return changes + group_changes(optimizer, scaling, wanted)
