"""What every optimiser on spheres must do, as tests that pytest collects in a subclass."""

import copy
import io
import itertools
import math
import pickle
from typing import Any, ClassVar, Final

import numpy as np
import torch
from torch.nn import Parameter

from etaeff.errors import NumericalError, UsageError
from etaeff.geometry import Block, param_groups
from etaeff.testing._layouts import LAYOUTS, Layout, LayoutRun
from etaeff.testing._problem import (
    COLUMNS,
    ROWS,
    OptimizerCase,
    Run,
    bits,
    first_directions,
    free_run,
    refuses,
    same,
    skip,
    stepped,
    turns,
)

_NORM_ERROR: Final = {torch.float32: 5e-7, torch.float64: 1e-14, torch.bfloat16: 2.0**-7}
_ANGLE_ERROR: Final = {torch.float32: 1e-6, torch.float64: 1e-10}


class SphereOptimizerContract:
    """Tests of an optimiser on spheres; a subclass in a test file names the optimisers.

    Examples:
        >>> import torch
        >>> from etaeff.optim import SphereSGD
        >>> class TestMine(SphereOptimizerContract):
        ...     cases = (OptimizerCase("sgd", SphereSGD, {"momentum": 0.9}, free=torch.optim.SGD),)
        >>> TestMine().test_groups_without_blocks_are_the_free_optimizers(TestMine.cases[0])
    """

    cases: ClassVar[tuple[OptimizerCase, ...]] = ()
    dtypes: ClassVar[tuple[torch.dtype, ...]] = (torch.float32, torch.float64, torch.bfloat16)
    many: ClassVar[int] = 300  # steps over which norms are kept

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Each test for every case, and for every mode and dtype that it asks for."""
        names = metafunc.fixturenames
        if "mode" in names:
            pairs = [(case, mode) for case in self.cases for mode in case.modes]
            ids = [f"{case.name}-{mode}" for case, mode in pairs]
            metafunc.parametrize(("case", "mode"), pairs, ids=ids)
        elif "case" in names:
            metafunc.parametrize("case", self.cases, ids=[case.name for case in self.cases])
        if "layout" in names:
            metafunc.parametrize("layout", LAYOUTS, ids=[layout.name for layout in LAYOUTS])
        if "dtype" in names:
            short = [str(dtype).removeprefix("torch.") for dtype in self.dtypes]
            metafunc.parametrize("dtype", self.dtypes, ids=short)

    # ------------------------------------------------------------------------- what must not move

    def test_lr_zero_changes_no_bit(
        self, case: OptimizerCase, mode: str, dtype: torch.dtype
    ) -> None:
        """A schedule may end at zero, or begin there; moments go on."""
        run = Run(case, mode, dtype)
        run.steps(2)
        for group in run.optimizer.param_groups:
            group["lr"] = 0.0
        before = bits(run.params)
        run.steps(3)
        assert bits(run.params) == before

    def test_zero_updates_change_no_bit(
        self, case: OptimizerCase, mode: str, dtype: torch.dtype
    ) -> None:
        """Gradients that have been zero from the first step on."""
        run = Run(case, mode, dtype)
        before = bits([run.weight])
        for _ in range(3):
            run.weight.grad = torch.zeros_like(run.weight)
            run.optimizer.step()
        assert bits([run.weight]) == before

    def test_rows_without_gradient_change_no_bit(self, case: OptimizerCase, mode: str) -> None:
        """Each piece is a sphere of its own."""
        if _orthogonalises(case):
            skip("Orthogonalisation mixes rows.")
        run = Run(case, mode)
        before = bits([run.weight[1:]])
        run.weight.grad = torch.zeros_like(run.weight)
        run.weight.grad[0] = 1.0
        run.optimizer.step()
        assert bits([run.weight[1:]]) == before
        assert run.off_radius() < 5e-7

    def test_weights_without_gradient_change_no_bit(
        self, case: OptimizerCase, mode: str, dtype: torch.dtype
    ) -> None:
        """`grad is None`, before the first step and after some."""
        run = Run(case, mode, dtype)
        for frozen in (False, True):
            run.weight.requires_grad_(not frozen)
            run.weight.grad = run.other.grad = None
            before = bits(run.params)
            run.optimizer.step()
            assert bits(run.params) == before
            run.steps(2)
            assert bits(run.params) != before

    # ------------------------------------------------------------------------------------ spheres

    def test_norms_stay_at_the_radius(
        self, case: OptimizerCase, mode: str, dtype: torch.dtype
    ) -> None:
        """After construction, and after many steps."""
        run = Run(case, mode, dtype, radius=2.5)
        assert run.off_radius(2.5) < _NORM_ERROR[dtype]
        whole = dtype == torch.float32 and mode != "equilibrium"  # which turns as "angle" does
        for _ in range(self.many // (10 if whole else 60)):
            run.steps(10)
            assert run.off_radius(2.5) < _NORM_ERROR[dtype]

    def test_pieces_of_every_layout_keep_the_radius(
        self, case: OptimizerCase, mode: str, layout: Layout
    ) -> None:
        """Heads, columns, tensors, several tensors together; and every piece moves."""
        run = _laid_out(case, mode, layout)
        before = run.pieces()
        assert run.off_radius() < _NORM_ERROR[torch.float32]
        for _ in range(10):
            run.draw()
            run.optimizer.step()
            assert run.off_radius() < _NORM_ERROR[torch.float32]
        assert float(np.abs(run.pieces() - before).max(1).min()) > 1e-3

    def test_added_groups_are_those_given_at_once(self, case: OptimizerCase, mode: str) -> None:
        """`add_param_group` puts blocks on their spheres too."""
        weights = [torch.randn(ROWS, COLUMNS, generator=_source(seed)) for seed in (0, 1)]
        grads = [torch.randn(ROWS, COLUMNS, generator=_source(seed)) for seed in (2, 3, 4)]

        def groups() -> list[dict[str, Any]]:
            params = {f"{i}": Parameter(weight.clone()) for i, weight in enumerate(weights)}
            return param_groups(
                params, [Block((name,), count=ROWS) for name in params],
                lr=0.05, weight_decay=0.1, mode=mode, radius=2.5, separate=True,
            )  # fmt: skip

        together = case.optimizer(groups(), **case.kwargs, **case.own)
        first, second = groups()
        added = case.optimizer([first], **case.kwargs, **case.own)
        added.add_param_group(second)
        norms = second["params"][0].detach().double().norm(dim=1)
        assert float((norms / 2.5 - 1).abs().max()) < _NORM_ERROR[torch.float32]
        for optimizer in (together, added):
            for grad in grads:
                for group in optimizer.param_groups:
                    group["params"][0].grad = grad.clone()
                optimizer.step()
        for left, right in zip(together.param_groups, added.param_groups, strict=True):
            assert bits(left["params"]) == bits(right["params"])

    def test_keep_leaves_every_bit_at_construction(self, case: OptimizerCase, mode: str) -> None:
        """And the norms stay what they were."""
        drawn = torch.randn(
            ROWS, COLUMNS, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        ).float()
        run = Run(case, mode, radius="keep")
        assert bits([run.weight]) == bits([drawn])
        run.steps(20)
        norms = run.weight.detach().double().norm(dim=1)
        assert float((norms / drawn.double().norm(dim=1) - 1).abs().max()) < 5e-7

    def test_angle_is_the_learning_rate(self, case: OptimizerCase) -> None:
        """Every row turns by lr, from the first step on, whatever the gradient's size."""
        if "angle" not in case.modes:
            skip("It does not turn by an angle.")
        for dtype, bound in _ANGLE_ERROR.items():
            for lr in (1e-3, 0.1, 1.0):
                run = Run(case, "angle", dtype, lr=lr)
                for size in (1.0, 1e-6, 1e6):
                    run.draw()
                    for p in run.params:
                        assert p.grad is not None
                        p.grad *= size
                    before = run.weight.detach().clone()
                    run.optimizer.step()
                    worst = float((turns(before, run.weight) - lr).abs().max())
                    assert worst < bound, (dtype, lr, size, worst)

    def test_radial_directions_do_not_move_a_sphere(self, case: OptimizerCase, mode: str) -> None:
        """They lead off it, and a step along them is only rounding."""
        run = Run(case, mode)
        run.weight.grad = run.weight.detach() * 2.7
        run.optimizer.step()
        assert run.off_radius() < 5e-7

    # -------------------------------------------------------------------------------- first steps

    def test_first_steps_are_the_reference(self, case: OptimizerCase, mode: str) -> None:
        """Five steps in float64: bias correction, the first momentum, and the sphere."""
        if mode == "equilibrium" and case.angle is None:
            skip("No reference says what the angle is.")
        lr = 0.07
        run = Run(case, mode, torch.float64, lr=lr)
        w, seen = run.weight.detach().numpy().copy(), []
        for t in range(5 if case.direction else 1):
            run.draw()
            assert run.weight.grad is not None
            seen.append(run.weight.grad.numpy().copy())
            d = case.direction(seen) if case.direction else first_directions(case, [run.weight])[0]
            run.optimizer.step()
            w = stepped(case, mode, w, d, lr)
            error = float(np.abs(run.weight.detach().numpy() - w).max())
            assert error < 1e-12, (t, error)

    def test_first_step_of_every_layout_is_the_reference(
        self, case: OptimizerCase, mode: str, layout: Layout
    ) -> None:
        """In float64: each piece goes by its own norm and inner products."""
        if mode == "equilibrium":
            skip("The angle depends on the shape.")
        run = _laid_out(case, mode, layout, torch.float64, lr=0.07, radius=1.0)
        w = run.pieces()
        run.draw()
        d = layout.cut(first_directions(case, list(run.weights.values())))
        run.optimizer.step()
        error = float(np.abs(run.pieces() - stepped(case, mode, w, d, 0.07)).max())
        assert error < 1e-12, error

    def test_a_closure_is_called_once(self, case: OptimizerCase, mode: str) -> None:
        """With gradients on, before the step; its loss is returned."""
        run, other = Run(case, mode), Run(case, mode)
        calls, loss = [], torch.tensor(1.5)

        def closure() -> Any:
            calls.append(torch.is_grad_enabled())
            run.draw()
            return loss

        with torch.no_grad():
            returned: Any = run.optimizer.step(closure)
        assert calls == [True]
        assert returned is loss
        other.steps(1)
        assert bits(run.params) == bits(other.params)

    def test_groups_without_blocks_are_the_free_optimizers(self, case: OptimizerCase) -> None:
        """Bit for bit over 20 steps; the state dict too."""
        if case.free is None:
            skip("No free optimiser to compare with.")
        for dtype in self.dtypes:
            mine, other = (free_run(make, case, dtype) for make in (case.optimizer, case.free))
            for _ in range(20):
                grads = [torch.randn(p.shape).to(dtype) for p in mine.param_groups[0]["params"]]
                for optimizer in (mine, other):
                    own = optimizer.param_groups[0]["params"]
                    for p, grad in zip(own, grads, strict=True):
                        p.grad = grad.clone()
                    optimizer.step()
            assert same(mine.param_groups[0]["params"], other.param_groups[0]["params"])
            assert same(mine.state_dict(), other.state_dict())

    def test_bfloat16_follows_float32(self, case: OptimizerCase) -> None:
        """Steps of a milliradian to one side, which rounding to the nearest would lose."""
        if "angle" not in case.modes:
            skip("It does not turn by an angle.")
        wide, narrow = (
            Run(case, "angle", dtype, lr=1e-3) for dtype in (torch.float32, torch.bfloat16)
        )
        with torch.no_grad():
            wide.weight.copy_(narrow.weight)
        start, grad = wide.weight.detach().double(), wide.normal(ROWS, COLUMNS)
        torch.manual_seed(0)
        for run in (wide, narrow):
            run.weight.grad = grad.to(run.weight.dtype)
            for _ in range(100):
                run.optimizer.step()
        cos = torch.cosine_similarity(wide.weight.double(), narrow.weight.double(), dim=1)
        went = torch.cosine_similarity(wide.weight.double(), start, dim=1)
        assert float((1 - cos).mean().detach()) < 0.1 * float((1 - went).mean().detach())

    # -------------------------------------------------------------------------------------- errors

    def test_pieces_without_direction_are_refused(self, case: OptimizerCase, mode: str) -> None:
        """At construction, by name."""
        for value in (0.0, 1e-42, math.inf, math.nan):
            weight = torch.ones(3, 4)
            weight[1] = value
            groups = param_groups(
                {"stem.weight": Parameter(weight)}, [Block(("stem.weight",), count=3)],
                lr=0.1, weight_decay=0.1, mode=mode,
            )  # fmt: skip
            before = bits([weight])
            refuses(UsageError, "stem.weight", case.optimizer, groups, **case.kwargs, **case.own)
            assert bits([weight]) == before

    def test_gradients_that_are_no_numbers_are_refused(
        self, case: OptimizerCase, mode: str
    ) -> None:
        """At the step, by name; no weight has changed, be it free or not."""
        for value, begun in itertools.product((math.nan, math.inf, -math.inf), (False, True)):
            run = Run(case, mode)
            run.steps(2 * begun)
            with torch.no_grad():
                run.weight.abs_()
            run.draw()
            assert run.weight.grad is not None
            run.weight.grad[1, 2] = value
            before = bits(run.params)
            refuses(NumericalError, "weight", run.optimizer.step)
            assert bits(run.params) == before

    def test_weight_decay_on_spheres_is_refused(self, case: OptimizerCase, mode: str) -> None:
        """At construction, or when it was set later; no weight has changed."""
        if mode == "equilibrium":
            skip("It takes its angle from the decay.")
        run = Run(case, mode)
        run.optimizer.param_groups[0]["weight_decay"] = 0.1
        run.draw()
        before = bits(run.params)
        refuses(UsageError, "decay", run.optimizer.step)
        assert bits(run.params) == before
        groups = param_groups({"w": run.weight}, [Block(("w",))], lr=0.1, mode=mode)
        groups[0]["weight_decay"] = 0.1
        refuses(UsageError, "decay", case.optimizer, groups, **case.kwargs, **case.own)

    # --------------------------------------------------------------------------- stop and go on

    def test_resumed_runs_are_the_unbroken_one(
        self, case: OptimizerCase, mode: str, dtype: torch.dtype
    ) -> None:
        """Bit for bit, from any step, through a file that holds nothing but plain values."""
        unbroken = Run(case, mode, dtype, radius="keep")
        unbroken.steps(7)
        for when in (0, 1, 4):
            first = Run(case, mode, dtype, radius="keep")
            first.steps(when)
            file = io.BytesIO()
            torch.save(
                {"weights": [*first.params], "optimizer": first.optimizer.state_dict()}, file
            )
            file.seek(0)
            saved = torch.load(file, weights_only=True)
            second = Run(case, mode, dtype, radius=3.0, seed=1)
            with torch.no_grad():
                for p, old in zip(second.params, saved["weights"], strict=True):
                    p.copy_(old)
            second.optimizer.load_state_dict(saved["optimizer"])
            second.source = first.source
            second.steps(7 - when)
            assert bits(second.params) == bits(unbroken.params)
            assert same(second.optimizer.state_dict(), unbroken.optimizer.state_dict())

    def test_copies_go_on_alike(self, case: OptimizerCase, mode: str, dtype: torch.dtype) -> None:
        """`deepcopy` and `pickle`, of a run with its weights; before the first step too."""
        for begun in (0, 3):
            run = Run(case, mode, dtype)
            run.steps(begun)
            whole = (run.optimizer, run.params, run.source.get_state())
            copies = [copy.deepcopy(whole), pickle.loads(pickle.dumps(whole))]
            run.steps(3)
            for optimizer, params, state in copies:
                other = copy.copy(run)
                other.optimizer, (other.weight, other.other) = optimizer, params
                other.source = torch.Generator()
                other.source.set_state(state)
                other.steps(3)
                assert bits(other.params) == bits(run.params)


def _orthogonalises(case: OptimizerCase) -> bool:
    return "Muon" in getattr(case.optimizer, "__name__", "")


def _laid_out(
    case: OptimizerCase, mode: str, layout: Layout, *args: Any, **kwargs: Any
) -> LayoutRun:
    if _orthogonalises(case) and any(len(shape) != 2 for shape in layout.shapes.values()):
        skip("It takes matrices alone.")
    return LayoutRun(case, mode, layout, *args, **kwargs)


def _source(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
