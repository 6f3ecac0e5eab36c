"""Adam on spheres."""

from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.optimizer import _get_scalar_dtype

from etaeff.errors import UsageError
from etaeff.optim._layout import inners, spheres
from etaeff.optim._sphere import SphereOptimizer

_SECOND_MOMENTS = ("entry", "block")


class SphereAdam(torch.optim.AdamW, SphereOptimizer):
    r"""Adam whose blocks stay on spheres; groups without blocks are `torch.optim.AdamW`'s.

    With $d = \hat m/(\sqrt{\hat v} + \epsilon)$ of Adam, bias correction included, each piece goes

    $$w \leftarrow R\,\frac{w - \eta d}{\|w - \eta d\|}$$

    or by an angle, as `step` says. What `lr` means there:

    | `step` | `lr` on a sphere |
    |---|---|
    | `"projected"` | η; a step turns by about η√(n(1−β₁)/(1+β₁)) at radius 1, for n entries |
    | `"angle"` | the angle of each step, in radians |
    | `"equilibrium"` | that of AdamW, as is `weight_decay` |

    Args:
        params: Groups, as `etaeff.param_groups` makes them; or whatever torch takes.
        lr: Learning rate ≥ 0.
        betas: β₁, β₂ in [0, 1).
        eps: ε, in units of the gradient.
        weight_decay: Of groups without blocks, and of those with `step="equilibrium"`.
        amsgrad: As in torch.
        radius: `"unit"`, `"keep"` or a number, for groups that do not say.
        step: `"projected"`, `"angle"` or `"equilibrium"`, for groups that do not say.
        tangent: Take the radial part out of gradient and first moment.
        second_moment: `"entry"`, Adam's; or `"block"`, one number per piece, the mean of its
            squares: half the state, and the same for all rotations of a piece. `amsgrad`,
            `capturable`, `differentiable` and `fused` need `"entry"`.
        maximize: As in torch.
        foreach: As in torch.
        capturable: As in torch; NaN is not looked for then.
        differentiable: As in torch.
        fused: As in torch.

    Raises:
        UsageError: If a piece has no direction, a sphere group has decay, or a value is wrong.

    Examples:
        >>> from etaeff.geometry import Block, param_groups
        >>> model = torch.nn.Linear(3, 2, bias=False)
        >>> groups = param_groups(model, [Block(("weight",), count=2)], lr=0.01, step="angle")
        >>> optimizer = SphereAdam(groups)
        >>> model(torch.ones(1, 3)).sum().backward()
        >>> optimizer.step()
        >>> (model.weight.norm(dim=1) - 1).abs().max() < 1e-6
        tensor(True)

    References:
        van Laarhoven 2017, section 5.5; Kingma & Ba 2015; for one second moment per sphere,
        Roburin et al. 2020.
    """

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
        step: str = "projected",
        tangent: bool = False,
        second_moment: str = "entry",
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        """Put all blocks at their radius."""
        self._options = {
            "radius": radius, "step": step, "tangent": tangent, "second_moment": second_moment,
        }  # fmt: skip
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, foreach=foreach,
            capturable=capturable, differentiable=differentiable, fused=fused,
        )  # fmt: skip

    step = SphereOptimizer.step

    def _place(self, group: dict[str, Any]) -> None:
        if group["second_moment"] not in _SECOND_MOMENTS:
            raise UsageError(
                f"`second_moment` must be 'entry' or 'block', got {group['second_moment']!r}."
            )
        for flag in ("amsgrad", "fused", "capturable", "differentiable"):
            if group["second_moment"] == "block" and group[flag]:
                raise UsageError(f"`{flag}` needs a second moment per entry, not per block.")
        super()._place(group)

    def _update(self, group: dict[str, Any], sphere: bool) -> list[tuple[Tensor, Tensor]]:
        if sphere:
            self._begin(group)
            if group["second_moment"] == "block":
                return self._by_block(group)
        params: list[Tensor] = []
        grads: list[Tensor] = []
        first: list[Tensor] = []
        second: list[Tensor] = []
        largest: list[Tensor] = []
        steps: list[Tensor] = []
        has_complex = self._init_group(  # type: ignore[no-untyped-call]
            group, params, grads, first, second, largest, steps
        )
        targets = params
        if sphere:
            own = self._gradients(group)
            grads = [own[id(p)] for p in params]
            targets = [torch.zeros_like(g) for g in grads]
        adam(
            targets,
            grads,
            first,
            second,
            largest,
            steps,
            amsgrad=group["amsgrad"],
            has_complex=has_complex,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=-1.0 if sphere else group["lr"],  # from zero, that gives the direction itself
            weight_decay=0.0 if sphere else group["weight_decay"],
            eps=group["eps"],
            maximize=group["maximize"],
            foreach=group["foreach"],
            capturable=group["capturable"],
            differentiable=group["differentiable"],
            fused=group["fused"],
            grad_scale=getattr(self, "grad_scale", None),
            found_inf=getattr(self, "found_inf", None),
            decoupled_weight_decay=group["decoupled_weight_decay"],
        )
        if sphere:
            # m/√v is zero for ever once v is infinite; then it is NaN, which is noticed.
            for d, v in zip(targets, second, strict=True):
                d.add_(v, alpha=0)
        return list(zip(params, targets, strict=True))

    def _begin(self, group: dict[str, Any]) -> None:
        """The state of spheres: torch would take that with a radius for one that has begun."""
        on_device = group["capturable"] or group["fused"]
        heard = [p for p in group["params"] if p.grad is not None]
        if group["second_moment"] == "block":  # one v and one step for all tensors of a block
            joint = [own.params for own in spheres(group)]
            heard = [p for ps in joint if any(q.grad is not None for q in ps) for p in ps]
        for p in heard:
            state = self.state[p]
            if "step" in state:
                continue
            wide = torch.float32 if p.element_size() < 4 else p.dtype
            state["step"] = torch.zeros(
                (), dtype=_get_scalar_dtype(is_fused=group["fused"]),
                device=p.device if on_device else "cpu",
            )  # fmt: skip
            state["exp_avg"] = torch.zeros_like(p, dtype=wide)
            if group["second_moment"] == "entry":
                state["exp_avg_sq"] = torch.zeros_like(p, dtype=wide)
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = torch.zeros_like(p, dtype=wide)

    def _by_block(self, group: dict[str, Any]) -> list[tuple[Tensor, Tensor]]:
        r"""One second moment per piece: $v \leftarrow \beta_2 v + (1-\beta_2)\|g\|^2/n$."""
        beta1, beta2 = group["betas"]
        sign = -1 if group["maximize"] else 1
        own = self._gradients(group)
        heard = [s for s in spheres(group) if any(id(p) in own for p in s.params)]
        grads = [[own.get(id(p), torch.zeros_like(p)) * sign for p in s.params] for s in heard]
        squares = inners(list(zip(heard, grads, grads, strict=True)), everywhere=True)
        found = []
        for sphere, gs, square in zip(heard, grads, squares, strict=True):
            begun = self.state[sphere.params[0]].get("exp_avg_sq")
            v = torch.zeros_like(square) if begun is None else begun
            entries = sum(p.numel() for p in sphere.params) // sphere.block.count
            v.lerp_((square / entries).to(v.dtype), 1 - beta2)
            for i, (rows, g) in enumerate(zip(sphere.rows, gs, strict=True)):
                state = self.state[rows.param]
                state["step"] += 1
                state["exp_avg_sq"] = v.clone() if i else v
                if id(rows.param) not in own:
                    continue
                steps = state["step"].to(v)
                # NaN, which is noticed, where v is infinite.
                size = (v / (1 - beta2**steps)).sqrt() + group["eps"] + 0 * v
                d = state["exp_avg"].lerp_(g, 1 - beta1) / (1 - beta1**steps)
                rows.view(d).copy_(rows.view(d) / rows.spread(size, d))
                found.append((rows.param, d))
        return found

    def _has_own_dtype(self, key: str, group: dict[str, Any]) -> bool:
        by_block = group.get("second_moment") == "block" and key == "exp_avg_sq"
        return by_block or super()._has_own_dtype(key, group)

    def _setting(self, group: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
        beta1, beta2 = group["betas"]
        return {"optimizer": "adamw", "betas": (float(beta1), float(beta2))}
