import copy
from functools import partial

import pytest
import torch
from torch import nn, optim

from etaeff.convert import rescale_
from etaeff.convert._optimizer_scalings import SCALINGS
from etaeff.errors import UsageError
from etaeff.geometry import Block

pytestmark = pytest.mark.usefixtures("double_on_one_thread")

WEIGHTS = [Block(("a",)), Block(("b",)), Block(("c",))]


def model_of(*names):
    return nn.ParameterDict({name: nn.Parameter(torch.ones(4, 4)) for name in names})


def table(optimizer, *keys):
    """Names and settings of every param group."""
    return [
        (group.get("param_names"), *(group[key] for key in keys))
        for group in optimizer.param_groups
    ]


def sentence_of(call, *args, **kwargs):
    with pytest.raises(UsageError) as error:
        call(*args, **kwargs)
    return str(error.value)


def test_group_is_split_by_factor_and_the_new_ones_come_last():
    model = model_of("a", "b", "c", "d", "e")
    optimizer = optim.AdamW(
        [
            {"params": [(n, model[n]) for n in ("a", "d", "b")], "lr": 1.0, "betas": (0.5, 0.6)},
            {"params": [("e", model["e"]), ("c", model["c"])], "lr": 8.0, "weight_decay": 0.0},
        ],
        weight_decay=3.0,
    )
    rescale_(model, [WEIGHTS[0]], scale=2.0)  # now a has norm 8, and b and c have 4
    rescale_(model, WEIGHTS, radius=16.0, optimizer=optimizer)
    assert table(optimizer, "lr", "weight_decay", "betas") == [
        (["a"], 2.0, 1.5, (0.5, 0.6)),
        (["e"], 8.0, 0.0, (0.9, 0.999)),
        (["d"], 1.0, 3.0, (0.5, 0.6)),
        (["b"], 4.0, 0.75, (0.5, 0.6)),
        (["c"], 32.0, 0.0, (0.9, 0.999)),
    ]
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert [id(p) for p in held] == [id(model[name]) for name in "aedbc"]


def test_group_that_is_in_blocks_as_a_whole_is_not_split():
    model = model_of("a", "b", "c")
    optimizer = optim.SGD(model.parameters(), lr=1.0, weight_decay=1.0)
    params = optimizer.param_groups[0]["params"]
    rescale_(model, WEIGHTS, scale=2.0, optimizer=optimizer)
    assert table(optimizer, "lr", "weight_decay") == [(None, 4.0, 0.25)]
    assert optimizer.param_groups[0]["params"] is params


def test_split_optimizer_saves_and_loads():
    model = model_of("a", "b", "c")
    optimizer = optim.AdamW(model.named_parameters(), lr=1.0)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    rescale_(model, WEIGHTS[1:2], scale=2.0, optimizer=optimizer)
    saved = copy.deepcopy(optimizer.state_dict())
    names = [group["param_names"] for group in optimizer.param_groups]
    assert names == [["a", "c"], ["b"]]
    again = optim.AdamW([{"params": [(n, model[n]) for n in group]} for group in names])
    again.load_state_dict(saved)
    assert again.state[model["b"]]["exp_avg"].equal(optimizer.state[model["b"]]["exp_avg"])
    assert again.state[model["b"]]["exp_avg"].equal(again.state[model["a"]]["exp_avg"] / 2)


def test_tensor_learning_rate_changes_in_place_and_never_for_two_groups():
    model, lr = model_of("a", "b", "c"), torch.tensor(1.0)
    optimizer = optim.Adam(model.parameters(), lr=lr, foreach=False)
    held = optimizer.param_groups[0]["lr"]
    rescale_(model, WEIGHTS[1:2], scale=2.0, optimizer=optimizer)
    rescale_(model, WEIGHTS, scale=3.0, optimizer=optimizer)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert [rate.item() for rate in rates] == [3.0, 6.0]
    assert rates[0] is held
    assert optimizer.defaults["lr"].item() == 1.0
    assert len({id(rate) for rate in [*rates, optimizer.defaults["lr"]]}) == 3


def test_tensor_learning_rate_that_two_groups_share_is_parted():
    model, lr = model_of("a", "b"), torch.tensor(1.0)
    groups = [{"params": [model["a"]]}, {"params": [model["b"]]}]
    optimizer = optim.Adam(groups, lr=lr, foreach=False)
    assert optimizer.param_groups[0]["lr"] is optimizer.param_groups[1]["lr"]
    rescale_(model, WEIGHTS[1:2], scale=2.0, optimizer=optimizer)
    assert [group["lr"].item() for group in optimizer.param_groups] == [1.0, 2.0]
    rescale_(model, WEIGHTS[:2], scale=2.0, optimizer=optimizer)
    assert [group["lr"].item() for group in optimizer.param_groups] == [2.0, 4.0]


def test_training_with_a_tensor_learning_rate_goes_on_in_the_same_directions(
    start, blocks, distance
):
    def make(named):
        rate = torch.tensor(3e-3)
        return optim.AdamW(named, lr=rate, weight_decay=0.3, eps=1e-3, foreach=False)

    still, moved = start(make), start(make)
    still.train(5)
    moved.train(5)
    rescale_(moved.model, blocks[:1], scale=3.7, optimizer=moved.optimizer)
    rescale_(moved.model, blocks[1:], scale=0.21, optimizer=moved.optimizer)
    assert distance(moved.train(50), still.train(50)) < 1e-13
    assert distance(moved.directions(), still.directions()) < 1e-13


