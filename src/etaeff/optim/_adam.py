"""Adam on spheres."""

from typing import Any, Final

import torch
from torch import Tensor

from etaeff.errors import UsageError
from etaeff.optim._sphere import SphereOptimizer, free_defaults
from etaeff.optim.rules import ADAM, Group

_SECOND_MOMENTS: Final = ("entry", "block")


class SphereAdam(SphereOptimizer, torch.optim.AdamW):
    r"""Adam whose blocks stay on spheres; groups without blocks are `torch.optim.AdamW`'s.

    With $d = \hat m/(\sqrt{\hat v} + \epsilon)$ of Adam, bias correction included, each piece goes

    $$w \leftarrow R\,\frac{w - \eta d}{\|w - \eta d\|}$$

    or by an angle, as `mode` says. What `lr` means there:

    | `mode` | `lr` on a sphere |
    |---|---|
    | `"projected"` | η; a step turns by about η√(n(1−β₁)/(1+β₁)) at radius 1, for n entries |
    | `"angle"` | the angle of each step, in radians |
    | `"equilibrium"` | that of AdamW, as is `weight_decay` |

    Args:
        params: Groups, as `etaeff.param_groups` makes them; or whatever torch takes.
        lr: Learning rate ≥ 0.
        betas: β₁, β₂ in [0, 1).
        eps: ε, in units of the gradient.
        weight_decay: Of groups without blocks, and of those with `mode="equilibrium"`.
        amsgrad: As in torch.
        radius: `"unit"`, `"keep"` or a number, for groups that do not say.
        mode: `"projected"`, `"angle"` or `"equilibrium"`, for groups that do not say.
        tangent: Take the radial part out of gradient and first moment.
        second_moment: `"entry"`, Adam's; or `"block"`, one number per piece, the mean of its
            squares: half the state, and the same for all rotations of a piece. `amsgrad`,
            `capturable`, `differentiable` and `fused` need `"entry"`.
        maximize: As in torch.
        foreach: As in torch.
        capturable: As in torch; NaN is not looked for then.
        differentiable: As in torch.
        fused: As in torch.
        step: The old name of `mode`; refused.

    Raises:
        UsageError: If a piece has no direction, a sphere group has decay, or a value is wrong.

    Examples:
        >>> from etaeff.geometry import Block, param_groups
        >>> model = torch.nn.Linear(3, 2, bias=False)
        >>> groups = param_groups(model, [Block(("weight",), count=2)], lr=0.01, mode="angle")
        >>> optimizer = SphereAdam(groups)
        >>> model(torch.ones(1, 3)).sum().backward()
        >>> optimizer.step()
        >>> (model.weight.norm(dim=1) - 1).abs().max() < 1e-6
        tensor(True)

    References:
        van Laarhoven 2017, section 5.5; Kingma & Ba 2015; for one second moment per sphere,
        Roburin et al. 2020.
    """

    rule = ADAM

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        radius: str | float = "unit",
        mode: str = "projected",
        tangent: bool = False,
        second_moment: str = "entry",
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        step: str = "",
    ) -> None:
        """Put all blocks at their radius."""
        free = free_defaults(
            torch.optim.AdamW,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            maximize=maximize,
            foreach=foreach,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
        )
        spheres = {
            "radius": radius, "mode": mode, "tangent": tangent, "second_moment": second_moment,
        }  # fmt: skip
        super().__init__(params, free | spheres, step=step)

    def _check_group(self, group: Group) -> None:
        if group.get("blocks"):
            _check_second_moment(group)
        super()._check_group(group)


def _check_second_moment(group: Group) -> None:
    if group["second_moment"] not in _SECOND_MOMENTS:
        raise UsageError(
            f"`second_moment` must be 'entry' or 'block', got {group['second_moment']!r}."
        )
    for flag in ("amsgrad", "fused", "capturable", "differentiable"):
        if group["second_moment"] == "block" and group[flag]:
            raise UsageError(f"`{flag}` needs a second moment per entry, not per block.")
