"""What the optimisers share: groups whose blocks live on spheres, beside groups of torch's."""

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor
from torch.optim import Optimizer

from etaeff.errors import NumericalError, UsageError
from etaeff.geometry import STEPS, block_norms, check_radius, sphere_radii
from etaeff.optim._layout import Sphere, spheres
from etaeff.optim._rounding import write_
from etaeff.optim._turn import Turn, projected, turned
from etaeff.theory import Equilibrium

_OWN: Final = ("blocks", "step", "radius", "tangent", "second_moment")  # keys of sphere groups
_MOMENTS: Final = ("momentum_buffer", "exp_avg")  # that live in the tangent space
_NARROW: Final = (torch.float16, torch.bfloat16)


class SphereOptimizer(Optimizer):
    """An optimiser of torch that keeps the blocks of some groups on spheres.

    A subclass comes after torch's own class in the order of resolution, gives `_update` and
    `_equilibrium`, and has `step = SphereOptimizer.step`.
    """

    _options: dict[str, Any]  # set by the subclass before torch's constructor runs

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        """Torch's constructor calls this with its defaults."""
        super().__init__(params, defaults | self.__dict__.pop("_options"))

    # ---------------------------------------------------------------------- what a subclass gives

    def _update(self, group: dict[str, Any], sphere: bool) -> list[tuple[Tensor, Tensor]]:
        """Update a group's state; free weights too, of spheres give the directions d."""
        raise NotImplementedError

    def _equilibrium(self, group: dict[str, Any], shape: tuple[int, ...]) -> Equilibrium:
        """What the free optimiser reaches with the group's numbers, for a weight of this shape."""
        raise NotImplementedError

    # ---------------------------------------------------------------------------- torch's methods

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; blocks in it are put at their radius now, and never silently later."""
        if param_group.get("blocks"):
            step = param_group.get("step", self.defaults["step"])
            if step not in STEPS:
                raise UsageError(
                    f"`step` must be one of {', '.join(map(repr, STEPS))}, got {step!r}."
                )
            if step != "equilibrium":
                _refuse_decay(param_group.setdefault("weight_decay", 0.0))
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        if not group.get("blocks"):
            for key in _OWN:  # as torch has it
                group.pop(key, None)
            return
        try:
            self._place(group)
        except Exception:
            self.param_groups.pop()
            raise

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all groups.

        Args:
            closure: Evaluates the model again, and returns the loss.

        Raises:
            NumericalError: If a direction or a weight on a sphere is NaN or infinite; no weight of
                its group has been changed then.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.set_grad_enabled(bool(self.defaults.get("differentiable"))):
            for group in self.param_groups:
                if group.get("blocks"):
                    self._turn(group)
                else:
                    self._update(group, sphere=False)
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Torch's, and the state of spheres in its own precision.

        The weights are as the model loaded them: nothing is put at its radius again.
        """
        super().load_state_dict(state_dict)
        ids = [i for group in state_dict["param_groups"] for i in group["params"]]
        params = [p for group in self.param_groups for p in group["params"]]
        for i, p in zip(ids, params, strict=True):
            saved = state_dict["state"].get(i, {})
            if "radius" not in saved:
                continue
            for key, value in saved.items():
                if isinstance(value, Tensor) and value.is_floating_point() and key != "step":
                    self.state[p][key] = value.detach().clone().to(p.device)

    # ------------------------------------------------------------------------------ on the sphere

    def _place(self, group: dict[str, Any]) -> None:
        """Put every block of a group at its radius."""
        check_radius(group["radius"])
        found = spheres(group)
        for sphere in found:
            for name, p in zip(sphere.block.names, sphere.params, strict=True):
                _refuse_kind(name, p)
        radii = [sphere_radii(norms_of(own), group["radius"], own.block) for own in found]
        for sphere, radius in zip(found, radii, strict=True):
            if group["radius"] != "keep":
                put_at_(sphere, radius)
            for p in sphere.params:
                self.state[p]["radius"] = radius.clone()

    def _turn(self, group: dict[str, Any]) -> None:
        if group["step"] != "equilibrium":
            _refuse_decay(group["weight_decay"])  # it may have been set since
        directions = {id(p): d for p, d in self._update(group, sphere=True)}
        moved = []
        for sphere in spheres(group):
            if not any(id(p) in directions for p in sphere.params):
                continue
            ds = [directions.get(id(p), torch.zeros_like(p)) for p in sphere.params]
            moved.append((sphere, ds, self._factors(group, sphere, ds)))
        self._refuse_nonfinite(group, moved)
        for sphere, ds, turn in moved:
            for p, d in zip(sphere.params, ds, strict=True):
                new = sphere.cut(p).to(d.dtype) * sphere.spread(turn.weight, d)
                new = new + sphere.cut(d) * sphere.spread(turn.direction, d)
                write_(sphere.cut(p), new, turn.stays.reshape(-1, *[1] * (new.ndim - 1)))
            if group["tangent"]:
                self._transport(sphere)

    def _factors(self, group: dict[str, Any], sphere: Sphere, ds: list[Tensor]) -> Turn:
        ws = [p.to(d.dtype) for p, d in zip(sphere.params, ds, strict=True)]
        sums = sphere.inner(ws, ws), sphere.inner(ws, ds), sphere.inner(ds, ds)
        radius = self.state[sphere.params[0]]["radius"]
        if group["step"] == "projected":
            return projected(*sums, group["lr"], radius)
        if group["step"] == "angle":
            return turned(*sums, group["lr"], radius)
        angle = self._equilibrium(group, tuple(sphere.params[0].shape)).angle
        assert angle is not None  # only a missing norm of the gradient takes it away
        return turned(*sums, float(angle), radius)

    def _refuse_nonfinite(
        self, group: dict[str, Any], moved: list[tuple[Sphere, list[Tensor], Turn]]
    ) -> None:
        """One question for the whole group: each would wait for the device."""
        if not moved or group.get("capturable") or torch.compiler.is_compiling():
            return
        factors = [turn.weight + turn.direction for _, _, turn in moved]
        if bool(torch.cat(factors).isfinite().all()):
            return
        for (sphere, _, _), factor in zip(moved, factors, strict=True):
            if not bool(factor.isfinite().all()):
                raise NumericalError(
                    f"The weight or the update of {', '.join(map(repr, sphere.block.names))} is "
                    "NaN, infinite or zero. No weight of its group was changed in this step, but "
                    "the moments hold it: go back to a checkpoint, and look at the loss."
                )

    def _transport(self, sphere: Sphere) -> None:
        """Take the radial part, at the new weight, out of the moments."""
        for key in _MOMENTS:
            if all(isinstance(self.state[p].get(key), Tensor) for p in sphere.params):
                self._tangent_(sphere, [self.state[p][key] for p in sphere.params])

    def _tangent_(self, sphere: Sphere, vectors: list[Tensor]) -> None:
        """Take the radial part out of vectors, in place."""
        ws = [p.to(v.dtype) for p, v in zip(sphere.params, vectors, strict=True)]
        share = sphere.inner(ws, vectors) / sphere.inner(ws, ws)
        for w, vector in zip(ws, vectors, strict=True):
            sphere.cut(vector).sub_(sphere.cut(w) * sphere.spread(share, w))

    def _gradients(self, group: dict[str, Any]) -> dict[int, Tensor]:
        """Gradients of a sphere group, by parameter, in at least float32; tangent if asked."""
        found = {id(p): _wide(p.grad) for p in group["params"] if p.grad is not None}
        for p in group["params"]:
            if p.grad is not None and p.grad.is_sparse:
                raise UsageError("Sparse gradients have no direction on a sphere; densify them.")
        if group["tangent"]:
            for sphere in spheres(group):
                if all(id(p) in found for p in sphere.params):
                    own = [found[id(p)].clone() for p in sphere.params]
                    self._tangent_(sphere, own)
                    found |= {id(p): g for p, g in zip(sphere.params, own, strict=True)}
        return found


