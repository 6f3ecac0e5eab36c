"""The arms of the study: which optimiser trains with which η and λ, free or on the sphere.

The grid is ours: the paper's own network, epochs, grids and error figures are not known to us.
λ is in PyTorch's convention throughout, twice the paper's. It acts on the normalised weights
alone unless a claim says otherwise: the head is not scale-invariant, and a penalty on it would
be an ordinary regulariser that hides what is claimed of the others.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from etaeff.records import Trial
from etaeff.studies._plan import Plan, combinations

PAPER: Final = "van Laarhoven 2017"
LESS: Final = (0.0, 1.0)  # of a ratio: the one is less than the other
# (η, λ) of each optimiser: from too slow to too fast, λ = 0 and up to three decades above.
GRIDS: Final[Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    "sgd": ((0.03, 0.1, 0.3, 1.0), (0.0, 1e-3, 1e-2, 3e-2, 1e-1)),
    "heavy-ball": ((0.01, 0.03, 0.1), (0.0, 1e-3, 1e-2, 1e-1)),
    "nesterov": ((0.01, 0.03, 0.1), (0.0, 1e-3, 1e-2, 1e-1)),
    "rmsprop": ((1e-3, 3e-3, 1e-2), (0.0, 1e-3, 1e-2, 1e-1)),
    "adam": ((1e-3, 3e-3, 1e-2), (0.0, 1e-4, 1e-3, 1e-2, 1e-1)),
    "adamw": ((3e-3, 1e-2, 3e-2), (0.0, 3e-2, 1e-1, 3e-1, 1.0)),
}
# Products that fix the equilibrium, ηλ or for Adam η²λ, and the η at which each is reached;
# small enough for a network that still learns, large enough to settle within `preset.long`.
NOISY: Final[Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    "sgd": ((1e-3, 3e-3), (0.03, 0.1, 0.3, 1.0)),
    "adam": ((1e-6, 3e-6), (1e-3, 3e-3, 1e-2)),
    "adamw": ((1e-3, 3e-3), (3e-3, 1e-2, 3e-2)),
}
# On the unit sphere η is η_eff: a third of where training becomes unstable, or less.
SPHERE_LR: Final[Mapping[str, float]] = {
    "sgd": 0.3,
    "heavy-ball": 0.03,
    "nesterov": 0.03,
    "rmsprop": 3e-3,
    "adam": 3e-3,
    "adamw": 3e-3,
}
# A whole layer of 64 channels on one unit sphere turns 64 times as far for the same η.
LAYER_SPHERE_LR: Final = 5e-3
SPHERE_WD: Final = (0.0, 1e-3, 1e-2, 1e-1)
# Equal ηλ with η and λ a decade apart. Head, gains and shifts learn at one rate in both:
# they have no effective rate that λ could set.
PAIR: Final = (
    {"lr": 0.03, "wd": 1e-3 / 0.03, "lr_rest": 0.1},
    {"lr": 0.3, "wd": 1e-3 / 0.3, "lr_rest": 0.1},
)


def grid(plan: Plan, optimizer: str) -> tuple[Trial, ...]:
    """The (η, λ) grid of an optimiser, free of the sphere, under Batch Normalization."""
    lrs, wds = GRIDS[optimizer]
    return plan.trials(
        combinations(lr=lrs, wd=wds), optimizer=optimizer, steps=grid_steps(plan, optimizer)
    )


def grid_steps(plan: Plan, optimizer: str) -> int:
    """Only of SGD does a claim speak of equilibrium on the grid itself."""
    return plan.preset.steps if optimizer == "sgd" else plan.preset.short


def noisy(plan: Plan, optimizer: str) -> tuple[Trial, ...]:
    """Settled runs on half random labels, which no network of this size fits."""
    products, lrs = NOISY[optimizer]
    power = 2 if optimizer == "adam" else 1
    settings = [{"lr": lr, "wd": product / lr**power} for product in products for lr in lrs]
    return plan.trials(settings, optimizer=optimizer, random_labels=0.5, steps=plan.preset.long)


def other_norm_grid(plan: Plan, **common: Any) -> tuple[Trial, ...]:
    """A smaller grid of SGD under another normalisation, or none."""
    settings = combinations(lr=(0.03, 0.1, 0.3), wd=(0.0, 1e-3, 1e-2, 1e-1))
    return plan.trials(settings, steps=plan.preset.short, **common)


def sphere(plan: Plan, optimizer: str, **common: Any) -> tuple[Trial, ...]:
    """The paper's remedy at one η and several λ."""
    options = {
        "optimizer": optimizer,
        "lr": SPHERE_LR[optimizer],
        "sphere": True,
        "steps": plan.preset.short,
        **common,
    }
    return plan.compared(combinations(wd=SPHERE_WD), **options)


def free_at_one_lr(plan: Plan, optimizer: str, wds: Sequence[float] = ()) -> tuple[Trial, ...]:
    """The grid's column at its second η, with the seeds that comparing settings takes."""
    lrs, grid_wds = GRIDS[optimizer]
    settings = combinations(wd=wds or grid_wds)
    steps = grid_steps(plan, optimizer)
    return plan.compared(settings, lr=lrs[1], optimizer=optimizer, steps=steps)
