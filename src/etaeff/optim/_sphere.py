"""What the optimisers share: groups whose blocks live on spheres, beside groups of torch's."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from etaeff.errors import NumericalError, UsageError
from etaeff.geometry import check_radius, sphere_radii
from etaeff.optim._checks import (
    checked,
    refuse_decay,
    refuse_flags,
    refuse_kinds,
    refuse_layout,
    refuse_leftovers,
    refuse_step,
)
from etaeff.optim._layout import Sphere, inners, norms_of, put_at_, refuse_radii, spheres
from etaeff.optim._rounding import chances, write_
from etaeff.optim._shards import Rows
from etaeff.optim._turn import Turn, projected, turned
from etaeff.theory import equilibrium

_OWN: Final = ("blocks", "step", "radius", "tangent", "second_moment")  # keys of sphere groups
_MOMENTS: Final = ("momentum_buffer", "exp_avg")  # that live in the tangent space
_NARROW: Final = (torch.float16, torch.bfloat16)


class _Move(NamedTuple):
    """What a block of a group is to do: the free step would be w − η d."""

    group: dict[str, Any]
    sphere: Sphere
    directions: list[Tensor]


class SphereOptimizer(Optimizer):
    """An optimiser of torch that keeps the blocks of some groups on spheres.

    A subclass comes after torch's own class in the order of resolution, gives `_update` and
    `_setting`, and has `step = SphereOptimizer.step`.
    """

    _options: dict[str, Any]  # set by the subclass before torch's constructor runs
    _wide_moments = False  # of free weights: whether they are wider than 16-bit weights

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        """Torch's constructor calls this with its defaults."""
        refuse_flags(defaults)
        self._waiting: list[tuple[list[Sphere], list[Tensor]]] = []
        super().__init__(params, defaults | self.__dict__.pop("_options"))
        for found, radii in self.__dict__.pop("_waiting"):  # no group was refused
            put_at_(found, radii)

    # ---------------------------------------------------------------------- what a subclass gives

    def _update(self, group: dict[str, Any], sphere: bool) -> list[tuple[Tensor, Tensor]]:
        """Update a group's state; free weights too, of spheres give the directions d."""
        raise NotImplementedError

    def _setting(self, group: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
        """The free optimiser for `etaeff.equilibrium`, but for lr and wd; for a weight's shape."""
        raise NotImplementedError

    # ---------------------------------------------------------------------------- torch's methods

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; blocks in it are put at their radius now, and never silently later."""
        if param_group.get("blocks"):
            step = param_group.get("step", self.defaults["step"])
            refuse_step(step)
            if step != "equilibrium":
                refuse_decay(param_group.setdefault("weight_decay", 0.0))
            elif param_group.get("weight_decay", self.defaults["weight_decay"]) == 0:
                raise UsageError(
                    "Without weight decay there is no equilibrium, and no angle to take from it. "
                    "Give the decay of the free optimiser, or use step='projected' or 'angle'."
                )
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
            NumericalError: If a direction or a weight on a sphere is NaN or infinite, or the one
                cancels the other; no weight has been changed then.
            UsageError: If a group is no longer what it was made as: its shapes, its `step`, or
                which tensors of a joint block are trained.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.set_grad_enabled(bool(self.defaults.get("differentiable"))):
            # A group without tensors: another process has them.
            on_sphere = [own for own in self.param_groups if own.get("blocks") and own["params"]]
            found = [(group, checked(group)) for group in on_sphere]
            moves = [move for own in found for move in self._directed(*own)]
            if moves:
                self._turn(moves)  # first, because it can refuse
            for group in self.param_groups:
                if not group.get("blocks"):
                    self._update(group, sphere=False)
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Torch's, and the state of spheres in its own precision.

        The weights are as the model loaded them: nothing is put at its radius again.

        Raises:
            UsageError: If the blocks are not those of this optimiser; torch would take over what is
                saved.
        """
        given: dict[str, Any] = {}

        def look(_: Optimizer, found: dict[str, Any]) -> None:
            for group, saved in zip(self.param_groups, found["param_groups"], strict=False):
                refuse_layout(group.get("blocks"), saved.get("blocks"))
            given.update(found)

        # After the hooks of others, which may change what is loaded, and before those of others,
        # which are to see what was loaded.
        before = self.register_load_state_dict_pre_hook(look)
        after = self.register_load_state_dict_post_hook(
            lambda _: self._restore(given), prepend=True
        )
        try:
            super().load_state_dict(state_dict)
        finally:
            before.remove()
            after.remove()

    def _restore(self, given: dict[str, Any]) -> None:
        """Torch has cast every tensor to the dtype of its weight; ours are wider."""
        ids = [i for group in given["param_groups"] for i in group["params"]]
        params = [(p, group) for group in self.param_groups for p in group["params"]]
        for i, (p, group) in zip(ids, params, strict=True):
            saved = given["state"].get(i) or {}
            if "radius" not in saved:
                self.__dict__.get("_radii", {}).pop(p, None)  # it had not begun: as the group says
            if "radius" not in saved and not self._wide_moments:
                continue
            for key, value in saved.items():
                if isinstance(value, Tensor) and key != "step":
                    dtype = value.dtype if self._has_own_dtype(key, group) else _wide_dtype(p)
                    self.state[p][key] = value.detach().clone().to(p.device, dtype)

    def _has_own_dtype(self, key: str, group: dict[str, Any]) -> bool:
        """Whether a state is no moment, whose dtype follows its weight's."""
        return key in ("radius", "roundings")

    # ------------------------------------------------------------------------------ on the sphere

    def _place(self, group: dict[str, Any]) -> None:
        """Put every block of a group at its radius."""
        check_radius(group["radius"])
        if not group["params"]:  # another process has them
            return
        refuse_leftovers(group)
        found = checked(group)
        refuse_kinds(found)
        radii = self._radii_of(group, found)
        if group["radius"] != "keep":
            refuse_radii(found, radii)
            if "_waiting" in self.__dict__:  # for the other groups
                self._waiting.append((found, radii))
            else:
                put_at_(found, radii)
        # Not in `state` before there are moments: checkpoints take what has a state for begun.
        own = {p: r for s, r in zip(found, radii, strict=True) for p in s.params}
        self.__dict__.setdefault("_radii", {}).update(own)

    def _radii_of(self, group: dict[str, Any], found: list[Sphere]) -> list[Tensor]:
        return [
            sphere_radii(norm, group["radius"], own.block)
            for norm, own in zip(norms_of(found), found, strict=True)
        ]

    def _remember_radii(self, moves: list["_Move"]) -> None:
        """At the first step of a block, its radius goes into the state."""
        for group, sphere, _ in moves:
            if any("radius" in self.state[p] for p in sphere.params):
                continue
            radius = self.__dict__.get("_radii", {}).get(sphere.params[0])
            if radius is None:  # the optimiser was copied before its first step
                (radius,) = self._radii_of(group, [sphere])
            for p in sphere.params:
                self.state[p]["radius"] = radius.clone()

    def _directed(self, group: dict[str, Any], found: list[Sphere]) -> list["_Move"]:
        """Update the state of a group, and give the direction of each block with a gradient."""
        directions = {id(p): d for p, d in self._update(group, sphere=True)}
        moves = []
        for sphere in found:
            if any(id(p) in directions for p in sphere.params):
                ds = []
                for p in sphere.params:
                    # A tensor of a joint block without a gradient is scaled with the others.
                    silent = id(p) not in directions
                    ds.append(_wide(torch.zeros_like(p)) if silent else directions[id(p)])
                moves.append(_Move(group, sphere, ds))
        return moves

    def _turn(self, moves: list["_Move"]) -> None:
        """Take the steps, of all groups together: what crosses processes is summed once."""
        self._remember_radii(moves)
        pairs = []
        for _, sphere, ds in moves:
            # Copies where autograd would keep them: the weights are written to below.
            copy = torch.is_grad_enabled()
            ws = [p.to(d.dtype, copy=copy) for p, d in zip(sphere.params, ds, strict=True)]
            pairs += [(sphere, ws, ws), (sphere, ws, ds), (sphere, ds, ds)]
        sums = inners(pairs)
        turns = [self._factors(move, *sums[3 * i : 3 * i + 3]) for i, move in enumerate(moves)]
        self._refuse_nonfinite(moves, turns, sums[2::3])
        for (_, sphere, ds), turn in zip(moves, turns, strict=True):
            for name, rows, d in zip(sphere.block.names, sphere.rows, ds, strict=True):
                own = rows.view(rows.param)
                new = own.to(torch.float64, copy=True) * rows.spread(turn.weight, d)
                new = new + rows.view(d) * rows.spread(turn.direction, d)
                write_(own, new, rows.spread(turn.stays, d), self._chance(name, rows))
        kept = [move.sphere for move in moves if move.group["tangent"]]
        for key in _MOMENTS:
            begun = [own for own in kept if all(key in self.state[p] for p in own.params)]
            self._tangent_([(own, [self.state[p][key] for p in own.params]) for own in begun])

    def _factors(self, move: "_Move", ww: Tensor, wd: Tensor, dd: Tensor) -> Turn:
        group, sphere, _ = move
        radius = self.state[sphere.params[0]]["radius"]
        if group["step"] == "projected":
            return projected(ww, wd, dd, group["lr"], radius)
        if group["step"] == "angle":
            return turned(ww, wd, dd, group["lr"], radius)
        return turned(ww, wd, dd, self._equilibrium_angle(group, sphere, ww.device), radius)

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # theory computes with numbers
    def _equilibrium_angle(
        self, group: dict[str, Any], sphere: Sphere, device: torch.device
    ) -> Tensor:
        angle = 0.0
        if group["lr"] != 0:  # a schedule may begin or end there
            setting = self._setting(group, tuple(sphere.params[0].shape))
            angle = _angle(float(group["lr"]), float(group["weight_decay"]), *setting.items())
        return torch.tensor(angle, dtype=torch.float64, device=device)

    def _chance(self, name: str, rows: Rows) -> Tensor | None:
        """By which a weight in bfloat16 is rounded; how often it was is part of its state."""
        if rows.param.dtype != torch.bfloat16:
            return None
        state = self.state[rows.param]
        if "roundings" not in state:
            state["roundings"] = torch.zeros((), dtype=torch.int64, device=rows.places.device)
        state["roundings"] += 1
        return chances(rows.places, state["roundings"], name)

    def _refuse_nonfinite(
        self, moves: list["_Move"], turns: list[Turn], squares: list[Tensor]
    ) -> None:
        """One question for all blocks: each would wait for the device."""
        unasked = [move.group.get("capturable") for move in moves]
        if all(unasked) or torch.compiler.is_compiling():
            return
        factors = [
            (turn.weight + turn.direction + 0 * dd)[move.sphere.here]
            for move, turn, dd in zip(moves, turns, squares, strict=True)
        ]
        if bool(torch.cat(factors).isfinite().all()):
            return
        for move, factor in zip(moves, factors, strict=True):
            if not bool(factor.isfinite().all()):
                raise NumericalError(
                    f"The weight or the update of {', '.join(map(repr, move.sphere.block.names))} "
                    "is NaN, infinite or zero, or the update cancels the weight. No weight was "
                    "changed in this step, but the moments hold it: go back to a checkpoint, and "
                    "look at the loss."
                )

    def _tangent_(self, own: list[tuple[Sphere, list[Tensor]]]) -> None:
        """Take the radial part, at the weights as they are, out of vectors, in place."""
        pairs = []
        for sphere, vectors in own:
            ws = [p.to(v.dtype) for p, v in zip(sphere.params, vectors, strict=True)]
            pairs += [(sphere, ws, vectors), (sphere, ws, ws)]
        sums = inners(pairs)
        for i, (sphere, vectors) in enumerate(own):
            share = sums[2 * i] / sums[2 * i + 1]
            for rows, w, vector in zip(sphere.rows, pairs[2 * i][1], vectors, strict=True):
                radial = rows.view(w) * rows.spread(share, w)
                rows.view(vector).sub_(radial.to(vector.dtype))

    def _gradients(self, group: dict[str, Any]) -> dict[int, Tensor]:
        """Gradients of a sphere group, by parameter, in at least float32; tangent if asked."""
        found = {id(p): _wide(p.grad) for p in group["params"] if p.grad is not None}
        for p in group["params"]:
            if p.grad is not None and p.grad.is_sparse:
                raise UsageError("Sparse gradients have no direction on a sphere; densify them.")
        if group["tangent"]:
            found = {key: g.clone() for key, g in found.items()}  # torch's are not ours to change
            heard = [own for own in spheres(group) if all(id(p) in found for p in own.params)]
            self._tangent_([(own, [found[id(p)] for p in own.params]) for own in heard])
        return found


@lru_cache(maxsize=1024)
def _angle(lr: float, wd: float, *setting: tuple[str, Any]) -> float:
    """Radians per step of the free optimiser at equilibrium; blocks of a kind ask once a step."""
    angle = equilibrium(**dict(setting), lr=lr, wd=wd).angle
    assert angle is not None  # only a missing norm of the gradient takes it away
    return float(angle)


def _wide(tensor: Tensor) -> Tensor:
    """A direction in 16 bits would lose small moments."""
    return tensor.float() if tensor.dtype in _NARROW else tensor


def _wide_dtype(p: Tensor) -> torch.dtype:
    return torch.float32 if p.dtype in _NARROW else p.dtype
