"""Muon on spheres."""

from typing import Any

import torch

from etaeff.errors import UsageError
from etaeff.optim._sphere import SphereOptimizer, free_defaults
from etaeff.optim.rules import MUON, Group

# Torch has it from 2.9 on; the other optimisers do not need it.
_Muon: Any = getattr(torch.optim, "Muon", None)


class SphereMuon(SphereOptimizer, _Muon or torch.optim.Optimizer):  # type: ignore[misc]
    r"""Muon whose blocks stay on spheres; groups without blocks are `torch.optim.Muon`'s.

    The direction d is the momentum with all singular values near 1 (five Newton-Schulz steps in
    bfloat16, as in torch), times torch's factor for the shape. Each piece goes
    $w \leftarrow R\,(w - \eta d)/\|w - \eta d\|$, or by an angle, as `mode` says. All parameters
    are matrices; give biases, gains and embeddings to another optimiser.

    | `mode` | `lr` on a sphere |
    |---|---|
    | `"projected"` | η; a step turns a whole matrix by about η·‖d‖/R, ‖d‖ ≈ √min(rows, columns) |
    | `"angle"` | the angle of each step, in radians |
    | `"equilibrium"` | that of Muon, as is `weight_decay` |

    Args:
        params: Groups, as `etaeff.param_groups` makes them; or whatever torch takes.
        lr: Learning rate ≥ 0.
        weight_decay: Of groups without blocks, and of those with `mode="equilibrium"`.
        momentum: μ of the average of gradients.
        nesterov: As in torch.
        ns_coefficients: Of the Newton-Schulz polynomial.
        eps: As in torch.
        ns_steps: Newton-Schulz steps.
        adjust_lr_fn: As in torch.
        radius: `"unit"`, `"keep"` or a number, for groups that do not say.
        mode: `"projected"`, `"angle"` or `"equilibrium"`, for groups that do not say.
        tangent: Take the radial part out of gradient and momentum.
        step: The old name of `mode`; refused.

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

    rule = MUON

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
        mode: str = "projected",
        tangent: bool = False,
        step: str = "",
    ) -> None:
        """Put all blocks at their radius."""
        if _Muon is None:
            raise UsageError(
                f"SphereMuon needs the Muon of torch 2.9 or newer; this is {torch.__version__}. "
                "Install a newer torch, or use SphereSGD or SphereAdam."
            )
        free = free_defaults(
            _Muon,
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            ns_coefficients=ns_coefficients,
            eps=eps,
            ns_steps=ns_steps,
            adjust_lr_fn=adjust_lr_fn,
        )
        super().__init__(
            params, {**free, "radius": radius, "mode": mode, "tangent": tangent}, step=step
        )

    def _check_group(self, group: Group) -> None:
        for p in group["params"]:
            if p.ndim == 2:
                continue
            if not group.get("blocks"):
                raise ValueError(f"Muon only supports 2D parameters, and one has size {p.size()}")
            raise UsageError(
                f"SphereMuon takes matrices (2D), and was given a parameter of shape "
                f"{list(p.shape)}. Give biases, gains and convolutions to another optimiser."
            )
        super()._check_group(group)
