"""The contract notices optimisers that break it: each defect fails the test made for it."""

import inspect
from dataclasses import replace

import pytest
import torch

from etaeff.errors import NumericalError
from etaeff.optim import SphereAdam, SphereSGD
from etaeff.testing import OptimizerCase, SphereOptimizerContract
from etaeff.testing._layouts import LAYOUTS

FLOAT = torch.float32


class Nudged(SphereSGD):
    """Moves by a hair whatever the rate and the gradient are."""

    def step(self, closure=None):
        loss = super().step(closure)
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                p.view(-1)[0] += 1e-5
        return loss


class Free(torch.optim.SGD):
    """Takes the groups and reads nothing of them."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr=lr)


class Uncorrected(SphereAdam):
    """Adam that takes each step for the hundredth: its bias correction is late."""

    def step(self, closure=None):
        for state in self.state.values():
            if "step" in state and state["step"] < 100:
                state["step"] += 100
        return super().step(closure)


class Rounded(SphereSGD):
    """Rounds to the nearest, and so loses small steps in bfloat16."""

    def step(self, closure=None):
        p = self.param_groups[0]["params"][0]
        before = p.detach().float().clone()
        loss = super().step(closure)
        if p.dtype == torch.bfloat16:
            with torch.no_grad():
                p.copy_(before)
        return loss


class Forgetful(SphereSGD):
    """Loads no state."""

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        for state in self.state.values():
            if "momentum_buffer" in state:
                state["momentum_buffer"].zero_()


class Silent(SphereSGD):
    """Swallows the error, and writes NaN."""

    def step(self, closure=None):
        try:
            return super().step(closure)
        except NumericalError:
            with torch.no_grad():
                self.param_groups[0]["params"][0].fill_(torch.nan)


class RowsOnly(SphereSGD):
    """One sphere for each row, whatever the blocks say."""

    def add_param_group(self, param_group):
        if "blocks" in param_group:
            param_group["blocks"] = [
                {"names": [name], "params": [i], "shapes": [shape], "axis": 0, "count": shape[0]}
                for block in param_group["blocks"]
                for name, i, shape in zip(
                    block["names"], block["params"], block["shapes"], strict=True
                )
            ]
        super().add_param_group(param_group)


class TwiceAsFar(SphereSGD):
    """Steps on spheres twice as far as free ones."""

    rule = replace(SphereSGD.rule, direction=lambda *given: 2 * SphereSGD.rule.direction(*given))


class NoClosure(SphereSGD):
    """Evaluates nothing."""

    def step(self, closure=None):
        return super().step()


class ClosureWithoutGradients(SphereSGD):
    """Evaluates where no gradients can come from."""

    def step(self, closure=None):
        loss = None if closure is None else closure()
        super().step()
        return loss


class Chancy(SphereSGD):
    """Draws from torch's global generator."""

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.grad += 1e-3 * torch.randn_like(p)
        return super().step(closure)


DEFECTS = [
    ("test_lr_zero_changes_no_bit", Nudged, {}),
    ("test_zero_updates_change_no_bit", Nudged, {}),
    ("test_rows_without_gradient_change_no_bit", Free, {}),
    ("test_weights_without_gradient_change_no_bit", Nudged, {}),
    ("test_norms_stay_at_the_radius", Free, {}),
    ("test_norms_stay_at_the_radius", Nudged, {}),
    ("test_pieces_of_every_layout_keep_the_radius", RowsOnly, {}),
    ("test_added_groups_are_those_given_at_once", Free, {}),
    ("test_keep_leaves_every_bit_at_construction", Nudged, {}),
    ("test_angle_is_the_learning_rate", Nudged, {}),
    ("test_angle_is_the_learning_rate", Free, {}),
    ("test_radial_directions_do_not_move_a_sphere", Free, {}),
    ("test_first_steps_are_the_reference", Uncorrected, {}),
    ("test_first_steps_are_the_reference", TwiceAsFar, {}),
    ("test_first_step_of_every_layout_is_the_reference", TwiceAsFar, {}),
    ("test_first_step_of_every_layout_is_the_reference", RowsOnly, {}),
    ("test_a_closure_is_called_once", NoClosure, {}),
    ("test_a_closure_is_called_once", ClosureWithoutGradients, {}),
    ("test_groups_without_blocks_are_the_free_optimizers", Nudged, {}),
    ("test_bfloat16_follows_float32", Rounded, {}),
    ("test_pieces_without_direction_are_refused", Free, {}),
    ("test_gradients_that_are_no_numbers_are_refused", Silent, {}),
    ("test_weight_decay_on_spheres_is_refused", Free, {}),
    ("test_resumed_runs_are_the_unbroken_one", Forgetful, {"momentum": 0.9}),
    ("test_resumed_runs_are_the_unbroken_one", Chancy, {}),
]
NOT_BROKEN_HERE = {"test_copies_go_on_alike"}  # it would take a broken `pickle`


