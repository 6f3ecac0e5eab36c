"""The claims of "L2 Regularization versus Batch and Weight Normalization", and their trials.

The grid is ours: the paper's own network, epochs, grids and error figures are not known to us.
λ is in PyTorch's convention throughout, twice the paper's. It acts on the normalised weights
alone unless a claim says otherwise: the head is not scale-invariant, and a penalty on it would
be an ordinary regulariser that hides what is claimed of the others.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from etaeff.records import OPTIMIZERS, Trial
from etaeff.studies._claims import Claim, Part
from etaeff.studies._measures import (
    collapse,
    difference,
    effective_lr_change,
    effective_lr_span,
    equilibrium_slope,
    invariance,
    per_seed,
    radius_falls,
    radius_law,
    smallest_output_change,
)
from etaeff.studies._plan import Plan, combinations

PAPER: Final = "van Laarhoven 2017"
NORMALISATIONS: Final = ("batch", "layer", "weight")
# (η, λ) of each optimiser: from too slow to too fast, λ = 0 and up to three decades above.
GRIDS: Final[Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    "sgd": ((0.03, 0.1, 0.3, 1.0), (0.0, 1e-3, 1e-2, 3e-2, 1e-1)),
    "heavy-ball": ((0.01, 0.03, 0.1), (0.0, 1e-3, 1e-2, 1e-1)),
    "nesterov": ((0.01, 0.03, 0.1), (0.0, 1e-3, 1e-2, 1e-1)),
    "rmsprop": ((1e-3, 3e-3, 1e-2), (0.0, 1e-4, 1e-3, 1e-2)),
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
# Equal ηλ with η and λ a decade apart. Head, gains and shifts learn at one rate in all of
# them: they have no effective rate that λ could set.
PAIRS: Final = tuple(
    {"lr": lr, "wd": wd, "lr_rest": 0.1} for lr, wd in ((0.03, 0.1), (0.1, 0.03), (0.3, 0.01))
)
LESS: Final = (0.0, 1.0)


def claims(plan: Plan) -> list[Claim]:
    """All claims, in the order of the report."""
    return [
        scale_invariance(plan),
        no_regularising_effect(plan),
        growth_without_decay(plan),
        sgd_equilibrium(plan),
        adam_equilibrium(plan),
        effective_lr_explains(plan),
        initial_scale(plan),
        gains_and_shifts(plan),
        without_normalisation(plan),
    ]


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
    return plan.trials(
        settings, optimizer=optimizer, random_labels=0.5, steps=plan.preset.long
    )


def other_norm_grid(plan: Plan, norm: str, **common: Any) -> tuple[Trial, ...]:
    """A smaller grid of SGD under another normalisation, or none."""
    settings = combinations(lr=(0.03, 0.1, 0.3), wd=(0.0, 1e-3, 1e-2, 1e-1))
    return plan.trials(settings, norm=norm, steps=plan.preset.short, **common)


def sphere(plan: Plan, optimizer: str, **common: Any) -> tuple[Trial, ...]:
    """The paper's remedy at one η and several λ."""
    options = {"optimizer": optimizer, "lr": SPHERE_LR[optimizer], "sphere": True, **common}
    return plan.compared(combinations(wd=SPHERE_WD), steps=plan.preset.short, **options)


def free_at_one_lr(plan: Plan, optimizer: str, wds: Sequence[float] = ()) -> tuple[Trial, ...]:
    """The grid's column at its second η, with the seeds that comparing settings takes."""
    lrs, grid_wds = GRIDS[optimizer]
    settings = combinations(wd=wds or grid_wds)
    steps = grid_steps(plan, optimizer)
    return plan.compared(settings, lr=lrs[1], optimizer=optimizer, steps=steps)


def scale_invariance(plan: Plan) -> Claim:
    """Claim 1."""
    parts = [
        Part(
            f"{norm} normalisation",
            "largest relative change of the outputs of a trained network when its normalised "
            "weights are scaled by 2, ½ or 1000, in float64, with ε = 1e-30",
            plan.compared(combinations(wd=(1e-3,)), norm=norm, lr=0.1, steps=plan.preset.short),
            invariance,
        )
        for norm in NORMALISATIONS
    ]
    return Claim(
        1,
        "Scale invariance",
        "The outputs of a network with Batch, Layer or Weight Normalization do not move when "
        "the normalised weights are scaled, but for the ε of the normalisation.",
        f"{PAPER}, section 2",
        tuple(parts),
    )


