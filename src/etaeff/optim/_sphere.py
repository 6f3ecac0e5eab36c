"""What the optimisers share: groups whose blocks live on spheres, beside groups of torch's."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from etaeff.errors import UsageError
from etaeff.geometry import check_mode, put_at_
from etaeff.optim._block_steps import block_steps, take_steps
from etaeff.optim._groups import (
    blocks_of,
    check_no_decay,
    check_same_blocks,
    check_sphere_group,
    checked_blocks,
    radii_of,
)
from etaeff.optim.kernels import choose
from etaeff.optim.rules import Group, Rule, moment_dtype

_SPHERE_KEYS: Final = ("blocks", "mode", "radius", "tangent", "second_moment")


class SphereOptimizer(Optimizer):
    """An optimiser that keeps the blocks of some groups on spheres, and steps others as torch does.

    A subclass gives its `rule`. It names torch's own optimiser as its last base: nothing of it is
    called but `__setstate__`, and `isinstance` tells users and wrappers what it is.
    """

    rule: ClassVar[Rule]
    _is_being_made = False  # while torch's constructor adds groups, no weight moves

    def __init__(self, params: Any, defaults: dict[str, Any], *, step: str = "") -> None:
        """Add and check all groups; then put all blocks at their radius."""
        check_mode(defaults["mode"], step)
        self._is_being_made = True
        # Torch's base class by name: the next in the order of resolution has other arguments.
        Optimizer.__init__(self, params, defaults)
        del self._is_being_made
        if defaults.get("fused"):  # GradScaler then leaves the unscaling to `step`
            self._step_supports_amp_scaling = True
        for group in self.param_groups:
            _put_at_radius(group)

    # ---------------------------------------------------------------------------- torch's methods

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; blocks in it are put at their radius now, and never silently later."""
        if param_group.get("blocks"):
            mode = param_group.get("mode", self.defaults["mode"])
            check_mode(mode, param_group.get("step", ""))
            if mode != "equilibrium":
                check_no_decay(param_group.setdefault("weight_decay", 0.0))
            elif param_group.get("weight_decay", self.defaults["weight_decay"]) == 0:
                raise UsageError(
                    "Without weight decay there is no equilibrium, and no angle to take from it. "
                    "Give the decay of the free optimiser, or use mode='projected' or 'angle'."
                )
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        if not group.get("blocks"):
            for key in _SPHERE_KEYS:  # as torch has it
                group.pop(key, None)
        try:
            self._check_group(group)
        except Exception:
            self.param_groups.pop()
            raise
        if not self._is_being_made:
            _put_at_radius(group)

    def _check_group(self, group: Group) -> None:
        """Refuse a group that cannot be stepped; its weights are not touched."""
        if group.get("blocks"):
            check_sphere_group(group)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all groups.

        Args:
            closure: Evaluates the model again, and returns the loss.

        Raises:
            NumericalError: If a direction or a weight on a sphere is NaN or infinite, or the one
                cancels the other; no weight has been changed then.
            UsageError: If a group is no longer what it was made as: its shapes, its `mode`, or
                which tensors of a joint block are trained.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.set_grad_enabled(bool(self.defaults.get("differentiable"))):
            self._step_spheres()  # first, because it can refuse
            for group in self.param_groups:
                if not group.get("blocks"):
                    self._step_free(group)
        return loss

    def _step_spheres(self) -> None:
        # A group without tensors: another process has them.
        on_sphere = [
            group for group in self.param_groups if group.get("blocks") and group["params"]
        ]
        checked = [(group, checked_blocks(group)) for group in on_sphere]
        if self._is_skipped():
            return
        scale = getattr(self, "grad_scale", None)
        steps = [
            step
            for group, blocks in checked
            for step in block_steps(self.rule, group, blocks, self.state, scale)
        ]
        if steps:
            take_steps(self.rule, steps, choose(steps[0].group).kernel)

    def _is_skipped(self) -> bool:
        """Whether a GradScaler that left the unscaling to this step has found it infinite."""
        found_inf = getattr(self, "found_inf", None)
        return found_inf is not None and bool(found_inf)

    def _step_free(self, group: dict[str, Any]) -> None:
        params = [p for p in group["params"] if p.grad is not None]
        for p in params:
            if not self.state.get(p):
                dtype = moment_dtype(p.dtype) if self.rule.has_wide_moments else p.dtype
                state = self.rule.begin(p, dtype, group)
                if state:  # torch has none where there is nothing to remember
                    self.state[p] = state
        if params:
            gradients = [p.grad for p in params]
            states = [self.state.get(p, {}) for p in params]
            scaling = getattr(self, "grad_scale", None), getattr(self, "found_inf", None)
            self.rule.step_free(params, gradients, states, group, *scaling)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Torch's, and the state of spheres in its own precision.

        The weights are as the model loaded them: nothing is put at its radius again.

        Raises:
            UsageError: If the blocks are not those of this optimiser; torch would take over what is
                saved.
        """
        loaded: dict[str, Any] = {}

        def look(_: Optimizer, given: dict[str, Any]) -> None:
            for group, saved in zip(self.param_groups, given["param_groups"], strict=False):
                check_same_blocks(group.get("blocks"), saved.get("blocks"))
                check_mode(saved.get("mode", "projected"), saved.get("step", ""))
            loaded.update(given)

        # After the hooks of others, which may change what is loaded, and before those of others,
        # which are to see what was loaded.
        before = self.register_load_state_dict_pre_hook(look)
        after = self.register_load_state_dict_post_hook(
            lambda _: self._restore(loaded), prepend=True
        )
        try:
            super().load_state_dict(state_dict)
        finally:
            before.remove()
            after.remove()

    def __repr__(self) -> str:
        """Torch's, and which kernel steps the spheres."""
        kernels = {str(choose(group)) for group in self.param_groups if group.get("blocks")}
        return super().__repr__() + "".join(f"\nKernel: {kernel}" for kernel in sorted(kernels))

    def _restore(self, loaded: Mapping[str, Any]) -> None:
        """Undo torch's cast of every tensor to the dtype of its weight; ours are wider."""
        ids = [i for group in loaded["param_groups"] for i in group["params"]]
        params = [(p, group) for group in self.param_groups for p in group["params"]]
        for i, (p, group) in zip(ids, params, strict=True):
            saved = loaded["state"].get(i) or {}
            if "radius" not in saved and not self.rule.has_wide_moments:
                continue
            for key, value in saved.items():
                if isinstance(value, Tensor) and key != "step":
                    dtype = value.dtype if self._keeps_dtype(key, group) else moment_dtype(p.dtype)
                    self.state[p][key] = value.detach().clone().to(p.device, dtype)

    def _keeps_dtype(self, key: str, group: Group) -> bool:
        """Whether a state is no moment, whose dtype follows its weight's."""
        is_of_pieces = key == "exp_avg_sq" and bool(group.get("blocks"))
        return key in ("radius", "roundings") or (is_of_pieces and self.rule.uses_squares(group))


def free_defaults(free: type[Optimizer], **hyperparameters: Any) -> dict[str, Any]:
    """The defaults of a torch optimiser, whose own constructor checks the hyperparameters."""
    return dict(free([Parameter(torch.zeros(1, 1))], **hyperparameters).defaults)


def _put_at_radius(group: Group) -> None:
    """Put the blocks of a group at their radius, if it has any."""
    blocks = blocks_of(group) if group.get("blocks") and group["params"] else []
    if blocks and group["radius"] != "keep":
        put_at_(blocks, radii_of(group, blocks))
