"""SGD on spheres."""

from typing import Any

import torch
from torch import Tensor

from etaeff.optim._sphere import SphereOptimizer, free_defaults
from etaeff.optim.rules import SGD


class SphereSGD(SphereOptimizer, torch.optim.SGD):
    r"""SGD whose blocks stay on spheres; groups without blocks are `torch.optim.SGD`'s.

    With d the step of SGD (momentum, dampening and Nesterov as in torch), each piece goes

    $$w \leftarrow R\,\frac{w - \eta d}{\|w - \eta d\|}$$

    or by an angle, as `mode` says. What `lr` means there:

    | `mode` | `lr` on a sphere |
    |---|---|
    | `"projected"` | η; at radius 1 that is the effective learning rate η/‖w‖² of a free weight |
    | `"angle"` | the angle of each step, in radians |
    | `"equilibrium"` | that of the free optimiser, as is `weight_decay` |

    Args:
        params: Groups, as `etaeff.param_groups` makes them; or whatever torch takes.
        lr: Learning rate ≥ 0.
        momentum: μ ≥ 0.
        dampening: Of the momentum.
        weight_decay: Of groups without blocks, and of those with `mode="equilibrium"`.
        nesterov: Nesterov's momentum.
        radius: `"unit"`, `"keep"` or a number, for groups that do not say.
        mode: `"projected"`, `"angle"` or `"equilibrium"`, for groups that do not say.
        tangent: Take the radial part out of gradient and momentum.
        maximize: As in torch.
        foreach: As in torch.
        differentiable: As in torch.
        fused: As in torch.
        step: The old name of `mode`; refused.

    Raises:
        UsageError: If a piece has no direction, a sphere group has decay, or a value is wrong.

    Examples:
        >>> from etaeff.geometry import Block, param_groups
        >>> model = torch.nn.Linear(3, 2, bias=False)
        >>> groups = param_groups(model, [Block(("weight",), count=2)], lr=0.1)
        >>> optimizer = SphereSGD(groups, momentum=0.9)
        >>> model(torch.ones(1, 3)).sum().backward()
        >>> optimizer.step()
        >>> (model.weight.norm(dim=1) - 1).abs().max() < 1e-6
        tensor(True)

    References:
        van Laarhoven 2017, section 5.5.
    """

    rule = SGD

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        radius: str | float = "unit",
        mode: str = "projected",
        tangent: bool = False,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
        step: str = "",
    ) -> None:
        """Put all blocks at their radius."""
        free = free_defaults(
            torch.optim.SGD,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
            foreach=foreach,
            differentiable=differentiable,
            fused=fused,
        )
        super().__init__(
            params, {**free, "radius": radius, "mode": mode, "tangent": tangent}, step=step
        )
