"""Lion, and Lion on spheres."""

from typing import Any

import torch
from torch import Tensor

from etaeff.errors import UsageError
from etaeff.optim._sphere import SphereOptimizer


class SphereLion(SphereOptimizer):
    r"""Lion whose blocks stay on spheres; groups without blocks have decoupled weight decay.

    $$d = \mathrm{sign}(\beta_1 m + (1-\beta_1) g), \qquad
      m \leftarrow \beta_2 m + (1-\beta_2) g$$

    Each piece goes $w \leftarrow R\,(w - \eta d)/\|w - \eta d\|$, or by an angle, as `step` says; a
    free weight goes $w \leftarrow (1-\eta\lambda)w - \eta d$. What `lr` means on a sphere:

    | `step` | `lr` on a sphere |
    |---|---|
    | `"projected"` | η; a step turns by about η√n at radius 1, for a piece of n entries |
    | `"angle"` | the angle of each step, in radians |
    | `"equilibrium"` | that of Lion, as is `weight_decay` |

    Args:
        params: Groups, as `etaeff.param_groups` makes them; or whatever torch takes.
        lr: Learning rate ≥ 0.
        betas: β₁, β₂ in [0, 1).
        weight_decay: Of groups without blocks, and of those with `step="equilibrium"`.
        radius: `"unit"`, `"keep"` or a number, for groups that do not say.
        step: `"projected"`, `"angle"` or `"equilibrium"`, for groups that do not say.
        tangent: Take the radial part out of gradient and moment.
        maximize: Go up.

    Raises:
        UsageError: If a piece has no direction, a sphere group has decay, or a value is wrong.

    Examples:
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

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        radius: str | float = "unit",
        step: str = "projected",
        tangent: bool = False,
        maximize: bool = False,
    ) -> None:
        """Put all blocks at their radius."""
        if not lr >= 0:
            raise UsageError(f"`lr` must not be negative, got {lr}.")
        if not all(0 <= beta < 1 for beta in betas):
            raise UsageError(f"`betas` must lie in [0, 1), got {betas}.")
        if not weight_decay >= 0:
            raise UsageError(f"`weight_decay` must not be negative, got {weight_decay}.")
        self._options = {"radius": radius, "step": step, "tangent": tangent}
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    step = SphereOptimizer.step
    _wide_moments = True

    def _update(self, group: dict[str, Any], sphere: bool) -> list[tuple[Tensor, Tensor]]:
        beta1, beta2 = group["betas"]
        own = self._gradients(group if sphere else group | {"tangent": False})
        found = []
        for p in group["params"]:
            if id(p) not in own:
                continue
            grad = -own[id(p)] if group["maximize"] else own[id(p)]
            state = self.state[p]
            if "exp_avg" not in state:
                state["exp_avg"] = torch.zeros_like(grad)
            moment = state["exp_avg"]
            mixed = moment.lerp(grad, 1 - beta1)
            direction = mixed.sign() + 0 * mixed  # sign(NaN) is 0: nobody would see it
            moment.lerp_(grad, 1 - beta2)
            if not sphere:
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_((direction * group["lr"]).to(p.dtype))
            found.append((p, direction))
        return found

    def _setting(self, group: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
        return {"optimizer": "lion", "betas": tuple(group["betas"])}
