"""A recipe followed step by step, and what is said of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from etaeff._words import typed
from etaeff.cli._recipe import Recipe
from etaeff.theory import equilibrium, lr_schedule, trajectory

if TYPE_CHECKING:
    from etaeff.theory import Equilibrium, Trajectory

NEAR: Final = 0.1  # relative; this close to the angle of equilibrium counts as equilibrium
_NEAR_TEXT: Final = f"{100 * NEAR:.0f} %"
_LOOKS: Final = 1000  # steps of a run at which that is asked
_QUARTERS: Final = {"25 %": 0.25, "50 %": 0.5, "75 %": 0.75}


@dataclass(frozen=True)
class Run:
    """A recipe followed step by step.

    Attributes:
        lr: Of each step.
        path: What is predicted.
        arguments: Of `theory.equilibrium`, with a stand-in for what only sets a scale.
        level: Equilibrium at the peak learning rate with these arguments.
        relative: Whether there is such a stand-in: then radius and effective learning rate mean
            something only as shares of `level`.
    """

    lr: NDArray[np.float64]
    path: "Trajectory"
    arguments: dict[str, Any]
    level: "Equilibrium"
    relative: bool


def follow(recipe: Recipe) -> Run | None:
    """The run of `recipe`, which starts at its radius or at equilibrium; `None` if it has none.

    The size of a block or of its gradients may be missing where it sets no more than the scale of
    the radius: the angles are the same for all. A radius to start from is no help then.
    """
    if recipe.steps is None:
        return None
    lr = lr_schedule(
        recipe.schedule, lr=recipe.lr, steps=recipe.steps, warmup=recipe.warmup, final=recipe.final
    )
    found = equilibrium(recipe.optimizer, lr=recipe.lr, wd=recipe.wd, **recipe.arguments)
    arguments, relative = dict(recipe.arguments), False
    if recipe.radius is None and found.radius is None:
        if found.angle is None:  # Adam with L2, whose angles depend on the sizes too
            return None
        arguments, relative = {"dim": 1.0, "grad_norm_sq": 1.0, **arguments}, True
        found = equilibrium(recipe.optimizer, lr=recipe.lr, wd=recipe.wd, **arguments)
        if found.radius is None:  # Muon without its shape
            return None
    start = found.radius if recipe.radius is None else recipe.radius
    assert start is not None
    path = trajectory(recipe.optimizer, lr=lr, wd=recipe.wd, radius=start, **arguments)
    return Run(lr, path, arguments, found, relative)


def described(recipe: Recipe, run: Run | None) -> dict[str, Any]:
    """The run: its schedule, some of its steps, and whether it ends at equilibrium.

    The keys are those of `run` in `etaeff predict --json`.
    """
    shape = {
        "steps": recipe.steps,
        "schedule": recipe.schedule,
        "warmup": recipe.warmup,
        "final": recipe.final,
    }
    if run is None:
        return {**shape, "start": None, "relative": None, "points": None, "at_end": None,
                "last_near": None, "summary": None}  # fmt: skip
    places = _places(len(run.lr), recipe.warmup)
    looks = np.unique(np.linspace(0, len(run.lr) - 1, _LOOKS).round().astype(int))
    ratio = _over_equilibrium(recipe, run, looks)
    near = looks[np.abs(ratio - 1) <= NEAR]
    last_near = int(near[-1]) if len(near) else None
    points = _points(recipe, run, places)
    return {
        **shape,
        "start": "equilibrium" if recipe.radius is None else "given",
        "relative": run.relative,
        "points": points,
        "at_end": last_near == len(run.lr) - 1,
        "last_near": last_near,
        "summary": _summary(float(ratio[-1]), last_near, len(run.lr)),
    }


def _places(steps: int, warmup: int) -> list[tuple[str, int]]:
    """Names of steps worth a line, in order; a step that has two names has the first."""
    named = {"start": 0}
    if warmup:
        named["warm-up ends"] = warmup
    named |= {name: int(share * steps) for name, share in _QUARTERS.items()} | {"end": steps - 1}
    first: dict[int, str] = {}
    for name, step in named.items():
        first.setdefault(step, name)
    return [(first[step], step) for step in sorted(first)]


def _points(recipe: Recipe, run: Run, places: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    index = np.array([step for _, step in places])
    radius, rate = run.path.radius[index], run.path.effective_lr[index]
    if run.relative:
        radius, rate = radius / run.level.radius, rate / run.level.effective_lr
    angle, ratio = run.path.angle[index], _over_equilibrium(recipe, run, index)
    return [
        {
            "at": name,
            "step": step,
            "lr": run.lr[step],
            "radius": radius[i],
            "angle": angle[i],
            "angle_degrees": float(np.rad2deg(angle[i])),
            "effective_lr": rate[i],
            "angle_over_equilibrium": ratio[i],
        }
        for i, (name, step) in enumerate(places)
    ]


def _over_equilibrium(recipe: Recipe, run: Run, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Angles of these steps over those of the equilibrium at the learning rate of each."""
    level = equilibrium(recipe.optimizer, lr=run.lr[index], wd=recipe.wd, **run.arguments)
    assert level.angle is not None
    return np.asarray(run.path.angle[index] / level.angle)


def _summary(ratio: float, last_near: int | None, steps: int) -> str:
    times = f"{ratio:.2f}" if ratio >= NEAR else typed(ratio, 2)
    turn = f"its last step turns {times} times as far as"
    if last_near == steps - 1:
        return f"The run ends at equilibrium: {turn} the equilibrium of the last learning rate."
    when = f"never within {_NEAR_TEXT} of it"
    if last_near is not None:
        share = typed(100 * last_near / steps, 2)
        when = f"last within {_NEAR_TEXT} of it at about step {last_near:,} ({share} % of the run)"
    return (
        f"The run does not end at equilibrium: {turn} the equilibrium of the last learning rate. "
        f"It was {when}."
    )
