"""`of_torch` against real optimisers of torch.optim and of this package."""

import inspect

import pytest
import torch

from etaeff import optim
from etaeff.errors import NoLawError, UnknownNameError, UsageError
from etaeff.geometry import Block, param_groups
from etaeff.theory import Setting, equilibrium, of_torch
from etaeff.theory.settings import LAWLESS, OPTIMIZERS

CLASSES = sorted(
    name
    for name, value in vars(torch.optim).items()
    if inspect.isclass(value)
    and issubclass(value, torch.optim.Optimizer)
    and value is not torch.optim.Optimizer
)
KNOWN = {kind: row.name for row in OPTIMIZERS.values() for kind in row.classes}


def recognised(optimizer):
    (group,) = optimizer.param_groups
    return of_torch(type(optimizer).__name__, group)


def weights():
    return [torch.nn.Parameter(torch.ones(2, 3))]


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_of_torch_is_recognised_or_refused_with_a_reason(name):
    optimizer = getattr(torch.optim, name)(weights(), lr=0.25)
    if name in LAWLESS:
        with pytest.raises(NoLawError) as refused:
            recognised(optimizer)
        assert str(refused.value) == f"No law is derived for {name}: {LAWLESS[name]}."
        return
    found = recognised(optimizer)
    assert found.lr == 0.25
    assert found.wd == optimizer.defaults["weight_decay"]
    assert found.optimizer == KNOWN[name]
    # Torch's defaults are the registry's: what is read from the group adds nothing.
    given = found.arguments()
    shape = {"shape": (4, 4)} if found.optimizer == "muon" else {}
    rates = {"lr": 0.01, "wd": 0.1, "dim": 10.0, "grad_norm_sq": 1.0, **shape}
    arguments = {key: value for key, value in given.items() if key not in ("lr", "wd")}
    assert equilibrium(found.optimizer, **rates, **arguments) == equilibrium(
        found.optimizer, **rates
    )


def test_the_lawless_are_classes_of_torch():
    assert set(LAWLESS) <= set(CLASSES)
    assert set(LAWLESS).isdisjoint(KNOWN)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            lambda p: torch.optim.SGD(p, 0.1, 0.9, 0.25, 5e-4),
            Setting(optimizer="sgd", lr=0.1, wd=5e-4, momentum=0.9, dampening=0.25, nesterov=False),
        ),
        (
            lambda p: torch.optim.SGD(p, 0.1, 0.9, nesterov=True, maximize=True),
            Setting(optimizer="sgd", lr=0.1, wd=0.0, momentum=0.9, dampening=0.0, nesterov=True),
        ),
        (
            lambda p: torch.optim.RMSprop(p, 0.1, 0.95, weight_decay=0.5, momentum=0.5),
            Setting(optimizer="rmsprop", lr=0.1, wd=0.5, alpha=0.95, momentum=0.5),
        ),
        (
            lambda p: torch.optim.Adam(p, 0.1, (0.8, 0.95), weight_decay=0.5),
            Setting(optimizer="adam", lr=0.1, wd=0.5, betas=(0.8, 0.95)),
        ),
        (
            lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.5, decoupled_weight_decay=True),
            Setting(optimizer="adamw", lr=0.1, wd=0.5, betas=(0.9, 0.999)),
        ),
        (
            lambda p: torch.optim.AdamW(p, 0.1, (0.8, 0.95)),
            Setting(optimizer="adamw", lr=0.1, wd=0.01, betas=(0.8, 0.95)),
        ),
        (
            lambda p: torch.optim.NAdam(p, 0.1, (0.8, 0.95), weight_decay=0.5, momentum_decay=0.01),
            Setting(optimizer="nadam", lr=0.1, wd=0.5, betas=(0.8, 0.95), momentum_decay=0.01),
        ),
        (
            lambda p: torch.optim.NAdam(p, weight_decay=0.5, decoupled_weight_decay=True),
            Setting(
                optimizer="nadam",
                lr=2e-3,
                wd=0.5,
                betas=(0.9, 0.999),
                momentum_decay=4e-3,
                decay="decoupled",
            ),
        ),
        (
            lambda p: torch.optim.Muon(p, 0.1, 0.2, 0.9, nesterov=False),
            Setting(optimizer="muon", lr=0.1, wd=0.2, momentum=0.9, nesterov=False),
        ),
        (
            lambda p: torch.optim.Muon(p, adjust_lr_fn="match_rms_adamw"),
            Setting(
                optimizer="muon",
                lr=1e-3,
                wd=0.1,
                momentum=0.95,
                nesterov=True,
                adjust_lr_fn="match_rms_adamw",
            ),
        ),
        (
            lambda p: optim.SphereSGD(p, lr=0.1, momentum=0.9),
            Setting(optimizer="sgd", lr=0.1, wd=0.0, momentum=0.9, dampening=0.0, nesterov=False),
        ),
        (
            lambda p: optim.SphereAdam(p, lr=0.1, betas=(0.9, 0.95)),
            Setting(optimizer="adamw", lr=0.1, wd=0.01, betas=(0.9, 0.95)),
        ),
        (
            lambda p: optim.SphereLion(p, lr=0.1, betas=(0.9, 0.95)),
            Setting(optimizer="lion", lr=0.1, wd=0.0, betas=(0.9, 0.95)),
        ),
        (
            lambda p: optim.SphereMuon(p, lr=0.1, momentum=0.5),
            Setting(optimizer="muon", lr=0.1, wd=0.1, momentum=0.5, nesterov=True),
        ),
    ],
)
def test_a_setting_has_what_the_group_says(make, expected):
    assert recognised(make(weights())) == expected


