"""What the table tells people to do: it is run as it is printed."""

import pytest
import torch
from torch import nn

from etaeff.records.audits import next_steps
from etaeff.symmetry import audit


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))


def made(step, found):
    """The optimiser that the code of a step makes."""
    names = {"audit": found}
    exec("\n".join(step.code), names)
    return names["optimizer"]


def trained_by(optimizer):
    return sorted(id(p) for group in optimizer.param_groups for p in group["params"])


def test_the_code_runs_and_has_every_parameter_once():
    model = network()
    found = audit(model, (X,))
    steps = next_steps(found.to_dict())
    optimizers = [made(step, found) for step in steps]
    assert [type(o).__name__ for o in optimizers] == ["AdamW", "SphereAdam"]
    for optimizer in optimizers:
        assert trained_by(optimizer) == sorted(map(id, model.parameters()))
        model(X).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize(
    ("optimizer", "kinds", "numbers"),
    [
        (
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True),
            ["SGD", "SphereSGD"],
            {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        ),
        (
            lambda p: torch.optim.AdamW(p, lr=3e-4, betas=(0.9, 0.95), weight_decay=0.2),
            ["AdamW", "SphereAdam"],
            {"lr": 3e-4, "betas": (0.9, 0.95)},
        ),
        (lambda p: torch.optim.NAdam(p, weight_decay=0.2), ["NAdam"], {"lr": 2e-3}),
        (lambda p: torch.optim.SGD(p, lr=0.1), ["SGD"], {"lr": 0.1}),  # no decay to turn by
        (torch.optim.Adagrad, ["AdamW", "SphereAdam"], {}),  # an example, as it has no law
    ],
)
def test_the_code_has_the_numbers_of_the_optimiser_that_was_given(optimizer, kinds, numbers):
    model = network()
    given = optimizer(model.parameters())
    found = audit(model, (X,), optimizer=given)
    remade = [made(step, found) for step in next_steps(found.to_dict())]
    assert [type(o).__name__ for o in remade] == kinds
    for one in remade:
        assert numbers.items() <= one.param_groups[0].items()
    if numbers:
        decays = {group["weight_decay"] for group in remade[0].param_groups}
        assert decays == {0.0, given.param_groups[0]["weight_decay"]}


def test_without_blocks_there_is_nothing_to_put_on_spheres():
    found = audit(nn.Linear(3, 2), (X,), measure=False)
    (step,) = next_steps(found.to_dict())
    assert "scale-invariant" not in step.text
    assert type(made(step, found)).__name__ == "AdamW"


@pytest.mark.parametrize("model", [nn.ReLU(), nn.Linear(3, 2).requires_grad_(False)])
def test_without_anything_to_train_there_is_nothing_to_do(model):
    assert next_steps(audit(model, (X,), measure=False).to_dict()) == ()