def adam(grads):
    m = v = 0.0
    for g in grads:
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    t = len(grads)
    return m / (1 - 0.9**t) / ((v / (1 - 0.999**t)) ** 0.5 + 1e-8)


@pytest.mark.parametrize(
    ("test", "optimizer", "kwargs"), DEFECTS,
    ids=[f"{test}-{optimizer.__name__}" for test, optimizer, _ in DEFECTS],
)  # fmt: skip
def test_a_defect_fails_its_test(test, optimizer, kwargs):
    fails(test, optimizer, kwargs, LAYOUTS[0])


@pytest.mark.parametrize("layout", LAYOUTS[:4], ids=lambda layout: layout.name)
def test_spheres_of_rows_fail_every_layout_of_others(layout):
    fails("test_pieces_of_every_layout_keep_the_radius", RowsOnly, {}, layout)


def fails(test, optimizer, kwargs, layout):
    direction = adam if optimizer is Uncorrected else None
    case = OptimizerCase(
        "broken", optimizer, kwargs, free=torch.optim.SGD, modes=("projected", "angle"),
        direction=direction,
    )  # fmt: skip
    method = getattr(SphereOptimizerContract(), test)
    known = {"case": case, "mode": "projected", "dtype": FLOAT, "layout": layout}
    arguments = {name: known[name] for name in inspect.signature(method).parameters}
    with pytest.raises(AssertionError):
        ran(method, arguments)


def ran(method, arguments):
    """A test that is skipped finds nothing, and must not count as one that failed."""
    try:
        method(**arguments)
    except pytest.skip.Exception as skipped:
        pytest.fail(f"It was skipped: {skipped}")


def test_what_a_row_cannot_be_tested_for_is_skipped():
    case = OptimizerCase("one", SphereSGD, own={"tangent": True}, modes=("projected",))
    contract = SphereOptimizerContract()
    for test in (
        contract.test_angle_is_the_learning_rate,
        contract.test_groups_without_blocks_are_the_free_optimizers,
        contract.test_bfloat16_follows_float32,
    ):
        with pytest.raises(pytest.skip.Exception):
            test(case)
    with pytest.raises(pytest.skip.Exception, match="No free optimiser"):
        contract.test_first_steps_are_the_reference(case, "projected")


def test_every_test_has_a_defect_that_fails_it():
    methods = {name for name in dir(SphereOptimizerContract) if name.startswith("test_")}
    assert methods - {test for test, _, _ in DEFECTS} == NOT_BROKEN_HERE


def test_a_row_gives_one_test_for_each_step_and_dtype():
    class Contract(SphereOptimizerContract):
        cases = (OptimizerCase("one", SphereSGD, modes=("angle",)), OptimizerCase("two", Free))

    class Metafunc:
        def __init__(self, *names):
            self.fixturenames, self.made = names, {}

        def parametrize(self, names, values, ids):
            assert len(values) == len(ids)
            self.made[names] = list(ids)

    metafunc = Metafunc("case", "mode", "dtype")
    Contract().pytest_generate_tests(metafunc)
    assert metafunc.made == {
        ("case", "mode"): ["one-angle", "two-projected", "two-angle", "two-equilibrium"],
        "dtype": ["float32", "float64", "bfloat16"],
    }
    metafunc = Metafunc("case")
    Contract().pytest_generate_tests(metafunc)
    assert metafunc.made == {"case": ["one", "two"]}