def test_tensors_become_numbers():
    optimizer = torch.optim.Adam(
        weights(),
        lr=torch.tensor(0.5),
        betas=(torch.tensor(0.5), torch.tensor(0.25)),
        capturable=True,
    )
    found = recognised(optimizer)
    assert found == Setting(optimizer="adam", lr=0.5, wd=0.0, betas=(0.5, 0.25))
    assert [type(value) for value in (found.lr, *found.betas)] == [float] * 3


def test_a_group_that_moves_its_decay_is_the_other_optimizer():
    optimizer = torch.optim.AdamW(weights(), lr=0.1)
    optimizer.param_groups[0]["decoupled_weight_decay"] = False
    assert recognised(optimizer).optimizer == "adam"


def test_every_setting_has_decoupled_decay_where_the_class_says_so():
    for name, kinds in {"adamw": ["AdamW"], "adam": ["Adam"], "sgd": ["SGD"]}.items():
        for kind in kinds:
            found = recognised(getattr(torch.optim, kind)(weights(), lr=0.1))
            assert found.optimizer == name
            assert found.decay is None


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda p: torch.optim.Adam(p, amsgrad=True),
            "No law is derived for Adam with amsgrad=True: it divides by the largest second moment "
            "that it has ever seen, which keeps no equilibrium with the norm.",
        ),
        (
            lambda p: torch.optim.AdamW(p, amsgrad=True),
            "No law is derived for AdamW with amsgrad=True: it divides by the largest second "
            "moment that it has ever seen, which keeps no equilibrium with the norm.",
        ),
        (
            lambda p: torch.optim.RMSprop(p, centered=True),
            "No law is derived for RMSprop with centered=True: it divides by a variance about a "
            "running mean, of which no law is derived.",
        ),
        (
            lambda p: torch.optim.Muon(p, ns_steps=3),
            "No law is derived for Muon with ns_steps=3: the size of the update is known for "
            "torch's Newton-Schulz steps only.",
        ),
    ],
)
def test_an_option_without_a_law_is_refused_by_name(make, sentence):
    with pytest.raises(NoLawError) as refused:
        recognised(make(weights()))
    assert str(refused.value) == sentence


def test_a_second_moment_of_a_whole_block_is_refused():
    model = torch.nn.Linear(3, 2, bias=False)
    groups = param_groups(model, [Block(("weight",), 0, 2)], lr=0.1)
    optimizer = optim.SphereAdam(groups, second_moment="block")
    with pytest.raises(NoLawError, match=r"^No law is derived for SphereAdam with second_moment="):
        recognised(optimizer)


def test_a_class_that_nobody_knows_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"^Unknown optimizer class 'AdamX'\. Known: SGD, "):
        of_torch("AdamX", {"lr": 0.1, "weight_decay": 0.0})


@pytest.mark.parametrize("key", ["lr", "weight_decay"])
def test_a_group_without_its_numbers_is_refused(key):
    group = {"lr": 0.1, "weight_decay": 0.0}
    del group[key]
    with pytest.raises(UsageError) as refused:
        of_torch("SGD", group)
    assert str(refused.value) == f"The param group of SGD has no `{key}`."
