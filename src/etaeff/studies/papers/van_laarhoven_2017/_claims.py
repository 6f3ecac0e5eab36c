"""The claims of the paper, in order, and those about invariance, ‖w‖ = 1 and what decay acts on."""

import math
from typing import Any, Final

from etaeff.records import NORMALISATIONS, OPTIMIZERS
from etaeff.studies._plan import Plan, combinations
from etaeff.studies.judging._claims import Claim, Part
from etaeff.studies.judging._measures import (
    collapse,
    difference,
    effective_lr_span,
    invariance,
    per_seed,
    smallest_output_change,
)
from etaeff.studies.papers.van_laarhoven_2017._arms import (
    GRIDS,
    LAYER_SPHERE_LR,
    LESS,
    PAIR,
    PAPER,
    SPHERE_LR,
    free_at_one_lr,
    other_norm_grid,
    sphere,
)
from etaeff.studies.papers.van_laarhoven_2017._rate_claims import (
    adam_equilibrium,
    effective_lr_explains,
    growth_without_decay,
    sgd_equilibrium,
)

SPREAD: Final = "largest difference between the mean test errors at different λ"


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
        f"{PAPER}, on normalisation",
        tuple(parts),
    )


def no_regularising_effect(plan: Plan) -> Claim:
    """Claim 2."""
    parts = [*_on_the_sphere(plan), *_free(plan), *_equal_products(plan)]
    return Claim(
        2,
        "No regularising effect",
        "With ‖w‖ = 1 the test error does not depend on λ. Without it λ moves the effective "
        "learning rate by orders of magnitude, and through it the error: settings with equal "
        "η_eff have equal error.",
        f"{PAPER}, abstract; section 5.5 for ‖w‖ = 1",
        tuple(parts),
    )


def _on_the_sphere(plan: Plan) -> list[Part]:
    """The parts that say that λ does nothing with ‖w‖ = 1, wherever it acts."""
    flat = difference("wd", claim="same")
    arms = {f"{name}, ‖w‖ = 1, λ acts on w": sphere(plan, name) for name in OPTIMIZERS}
    for name in OPTIMIZERS:
        left_out = sphere(plan, name, decay_weights=False, decay_head=True)
        arms[f"{name}, ‖w‖ = 1, λ acts on the head alone"] = left_out
    for name, common in (
        ("layer normalisation", {"norm": "layer", "lr": LAYER_SPHERE_LR, "lr_rest": 0.3}),
        ("weight normalisation", {"norm": "weight"}),
        ("cosine schedule", {"schedule": "cosine"}),
        ("step schedule", {"schedule": "step"}),
    ):
        arms[f"sgd, {name}, ‖w‖ = 1, λ acts on w"] = sphere(plan, "sgd", **common)
    return [Part(name, SPREAD, trials, flat, "points") for name, trials in arms.items()]


def _free(plan: Plan) -> list[Part]:
    """The parts that say that λ moves η_eff, and through it the error, of free weights."""
    span = per_seed(effective_lr_span("lr"), (1.0, math.inf))
    moves = difference("wd", claim="different")
    parts = []
    for name in OPTIMIZERS:
        free = free_at_one_lr(plan, name)
        parts += [
            Part(f"{name}, free: λ moves η_eff", "decades that η_eff spans", free, span, "decades"),
            Part(f"{name}, free: λ moves the error", SPREAD, free, moves, "points"),
        ]
    return parts


def _equal_products(plan: Plan) -> list[Part]:
    """The parts that say that settings with equal ηλ have equal η_eff and equal error."""
    pair = plan.compared(PAIR, steps=plan.preset.long)
    return [
        Part(
            "sgd, free, equal ηλ: same η_eff",
            "decades between the final η_eff of the settings",
            pair,
            per_seed(effective_lr_span(), (-math.inf, 0.1)),
            "decades",
        ),
        Part(
            "sgd, free, equal ηλ: same error",
            "largest difference between the mean test errors of the settings",
            pair,
            difference("lr", "wd", claim="same"),
            "points",
        ),
    ]


def initial_scale(plan: Plan) -> Claim:
    """Claim 7."""
    scales = combinations(init_scale=(0.1, 1.0, 10.0))
    short = plan.preset.short
    parts = []
    for name in ("sgd", "adam"):
        free = plan.compared(scales, optimizer=name, lr=GRIDS[name][0][1], steps=short)
        fixed = plan.compared(scales, optimizer=name, lr=SPHERE_LR[name], sphere=True, steps=short)
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
        f"{PAPER}, discussion",
        tuple(parts),
    )


def gains_and_shifts(plan: Plan) -> Claim:
    """Claim 8."""
    parts = []
    for wd in (1e-3, 1e-2):
        arms = plan.compared(
            combinations(decay_gains=("none", "all", "last")),
            lr=0.1,
            wd=wd,
            steps=plan.preset.steps,
        )
        for other, reading in (("none", "including γ and β makes no difference"),
                               ("last", "nor does all of them against the last γ")):  # fmt: skip
            trials = tuple(trial for trial in arms if trial.arm.decay_gains in ("all", other))
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
        f"{PAPER}, discussion",
        tuple(parts),
    )


def without_normalisation(plan: Plan) -> Claim:
    """Claim 9, the control arm: λ acts on all weights, the head's among them."""
    control: dict[str, Any] = {"norm": "none", "decay_head": True}
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
            plan.compared(PAIR, steps=plan.preset.long, **control),
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
        "control arm of etaeff",
        parts,
    )