def test_table_has_every_optimizer_of_torch_but_those_without_a_law():
    kinds = {name for name in optim.__all__ if isinstance(getattr(optim, name, None), type)}
    assert kinds - SCALINGS.keys() == {"Optimizer", "Adafactor", "LBFGS", "SparseAdam"}


@pytest.mark.parametrize("name", SCALINGS)
def test_table_has_every_number_that_the_optimizer_keeps(name):
    settings = {
        "SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.9, "centered": True},
        "Adam": {"amsgrad": True}, "AdamW": {"amsgrad": True},
    }.get(name, {})  # fmt: skip
    weight = nn.Parameter(torch.ones(3, 3))
    optimizer = getattr(optim, name)([weight], **settings)
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert optimizer.state[weight].keys() <= SCALINGS[name].state.keys()
    without_scale = {
        "alpha", "amsgrad", "betas", "capturable", "centered", "dampening", "differentiable",
        "decoupled_weight_decay", "etas", "foreach", "fused", "lr_decay", "maximize", "momentum",
        "momentum_decay", "nesterov", "params", "rho", "t0", "initial_accumulator_value",
        "ns_coefficients", "ns_steps", "adjust_lr_fn",
    }  # fmt: skip
    (group,) = optimizer.param_groups
    assert group.keys() - without_scale == SCALINGS[name].settings(group).keys()


@pytest.mark.parametrize(("name", "power"), [("Adam", -2), ("AdamW", -1), ("Muon", -1)])
def test_decay_is_known_without_the_flag_that_older_groups_lack(name, power):
    assert SCALINGS[name].weight_decay({}) == power


def test_average_of_the_weights_follows_them(start, blocks, distance):
    make = partial(optim.ASGD, lr=0.1, lambd=0.01, t0=30, weight_decay=0.01)
    still, moved = start(make), start(make)
    for run in (still, moved):
        run.train(35)  # past t0, so that the average is one
    rescale_(moved.model, blocks, scale=3.7, optimizer=moved.optimizer)
    for run in (still, moved):
        run.train(5)
    ours, theirs = (run.optimizer.state[run.model.first]["ax"] for run in (moved, still))
    assert distance([ours], [3.7 * theirs]) < 1e-14
    assert distance([theirs], [still.model.first]) > 1e-3


class Adam(optim.Adam):
    """A stranger who has the name of an acquaintance."""


@pytest.mark.parametrize("make", [Adam, partial(optim.LBFGS, lr=1.0)])
def test_optimizers_that_are_not_in_the_table_are_refused(make):
    model = model_of("a")
    optimizer = make(model.parameters())
    kind = type(optimizer)
    assert sentence_of(rescale_, model, WEIGHTS[:1], scale=2.0, optimizer=optimizer) == (
        "`optimizer` must be one of torch.optim's SGD, ASGD, Adadelta, Adam, AdamW, NAdam, RAdam, "
        f"Adamax, Adagrad, RMSprop, Rprop, Muon, got {kind.__module__}.{kind.__qualname__}: how "
        "its state and settings follow the radius is not known. If it wraps one of these, pass "
        "that one."
    )
    assert model["a"].eq(1).all()


def test_parameters_that_the_optimizer_lacks_are_refused():
    model = model_of("a", "b", "c")
    optimizer = optim.SGD([model["b"]])
    assert sentence_of(rescale_, model, WEIGHTS, scale=2.0, optimizer=optimizer) == (
        "`optimizer` must hold every parameter of `blocks`, and lacks 'a', 'c': leave their "
        "blocks out, or pass the optimizer that trains them."
    )
    assert model["b"].eq(1).all()


def test_unknown_state_is_refused():
    model = model_of("a")
    optimizer = optim.SGD(model.parameters())
    optimizer.state[model["a"]]["master"] = torch.ones(4, 4)
    assert sentence_of(rescale_, model, WEIGHTS[:1], scale=2.0, optimizer=optimizer) == (
        "`optimizer` must hold no state but momentum_buffer, got 'master': how it follows the "
        "radius is not known."
    )
    assert model["a"].eq(1).all()


@pytest.mark.parametrize(("steps", "plain"), [(0, True), (1, True), (4, True), (5, False)])
def test_radam_is_refused_exactly_while_its_next_step_is_a_plain_one(steps, plain):
    model = model_of("a")
    optimizer = optim.RAdam(model.parameters(), lr=0.1)

    def step(gradient):
        before = model["a"].detach().clone()
        model["a"].grad = torch.full_like(before, gradient)
        optimizer.step()
        return (model["a"].detach() - before).abs().max().item()

    for _ in range(steps):
        step(1.0)
    if plain:
        assert sentence_of(rescale_, model, WEIGHTS[:1], scale=1.0, optimizer=optimizer) == (
            "`optimizer` must have left RAdam's first steps, and 'a' has not: these are linear in "
            "the gradient, so that no one learning rate suits them and the later ones. Take a few "
            "steps more."
        )
    else:
        rescale_(model, WEIGHTS[:1], scale=1.0, optimizer=optimizer)
    assert (step(1e6) > 1e3) == plain


def test_optimizer_of_a_failed_call_is_as_it_was(start, blocks):
    run = start(partial(optim.AdamW, lr=1e-3))
    run.train(2)
    before = copy.deepcopy(run.optimizer.state_dict())
    run.optimizer.state[run.model.second]["master"] = torch.ones(1)
    first = run.model.first.detach().clone()
    sentence_of(rescale_, run.model, blocks, scale=2.0, optimizer=run.optimizer)
    del run.optimizer.state[run.model.second]["master"]
    after = run.optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for place, state in before["state"].items():
        assert all(torch.equal(after["state"][place][key], state[key]) for key in state)
    assert torch.equal(run.model.first, first)