def put_at_(sphere: Sphere, radius: Tensor) -> None:
    """Scale the pieces of a block to their radius; those that are there, to rounding, stay."""
    factor = radius / norms_of(sphere)
    stays = (factor - 1).abs() <= _THERE * torch.finfo(sphere.params[0].dtype).eps
    with torch.no_grad():
        for p in sphere.params:
            cut = sphere.cut(p)
            shape = (-1, *[1] * (cut.ndim - 1))
            cut.copy_(torch.where(stays.reshape(shape), cut, cut * factor.reshape(shape)))


_THERE: Final = 2


def norms_of(sphere: Sphere) -> Tensor:
    """Norm of each piece, in float64."""
    return block_norms(sphere.block, dict(zip(sphere.block.names, sphere.params, strict=True)))


def _wide(tensor: Tensor) -> Tensor:
    """A direction in 16 bits would lose small moments."""
    return tensor.float() if tensor.dtype in _NARROW else tensor


def _refuse_kind(name: str, p: Tensor) -> None:
    if p.is_complex():
        raise UsageError(f"Parameter {name!r} is complex; spheres are of real numbers.")
    if p.is_meta:
        raise UsageError(f"Parameter {name!r} is on the meta device and has no norm yet.")
    if not p.is_floating_point() or p.layout is not torch.strided:
        raise UsageError(f"Parameter {name!r} must be a dense tensor of real numbers.")
    if type(p).__name__ == "FlatParameter":
        raise UsageError(
            f"Parameter {name!r} is a flattened shard (FSDP1), which has no channels. Use FSDP2 "
            "(`fully_shard`), which keeps shapes."
        )


def _refuse_decay(weight_decay: float | Tensor) -> None:
    if weight_decay != 0:
        raise UsageError(
            f"A group on spheres has no weight decay, and was given {float(weight_decay):g}: the "
            "norm is fixed, so that decay has nothing to do. Set it to 0, or use "
            "step='equilibrium', which takes the angle from lr and weight_decay."
        )