def no_regularising_effect(plan: Plan) -> Claim:
    """Claim 2."""
    spread = "largest difference between the mean test errors at different λ"
    flat = difference("wd", claim="same")
    parts = []
    for name in OPTIMIZERS:
        left_in = sphere(plan, name)
        parts.append(Part(f"{name}, ‖w‖ = 1, λ acts on w", spread, left_in, flat, "points"))
    for name in OPTIMIZERS:
        left_out = sphere(plan, name, decay_weights=False, decay_head=True)
        parts.append(
            Part(f"{name}, ‖w‖ = 1, λ acts on the head alone", spread, left_out, flat, "points")
        )
    for name, common in (
        ("layer normalisation", {"norm": "layer", "lr": LAYER_SPHERE_LR, "lr_rest": 0.3}),
        ("weight normalisation", {"norm": "weight"}),
        ("cosine schedule", {"schedule": "cosine"}),
        ("step schedule", {"schedule": "step"}),
    ):
        own = sphere(plan, "sgd", **common)
        parts.append(Part(f"sgd, {name}, ‖w‖ = 1, λ acts on w", spread, own, flat, "points"))
    for name in OPTIMIZERS:
        span = per_seed(effective_lr_span("lr"), (1.0, math.inf))
        moves = difference("wd", claim="different")
        free = free_at_one_lr(plan, name)
        parts.append(
            Part(f"{name}, free: λ moves η_eff", "decades that η_eff spans", free, span, "decades")
        )
        parts.append(Part(f"{name}, free: λ moves the error", spread, free, moves, "points"))
    pairs = plan.compared(PAIRS)
    parts.append(
        Part(
            "sgd, free, equal ηλ: same η_eff",
            "decades between the final η_eff of the settings",
            pairs,
            per_seed(effective_lr_span(), (0.0, 0.1)),
            "decades",
        )
    )
    parts.append(
        Part(
            "sgd, free, equal ηλ: same error",
            "largest difference between the mean test errors of the settings",
            pairs,
            difference("lr", "wd", claim="same"),
            "points",
        )
    )
    return Claim(
        2,
        "No regularising effect",
        "With ‖w‖ = 1 the test error does not depend on λ. Without it λ moves the effective "
        "learning rate by orders of magnitude, and through it the error: settings with equal "
        "η_eff have equal error.",
        f"{PAPER}, sections 3 and 5.5",
        tuple(parts),
    )


def growth_without_decay(plan: Plan) -> Claim:
    """Claim 3."""
    parts = []
    for name in OPTIMIZERS:
        trials = free_at_one_lr(plan, name, wds=(0.0,))
        falls = per_seed(radius_falls, (0.0, 0.01))
        change = per_seed(effective_lr_change, (-math.inf, 0.0))
        parts.append(
            Part(f"{name}: the radius grows", "share of epochs in which it falls", trials, falls)
        )
        parts.append(
            Part(f"{name}: η_eff falls", "decades from first epoch to last", trials, change, "decades")
        )
    return Claim(
        3,
        "Growth without decay",
        "Without L2 the norm of the weights only grows and the effective learning rate falls.",
        f"{PAPER}, section 4",
        tuple(parts),
    )


def sgd_equilibrium(plan: Plan) -> Claim:
    """Claim 4."""
    parts = []
    arms = {"clean labels": grid(plan, "sgd"), "half random labels": noisy(plan, "sgd")}
    for data, trials in arms.items():
        for quantity, column, lr_slope, wd_slope, tolerance in (
            ("radius", "radius", 1 / 4, -1 / 4, 0.05),
            ("η_eff", "effective_lr", 1 / 2, 1 / 2, 0.1),
        ):
            parts += _slopes(trials, data, quantity, column, lr_slope, wd_slope, tolerance)
        parts.append(
            Part(
                f"{data}: r⁴ against its law",
                "r⁴ over ηG/(λ(2 − ηλ)) with the measured G = mean ‖ḡ‖², settled runs",
                trials,
                per_seed(radius_law, (0.9, 1.1)),
            )
        )
    return Claim(
        4,
        "Equilibrium of SGD",
        "With L2 under SGD the radius settles near (η/λ)^¼ and the effective learning rate near "
        "√(ηλ): log-log slopes of +¼ and −¼, and of +½ and +½.",
        f"{PAPER}, section 4",
        tuple(parts),
    )


def adam_equilibrium(plan: Plan) -> Claim:
    """Claim 5."""
    parts = []
    for name, lr_slope, wd_slope in (("adam", 2 / 3, 1 / 3), ("adamw", 1 / 2, 1 / 2)):
        label = f"{name}, half random labels"
        parts += _slopes(
            noisy(plan, name), label, "η_eff", "effective_lr", lr_slope, wd_slope, 0.1
        )
    return Claim(
        5,
        "Adam removes one power",
        "Adam divides the gradient's scale out and so keeps one power of ‖w‖: with L2 in its "
        "gradient η_eff goes as η^⅔ λ^⅓, with decoupled decay (AdamW) as √(ηλ).",
        f"{PAPER}, section 4, for the one power; the exponents are derived by etaeff",
        tuple(parts),
    )


