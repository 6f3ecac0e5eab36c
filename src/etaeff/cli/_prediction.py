"""What `etaeff predict` says of a recipe, as plain values and sentences."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from etaeff._words import typed
from etaeff.cli._recipe import Recipe
from etaeff.cli._run import Run, described
from etaeff.theory import equilibrium, invariant, timescale

if TYPE_CHECKING:
    from etaeff.theory import Equilibrium, Invariant, PublishedSetting


def prediction(recipe: Recipe, run: Run | None) -> dict[str, Any]:
    """All that is said of `recipe`; the keys are those of `etaeff predict --json`."""
    given: dict[str, Any] = {"lr": recipe.lr, "wd": recipe.wd, **recipe.arguments}
    found = equilibrium(recipe.optimizer, **given)
    times = timescale(recipe.optimizer, batch=recipe.batch, data=recipe.data, **given)
    product = invariant(recipe.optimizer, decay=recipe.arguments.get("decay"))
    epoch = None if recipe.batch is None or recipe.data is None else recipe.data / recipe.batch
    half_life = times.half_life
    return {
        "optimizer": recipe.optimizer,
        "lr": recipe.lr,
        "wd": recipe.wd,
        "decay": recipe.decay,
        "arguments": {k: v for k, v in recipe.arguments.items() if k != "decay"},
        "published": _origin(recipe.published),
        "angle": found.angle,
        "angle_degrees": _degrees(found.angle),
        "cosine": found.cosine,
        "half_life": half_life,
        "half_life_epochs": None if half_life is None or epoch is None else half_life / epoch,
        "settled": times.settled,
        "settled_epochs": times.settled_epochs,
        "memory": times.memory,
        "memory_epochs": times.memory_epochs,
        "radius": found.radius,
        "effective_lr": found.effective_lr,
        "invariant": {"name": str(product), "value": product.value(lr=recipe.lr, wd=recipe.wd)},
        "regime": found.regime,
        "meaning": _meaning(recipe, found, product),
        "notes": [*found.notes, *_more_notes(recipe, run)],
        "run": None if recipe.steps is None else described(recipe, run),
        "warnings": _warnings(recipe, times.settled),
        "plot": None,
    }


def implied(setting: "PublishedSetting") -> dict[str, Any]:
    """What a published setting implies, in a line of the list of them."""
    times = timescale(setting.optimizer, lr=setting.lr, wd=setting.wd, **_own(setting))
    found = equilibrium(setting.optimizer, lr=setting.lr, wd=setting.wd, **_own(setting))
    known = times.settled is not None and setting.steps is not None
    return {
        "name": setting.name,
        "model": setting.model,
        "data": setting.data,
        "optimizer": setting.optimizer,
        "lr": setting.lr,
        "wd": setting.wd,
        "steps": setting.steps,
        "angle": found.angle,
        "angle_degrees": _degrees(found.angle),
        "half_life": times.half_life,
        "settled": times.settled,
        "times_settled": setting.steps / times.settled if known else None,  # type: ignore[operator]
        "source": setting.source,
    }


def _own(setting: "PublishedSetting") -> dict[str, Any]:
    return {name: getattr(setting, name) for name in ("momentum", "nesterov", "betas")}


def _origin(setting: "PublishedSetting | None") -> dict[str, str] | None:
    if setting is None:
        return None
    return {name: getattr(setting, name) for name in ("name", "model", "data", "source")}


def _degrees(angle: Any) -> float | None:
    return None if angle is None else float(np.rad2deg(angle))


def _meaning(recipe: Recipe, found: "Equilibrium", product: "Invariant") -> str:
    """What λ does to a normalised weight under this optimiser."""
    value = typed(float(product.value(lr=recipe.lr, wd=recipe.wd)))
    turn = f"it turns {typed(_degrees(found.angle))}° a step at equilibrium"
    if product.lr_power == 1:
        first = f"with {product} = {value} {turn}, whatever the size of its gradients"
    else:
        divided = f"through {product}, as the scale of the gradient is divided out of the penalty"
        if found.angle is None:
            first = f"{divided}; eight times {product} turns it twice as far"
        else:
            first = f"{divided}: with {value} {turn}, for gradients and a block of this size"
    sentences = [
        f"λ sets how far the weight turns per step: {first}."
        if product.lr_power == 1
        else f"λ sets how far the weight turns per step, {first}.",
        "η/λ sets its radius, which the network does not see: λ regularises nothing as long as a "
        "normalisation follows the weight.",
    ]
    if found.regime == "erratic":
        sentences.append(
            f"Here a step is as long as the weight, which forgets its direction at once: {product} "
            "is too large to train with."
        )
    return " ".join(sentences)


def _more_notes(recipe: Recipe, run: Run | None) -> list[str]:
    notes = []
    if recipe.published is not None and recipe.steps is not None:
        fall = {
            "step": "divides by 10 at a third and at two thirds of the run",
            "cosine": f"falls to {typed(recipe.final)}",
            "linear": f"falls to {typed(recipe.final)}",
        }.get(recipe.schedule)
        if fall is not None:
            warmup = f"after {recipe.warmup:,} steps of" if recipe.warmup else "with no"
            notes.append(
                f"The {recipe.schedule} schedule {fall} here, {warmup} warm-up; the recipe's own "
                "may differ in this."
            )
    if recipe.steps is not None and run is None:
        missing = "`shape`" if recipe.optimizer == "muon" else "`dim` and `grad_norm_sq`"
        notes.append(f"The run is not followed: that needs {missing}.")
    return notes


def _warnings(recipe: Recipe, settled: Any) -> list[str]:
    if recipe.steps is None or settled is None or recipe.steps >= settled:
        return []
    share = 100 * recipe.steps / settled
    return [
        f"Training ends before equilibrium: settling takes {math.ceil(settled):,} steps at the "
        f"peak learning rate, and the run has {recipe.steps:,} ({typed(share, 2)} %), "
        f"{math.ceil(settled) - recipe.steps:,} too few."
    ]
