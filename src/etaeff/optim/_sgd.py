"""SGD on spheres."""

from typing import Any

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from etaeff.optim._sphere import SphereOptimizer


class SphereSGD(torch.optim.SGD, SphereOptimizer):
    r"""SGD whose blocks stay on spheres; groups without blocks are `torch.optim.SGD`'s.

    With d the step of SGD (momentum, dampening and Nesterov as in torch), each piece goes

    $$w \leftarrow R\,\frac{w - \eta d}{\|w - \eta d\|}$$

    or by an angle, as `step` says. What `lr` means there:

    | `step` | `lr` on a sphere |
    |---|---|
    | `"projected"` | η; at radius 1 that is the effective learning rate η/‖w‖² of a free weight |
    | `"angle"` | the angle of each step, in radians |
    | `"equilibrium"` | that of the free optimiser, as is `weight_decay` |

    Args:
        params: Groups, as `etaeff.param_groups` makes them; or whatever torch takes.
        lr: Learning rate ≥ 0.
        momentum: μ ≥ 0.
        dampening: Of the momentum.
        weight_decay: Of groups without blocks, and of those with `step="equilibrium"`.
        nesterov: Nesterov's momentum.
        radius: `"unit"`, `"keep"` or a number, for groups that do not say.
        step: `"projected"`, `"angle"` or `"equilibrium"`, for groups that do not say.
        tangent: Take the radial part out of gradient and momentum.
        maximize: As in torch.
        foreach: As in torch.
        differentiable: As in torch.
        fused: As in torch.

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
        step: str = "projected",
        tangent: bool = False,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        """Put all blocks at their radius."""
        self._options = {"radius": radius, "step": step, "tangent": tangent}
        super().__init__(
            params, lr, momentum, dampening, weight_decay, nesterov, maximize=maximize,
            foreach=foreach, differentiable=differentiable, fused=fused,
        )  # fmt: skip

    step = SphereOptimizer.step

    def _update(self, group: dict[str, Any], sphere: bool) -> list[tuple[Tensor, Tensor]]:
        params: list[Tensor] = []
        grads: list[Tensor] = []
        buffers: list[Tensor | None] = []
        sparse = self._init_group(group, params, grads, buffers)  # type: ignore[no-untyped-call]
        targets = params
        if sphere:
            own = self._gradients(group)
            grads = [own[id(p)] for p in params]
            targets = [torch.zeros_like(g) for g in grads]
        if group["nesterov"] and group["foreach"] is not False:
            grads = [g.clone() for g in grads]  # torch would write into them
        sgd(
            targets,
            grads,
            buffers,
            weight_decay=0.0 if sphere else group["weight_decay"],
            momentum=group["momentum"],
            lr=-1.0 if sphere else group["lr"],  # from zero, that gives the direction itself
            dampening=group["dampening"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            has_sparse_grad=sparse,
            foreach=group["foreach"],
            fused=group["fused"],
            grad_scale=getattr(self, "grad_scale", None),
            found_inf=getattr(self, "found_inf", None),
        )
        if group["momentum"] != 0:
            for p, buffer in zip(params, buffers, strict=True):
                self.state[p]["momentum_buffer"] = buffer
        return list(zip(params, targets, strict=True))

    def _setting(self, group: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
        return {
            "optimizer": "sgd",
            "momentum": float(group["momentum"]),
            "dampening": float(group["dampening"]),
            "nesterov": bool(group["nesterov"]),
        }
