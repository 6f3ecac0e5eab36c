"""What a forecast says in sentences: the meaning of λ, notes on the run, warnings."""

import math

import numpy as np

from etaeff._words import listed, typed
from etaeff.theory._equilibrium import Equilibrium
from etaeff.theory._invariant import Invariant
from etaeff.theory._predicted_run import PredictedRun
from etaeff.theory._timescale import Timescale
from etaeff.theory.settings import PublishedSetting, Setting, optimizer_of


def meaning(setting: Setting, settled: Equilibrium, product: Invariant) -> str:
    """What λ does to a normalised weight under this optimiser."""
    value = typed(float(product.value(lr=setting.lr, wd=setting.wd)))
    degrees = typed(None if settled.angle is None else float(np.rad2deg(settled.angle)))
    turn = f"it turns {degrees}° a step at equilibrium"
    if product.lr_power == 1:
        first = f": with {product} = {value} {turn}, whatever the size of its gradients"
    else:
        first = f", through {product}, as the scale of the gradient is divided out of the penalty"
        if settled.angle is None:
            first += f"; eight times {product} turns it twice as far"
        else:
            first += f": with {value} {turn}, for gradients and a block of this size"
    sentences = [
        f"λ sets how far the weight turns per step{first}.",
        "η/λ sets its radius, which the network does not see: λ regularises nothing as long as a "
        "normalisation follows the weight.",
    ]
    if settled.regime == "erratic":
        sentences.append(
            f"Here a step is as long as the weight, which forgets its direction at once: {product} "
            "is too large to train with."
        )
    return " ".join(sentences)


def run_notes(
    setting: Setting, run: PredictedRun | None, published: PublishedSetting | None
) -> list[str]:
    """Sentences on how the run may differ from the published one, and on why it is not followed."""
    if run is None:
        return []
    notes = []
    fall = {
        "step": "divides by 10 at a third and at two thirds of the run",
        "cosine": f"falls to {typed(run.final)}",
        "linear": f"falls to {typed(run.final)}",
    }.get(run.schedule)
    if published is not None and fall is not None:
        warmup = f"after {run.warmup:,} steps of" if run.warmup else "with no"
        notes.append(
            f"The {run.schedule} schedule {fall} here, {warmup} warm-up; the recipe's own "
            "may differ in this."
        )
    if run.path is None:
        row = optimizer_of(setting.optimizer)
        needs = listed(f"`{name}`" for name in row.laws[setting.decay or row.usual_decay].needs)
        notes.append(f"The run is not followed: that needs {needs}.")
    return notes


def run_warnings(run: PredictedRun | None, times: Timescale) -> tuple[str, ...]:
    """A sentence if the run ends before a weight has settled."""
    if run is None or times.settled is None or run.steps >= times.settled:
        return ()
    settled = math.ceil(times.settled)
    share = typed(100 * run.steps / float(times.settled), 2)
    return (
        f"Training ends before equilibrium: settling takes {settled:,} steps at the "
        f"peak learning rate, and the run has {run.steps:,} ({share} %), "
        f"{settled - run.steps:,} too few.",
    )
