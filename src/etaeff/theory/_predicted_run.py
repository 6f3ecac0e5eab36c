"""A setting followed through a schedule, and how close the run keeps to equilibrium."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from etaeff._checks.numbers import FloatArray
from etaeff._words import typed
from etaeff.theory._equilibrium import Equilibrium, equilibrium
from etaeff.theory._schedules import lr_schedule
from etaeff.theory._trajectory import Trajectory, trajectory
from etaeff.theory.settings import Setting

NEAR: Final = 0.1  # relative; this close to the angle of equilibrium counts as equilibrium
_NEAR_TEXT: Final = f"{100 * NEAR:.0f} %"
_SAMPLES: Final = 1000  # steps of a run at which closeness is judged
_ARRAYS: Final = ("lr", "path", "block")
_QUARTERS: Final = {"25 %": 0.25, "50 %": 0.5, "75 %": 0.75}


@dataclass(frozen=True, kw_only=True)
class Waypoint:
    """One step of a predicted run.

    Attributes:
        at: Its name: `"start"`, `"warm-up ends"`, `"25 %"`, `"50 %"`, `"75 %"` or `"end"`.
        step: Its number, from 0.
        lr: η of the step.
        radius: ‖w‖ before it; where the run is relative, over that of the equilibrium.
        angle: Turn in radians.
        angle_degrees: The same in degrees.
        effective_lr: η/‖w‖² or η/‖w‖; where the run is relative, over that of the equilibrium.
        angle_over_equilibrium: The turn over that of the equilibrium at the η of the step.
    """

    at: str
    step: int
    lr: float
    radius: float
    angle: float
    angle_degrees: float
    effective_lr: float
    angle_over_equilibrium: float


@dataclass(frozen=True, kw_only=True)
class PredictedRun:
    """A schedule, and the weight that is followed through it.

    All from `start` on is `None` if the run cannot be followed, because what sets its scale is
    missing.

    Attributes:
        steps: Length of the run.
        schedule: As in `lr_schedule`.
        warmup: Steps of warm-up.
        final: What cosine and linear come down to.
        start: `"given"`, or `"equilibrium"` for the radius of the equilibrium at the peak η.
        relative: Whether a stand-in took the place of a missing `dim` or `grad_norm_sq`, which
            sets only the scale: angles are right then, and radius and effective learning rate
            mean something only as shares of their equilibrium.
        points: Some of the steps.
        at_end: Whether the last step turns as far as the equilibrium of its η, within a tenth.
        last_near: The last step that does; `None` if none does.
        summary: The two before as a sentence.
        lr: η of each step, shape (`steps`,).
        path: Radius, turn and effective learning rate of each step.
        block: `dim`, `grad_norm_sq` and `shape` as the run has them, stand-ins too.
    """

    steps: int
    schedule: str
    warmup: int
    final: float
    start: str | None = None
    relative: bool | None = None
    points: tuple[Waypoint, ...] | None = None
    at_end: bool | None = None
    last_near: int | None = None
    summary: str | None = None
    lr: FloatArray
    path: Trajectory | None = None
    block: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """All but `lr`, `path` and `block`: plain values by name, of the points too."""
        names = [field.name for field in fields(self) if field.name not in _ARRAYS]
        values = {name: getattr(self, name) for name in names}
        if self.points is not None:
            values["points"] = [asdict(point) for point in self.points]
        return values


def predicted_run(
    setting: Setting,
    block: Mapping[str, Any],
    *,
    steps: int,
    schedule: str,
    warmup: int,
    final: float,
    radius: float | None,
) -> PredictedRun:
    """The run of `setting`, from `radius` or from equilibrium.

    Args:
        setting: Its `lr` is the peak of the schedule.
        block: `dim`, `grad_norm_sq` and `shape`, those that are known.
        steps: Length of the run.
        schedule: As in `lr_schedule`, as are the next two.
        warmup: Steps of warm-up.
        final: What cosine and linear come down to.
        radius: ‖w‖ at the start. No stand-in sets its scale: what the run needs must be in
            `block` then.
    """
    lr = lr_schedule(schedule, lr=setting.lr, steps=steps, warmup=warmup, final=final)
    planned = PredictedRun(steps=steps, schedule=schedule, warmup=warmup, final=final, lr=lr)
    scaled = _scaled(setting, block, radius)
    if scaled is None:
        return planned
    block, start, unit = scaled
    path = trajectory(setting, lr=lr, radius=start, **block)
    named = _named_steps(len(lr), warmup)
    index = np.array(list(named.values()))
    ratio = _over_equilibrium(setting, block, lr, path, index)
    samples = np.unique(np.linspace(0, len(lr) - 1, _SAMPLES).round().astype(int))
    sampled = _over_equilibrium(setting, block, lr, path, samples)
    near = samples[np.abs(sampled - 1) <= NEAR]
    last_near = int(near[-1]) if len(near) else None
    return replace(
        planned,
        start="equilibrium" if radius is None else "given",
        relative=unit is not None,
        points=_waypoints(named, lr, path, ratio, unit),
        at_end=last_near == len(lr) - 1,
        last_near=last_near,
        summary=_summary(float(sampled[-1]), last_near, len(lr)),
        path=path,
        block=block,
    )


def _scaled(
    setting: Setting, block: Mapping[str, Any], radius: float | None
) -> tuple[Mapping[str, Any], float, Equilibrium | None] | None:
    """Sizes that set a scale, the radius at the start, and the unit if a stand-in set the scale.

    A missing `dim` or `grad_norm_sq` has a stand-in where the run starts at equilibrium and its
    angles do not depend on it. `None` if there is none.
    """
    level = equilibrium(setting, **block)
    if radius is not None:
        return block, radius, None
    if level.radius is not None:
        return block, float(level.radius), None
    if level.angle is None:  # Adam with L2, whose angles depend on the sizes too
        return None
    block = {"dim": 1.0, "grad_norm_sq": 1.0, **block}
    level = equilibrium(setting, **block)
    # Muon's radius needs its shape, for which nothing stands in.
    return None if level.radius is None else (block, float(level.radius), level)


def _named_steps(steps: int, warmup: int) -> dict[str, int]:
    """Steps worth a line, by name and in order; a step that has two names has the first."""
    named = {"start": 0}
    if warmup:
        named["warm-up ends"] = warmup
    named |= {name: int(share * steps) for name, share in _QUARTERS.items()} | {"end": steps - 1}
    first: dict[int, str] = {}
    for name, step in named.items():
        first.setdefault(step, name)
    return {first[step]: step for step in sorted(first)}


def _over_equilibrium(
    setting: Setting,
    block: Mapping[str, Any],
    lr: FloatArray,
    path: Trajectory,
    index: NDArray[np.int64],
) -> FloatArray:
    """Angles of these steps over those of the equilibrium at the learning rate of each."""
    settled = equilibrium(setting.optimizer, **{**setting.arguments(), **block, "lr": lr[index]})
    assert settled.angle is not None
    return np.asarray(path.angle[index] / settled.angle)


def _waypoints(
    named: Mapping[str, int],
    lr: FloatArray,
    path: Trajectory,
    ratio: FloatArray,
    unit: Equilibrium | None,
) -> tuple[Waypoint, ...]:
    """The named steps; radius and effective learning rate as shares of `unit` if there is one."""
    radius, rate = path.radius, path.effective_lr
    if unit is not None:
        radius, rate = radius / unit.radius, rate / unit.effective_lr  # type: ignore[operator]
    return tuple(
        Waypoint(
            at=name,
            step=step,
            lr=float(lr[step]),
            radius=float(radius[step]),
            angle=float(path.angle[step]),
            angle_degrees=float(np.rad2deg(path.angle[step])),
            effective_lr=float(rate[step]),
            angle_over_equilibrium=float(ratio[i]),
        )
        for i, (name, step) in enumerate(named.items())
    )


def _summary(ratio: float, last_near: int | None, steps: int) -> str:
    """Whether the run ends at equilibrium, and when it was there last."""
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