def _slopes(
    trials: tuple[Trial, ...],
    label: str,
    quantity: str,
    column: str,
    lr_slope: float,
    wd_slope: float,
    tolerance: float,
) -> list[Part]:
    """Two parts: the log-log slopes of a final quantity in η and in λ."""
    return [
        Part(
            f"{label}: {quantity} in {symbol}",
            f"log-log slope of {quantity} in {symbol}, predicted {slope:+.2f}, settled runs",
            trials,
            per_seed(
                equilibrium_slope(column, predictor), (slope - tolerance, slope + tolerance)
            ),
        )
        for symbol, predictor, slope in (("η", "lr", lr_slope), ("λ", "wd", wd_slope))
    ]


def effective_lr_explains(plan: Plan) -> Claim:
    """Claim 6."""
    arms = [(f"{name}, batch normalisation", grid(plan, name)) for name in OPTIMIZERS]
    arms += [
        (f"sgd, {norm} normalisation", other_norm_grid(plan, norm)) for norm in ("layer", "weight")
    ]
    parts = [
        Part(
            name,
            "variance of log test error that a smooth curve in η_eff leaves, over what one in η "
            "or λ leaves, the better of the two",
            trials,
            collapse("η_eff", ("η", "λ"), LESS),
        )
        for name, trials in arms
    ]
    return Claim(
        6,
        "The effective learning rate explains the error",
        "Over all η and λ of one optimiser, the effective learning rate explains the test error "
        "better than η or λ do.",
        f"{PAPER}, section 5",
        tuple(parts),
    )


def initial_scale(plan: Plan) -> Claim:
    """Claim 7."""
    scales = combinations(init_scale=(0.1, 1.0, 10.0))
    short = plan.preset.short
    parts = []
    for name in ("sgd", "adam"):
        free = plan.compared(scales, optimizer=name, lr=GRIDS[name][0][1], steps=short)
        fixed = plan.compared(
            scales, optimizer=name, lr=SPHERE_LR[name], sphere=True, steps=short
        )
        spread = "largest difference between the mean test errors at different initial scales"
        for arm, trials, measure in (
            ("free, without L2: it matters", free, difference("init_scale", claim="different")),
            ("‖w‖ = 1: it does not", fixed, difference("init_scale", claim="same")),
        ):
            parts.append(Part(f"{name}, {arm}", spread, trials, measure, "points"))
    return Claim(
        7,
        "Initial scale",
        "Without L2 the outcome depends on the scale of the initial weights, because the norm "
        "cannot forget it; with ‖w‖ = 1 it does not.",
        f"{PAPER}, section 4",
        tuple(parts),
    )


def gains_and_shifts(plan: Plan) -> Claim:
    """Claim 8."""
    parts = []
    for wd in (1e-3, 1e-2):
        arms = plan.compared(
            combinations(decay_gains=("none", "all", "last")), lr=0.1, wd=wd, steps=plan.preset.steps
        )
        for other, reading in (("none", "including γ and β makes no difference"),
                               ("last", "nor does all of them against the last γ")):  # fmt: skip
            trials = tuple(trial for trial in arms if trial.decay_gains in ("all", other))
            parts.append(
                Part(
                    f"sgd, λ = {wd:g}: {reading}",
                    f"difference between the mean test errors with 'all' and '{other}' penalised",
                    trials,
                    difference("decay_gains", claim="same"),
                    "points",
                )
            )
    return Claim(
        8,
        "Gains and shifts",
        "With ReLU, including γ and β in the penalty makes no difference, except through the "
        "gain of the last normalised layer.",
        f"{PAPER}, section 3",
        tuple(parts),
    )


def without_normalisation(plan: Plan) -> Claim:
    """Claim 9, the control arm: λ acts on all weights, the head's among them."""
    control = {"norm": "none", "decay_head": True}
    grid_trials = other_norm_grid(plan, **control)
    parts = (
        Part(
            "the outputs move",
            "smallest relative change of the outputs when the hidden weights are scaled",
            plan.compared(combinations(wd=(1e-3,)), lr=0.1, steps=plan.preset.short, **control),
            per_seed(smallest_output_change, (0.1, math.inf)),
        ),
        Part(
            "equal ηλ: another error",
            "largest difference between the mean test errors of settings with equal ηλ",
            plan.compared(PAIRS, **control),
            difference("lr", "wd", claim="different"),
            "points",
        ),
        Part(
            "λ explains the error, η_eff does not",
            "variance of log test error that a smooth curve in λ leaves, over what one in "
            "η/‖w‖² leaves",
            grid_trials,
            collapse("λ", ("η_eff",), LESS),
        ),
    )
    return Claim(
        9,
        "Without normalisation",
        "Without normalisation none of this holds: the outputs depend on the scale of the "
        "weights, and λ acts as a regulariser.",
        f"{PAPER}, section 1; the control arm",
        parts,
    )
