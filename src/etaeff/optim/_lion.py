"""Lion on spheres."""

from typing import Any

from torch import Tensor

from etaeff.errors import UsageError
from etaeff.optim._sphere import SphereOptimizer
from etaeff.optim.rules import LION


class SphereLion(SphereOptimizer):
    r"""Lion whose blocks stay on spheres; groups without blocks have decoupled weight decay.

    $$d = \mathrm{sign}(\beta_1 m + (1-\beta_1) g), \qquad
      m \leftarrow \beta_2 m + (1-\beta_2) g$$

    Each piece goes $w \leftarrow R\,(w - \eta d)/\|w - \eta d\|$, or by an angle, as `mode` says; a
    free weight goes $w \leftarrow (1-\eta\lambda)w - \eta d$. What `lr` means on a sphere:

    | `mode` | `lr` on a sphere |
    |---|---|
    | `"projected"` | η; a step turns by about η√n at radius 1, for a piece of n entries |
    | `"angle"` | the angle of each step, in radians |
    | `"equilibrium"` | that of Lion, as is `weight_decay` |

    Args:
        params: Groups, as `etaeff.param_groups` makes them; or whatever torch takes.
        lr: Learning rate ≥ 0.
        betas: β₁, β₂ in [0, 1).
        weight_decay: Of groups without blocks, and of those with `mode="equilibrium"`.
        radius: `"unit"`, `"keep"` or a number, for groups that do not say.
        mode: `"projected"`, `"angle"` or `"equilibrium"`, for groups that do not say.
        tangent: Take the radial part out of gradient and moment.
        maximize: Go up.
        step: The old name of `mode`; refused.

    Raises:
        UsageError: If a piece has no direction, a sphere group has decay, or a value is wrong.

    Examples:
        >>> import torch
        >>> from etaeff.geometry import Block, param_groups
        >>> model = torch.nn.Linear(3, 2, bias=False)
        >>> optimizer = SphereLion(param_groups(model, [Block(("weight",), count=2)], lr=0.01))
        >>> model(torch.ones(1, 3)).sum().backward()
        >>> optimizer.step()
        >>> (model.weight.norm(dim=1) - 1).abs().max() < 1e-6
        tensor(True)

    References:
        Chen et al. 2023, algorithm 2.
    """

    rule = LION

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        radius: str | float = "unit",
        mode: str = "projected",
        tangent: bool = False,
        maximize: bool = False,
        step: str = "",
    ) -> None:
        """Put all blocks at their radius."""
        if not lr >= 0:
            raise UsageError(f"`lr` must not be negative, got {lr}.")
        if not all(0 <= beta < 1 for beta in betas):
            raise UsageError(f"`betas` must lie in [0, 1), got {betas}.")
        if not weight_decay >= 0:
            raise UsageError(f"`weight_decay` must not be negative, got {weight_decay}.")
        defaults = {
            "lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize,
            "radius": radius, "mode": mode, "tangent": tangent,
        }  # fmt: skip
        super().__init__(params, defaults, step=step)
