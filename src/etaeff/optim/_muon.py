"""Muon on spheres."""

from typing import Any

import torch
from torch import Tensor

from etaeff.errors import UsageError
from etaeff.optim._sphere import SphereOptimizer

try:
    from torch.optim import Muon
    from torch.optim._muon import muon
except ImportError:  # the other optimisers do not need it

    class Muon(torch.optim.Optimizer):  # type: ignore[no-redef]
        def __init__(self, *_args: Any, **_kwargs: Any) -> None:
            raise UsageError(
                f"SphereMuon needs the Muon of torch 2.9 or newer; this is {torch.__version__}. "
                "Install a newer torch, or use SphereSGD or SphereAdam."
            )


class SphereMuon(Muon, SphereOptimizer):
    r"""Muon whose blocks stay on spheres; groups without blocks are `torch.optim.Muon`'s.

    The direction d is the momentum with all singular values near 1 (five Newton-Schulz steps in
    bfloat16, as in torch), times torch's factor for the shape. Each piece goes
    $w \leftarrow R\,(w - \eta d)/\|w - \eta d\|$, or by an angle, as `step` says. All parameters
    are matrices; give biases, gains and embeddings to another optimiser.

    | `step` | `lr` on a sphere |
    |---|---|
    | `"projected"` | η; a step turns a whole matrix by about η·‖d‖/R, ‖d‖ ≈ √min(rows, columns) |
    | `"angle"` | the angle of each step, in radians |
    | `"equilibrium"` | that of Muon, as is `weight_decay` |

    Args:
        params: Groups, as `etaeff.param_groups` makes them; or whatever torch takes.
        lr: Learning rate ≥ 0.
        weight_decay: Of groups without blocks, and of those with `step="equilibrium"`.
        momentum: μ of the average of gradients.
        nesterov: As in torch.
        ns_coefficients: Of the Newton-Schulz polynomial.
        eps: As in torch.
        ns_steps: Newton-Schulz steps.
        adjust_lr_fn: As in torch.
        radius: `"unit"`, `"keep"` or a number, for groups that do not say.
        step: `"projected"`, `"angle"` or `"equilibrium"`, for groups that do not say.
        tangent: Take the radial part out of gradient and momentum.

    Raises:
        UsageError: If a piece has no direction, a sphere group has decay, or a value is wrong.

    Examples:
        >>> from etaeff.geometry import Block, param_groups
        >>> model = torch.nn.Linear(3, 2, bias=False)
        >>> optimizer = SphereMuon(param_groups(model, [Block(("weight",))], lr=0.02))
        >>> model(torch.ones(1, 3)).sum().backward()
        >>> optimizer.step()
        >>> (model.weight.norm() - 1).abs().max() < 1e-6
        tensor(True)

    References:
        Jordan et al. 2024; `torch.optim.Muon`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        radius: str | float = "unit",
        step: str = "projected",
        tangent: bool = False,
    ) -> None:
        """Put all blocks at their radius."""
        self._options = {"radius": radius, "step": step, "tangent": tangent}
        super().__init__(
            params, lr, weight_decay, momentum, nesterov, ns_coefficients, eps, ns_steps,
            adjust_lr_fn,
        )  # fmt: skip

    step = SphereOptimizer.step

    def _place(self, group: dict[str, Any]) -> None:
        for p in group["params"]:
            if p.ndim != 2:  # torch asks too, when the blocks have been put at their radius
                raise UsageError(
                    f"SphereMuon takes matrices (2D), and was given a parameter of shape "
                    f"{list(p.shape)}. Give biases, gains and convolutions to another optimiser."
                )
        super()._place(group)

    def _update(self, group: dict[str, Any], sphere: bool) -> list[tuple[Tensor, Tensor]]:
        params: list[Tensor] = []
        grads: list[Tensor] = []
        buffers: list[Tensor] = []
        has_complex = self._init_group(group, params, grads, buffers)
        targets = params
        if sphere:
            own = self._gradients(group)
            grads = [own[id(p)] for p in params]
            targets = [torch.zeros_like(g) for g in grads]
            buffers = [buffer.to(g.dtype) for buffer, g in zip(buffers, grads, strict=True)]
        muon(
            targets,
            grads,
            buffers,
            lr=-1.0 if sphere else group["lr"],  # from zero, that gives the direction itself
            weight_decay=0.0 if sphere else group["weight_decay"],
            momentum=group["momentum"],
            nesterov=group["nesterov"],
            ns_coefficients=group["ns_coefficients"],
            eps=group["eps"],
            ns_steps=group["ns_steps"],
            adjust_lr_fn=group["adjust_lr_fn"],
            has_complex=has_complex,
        )
        for p, buffer in zip(params, buffers, strict=True):
            self.state[p]["momentum_buffer"] = buffer
        return list(zip(params, targets, strict=True))

    def _setting(self, group: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
        return {
            "optimizer": "muon",
            "momentum": float(group["momentum"]),
            "nesterov": bool(group["nesterov"]),
            "shape": (shape[0], shape[1]),
            "adjust_lr_fn": group["adjust_lr_fn"],
        }
