"""The claims about the effective learning rate: its fall, its equilibrium, what it explains."""

import math
from typing import Literal

from etaeff.records import OPTIMIZERS, Trial
from etaeff.studies._plan import Plan
from etaeff.studies.judging._claims import Claim, Part
from etaeff.studies.judging._measures import (
    collapse,
    effective_lr_change,
    equilibrium_slope,
    per_seed,
    radius_falls,
    radius_law,
    slope_at_constant_product,
)
from etaeff.studies.papers.van_laarhoven_2017._arms import (
    LESS,
    PAPER,
    free_at_one_lr,
    grid,
    noisy,
    other_norm_grid,
)


def growth_without_decay(plan: Plan) -> Claim:
    """Claim 3."""
    parts = []
    for name in OPTIMIZERS:
        trials = free_at_one_lr(plan, name, wds=(0.0,))
        falls = per_seed(radius_falls, (-math.inf, 0.01))
        change = per_seed(effective_lr_change, (-math.inf, -1e-6))  # more than rounding
        parts.append(
            Part(
                f"{name}: the radius grows",
                "share of epochs in which the mean radius of a layer falls",
                trials,
                falls,
            )
        )
        parts.append(
            Part(
                f"{name}: η_eff falls",
                "decades from first epoch to last",
                trials,
                change,
                "decades",
            )
        )
    return Claim(
        3,
        "Growth without decay",
        "Without L2 the norm of the weights only grows and the effective learning rate falls.",
        f"{PAPER}, discussion",
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
                per_seed(radius_law, (0.9, 1.1), ratio=True),
            )
        )
    return Claim(
        4,
        "Equilibrium of SGD",
        "With L2 under SGD the radius settles near (η/λ)^¼ and the effective learning rate near "
        "√(ηλ): log-log slopes of +¼ and −¼, and of +½ and +½.",
        f"{PAPER}, on the effective learning rate",
        tuple(parts),
    )


def adam_equilibrium(plan: Plan) -> Claim:
    """Claim 5."""
    parts = []
    for name, lr_slope, wd_slope in (("adam", 2 / 3, 1 / 3), ("adamw", 1 / 2, 1 / 2)):
        label = f"{name}, half random labels"
        parts += _slopes(noisy(plan, name), label, "η_eff", "effective_lr", lr_slope, wd_slope, 0.1)
    parts.append(
        Part(
            "adam, half random labels: η²λ alone matters",
            "log-log slope of η_eff in η at constant η²λ, settled runs",
            noisy(plan, "adam"),
            per_seed(slope_at_constant_product, (-0.1, 0.1)),
        )
    )
    return Claim(
        5,
        "Adam removes one power",
        "Adam divides the gradient's scale out and so keeps one power of ‖w‖: with L2 in its "
        "gradient η_eff goes as η^⅔ λ^⅓, with decoupled decay (AdamW) as √(ηλ).",
        f"{PAPER}, abstract, that Adam does so in part; the exponents are derived by etaeff",
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
    tolerances = {"lr": (lr_slope - tolerance, lr_slope + tolerance),
                  "wd": (wd_slope - tolerance, wd_slope + tolerance)}  # fmt: skip
    symbols = {"lr": "η", "wd": "λ"}
    predictors: tuple[Literal["lr", "wd"], ...] = ("lr", "wd")
    return [
        Part(
            f"{label}: {quantity} in {symbols[predictor]}",
            f"log-log slope of {quantity} in {symbols[predictor]}, settled runs",
            trials,
            per_seed(equilibrium_slope(column, predictor), tolerances[predictor]),
        )
        for predictor in predictors
    ]


def effective_lr_explains(plan: Plan) -> Claim:
    """Claim 6."""
    arms = [(f"{name}, batch normalisation", grid(plan, name)) for name in OPTIMIZERS]
    arms += [
        (f"sgd, {norm} normalisation", other_norm_grid(plan, norm=norm))
        for norm in ("layer", "weight")
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
        f"{PAPER}, experiments; the measure is etaeff's",
        tuple(parts),
    )
