"""From the options of `etaeff predict` to the arguments of `theory.forecast`."""

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from etaeff.cli._pairs import pair
from etaeff.errors import UsageError

if TYPE_CHECKING:
    from etaeff.theory import PublishedSetting, Setting

MOST_STEPS: Final = 10_000_000  # ten seconds
_OF_A_RUN: Final = {
    "warmup": "the warm-up is part of a run",
    "radius": "it is where a run starts",
}


def recipe(options: Mapping[str, Any]) -> tuple["Setting", dict[str, Any]]:
    """The setting that the options make, and the other arguments of `theory.forecast`.

    Args:
        options: What was typed, by name; `None` where it was not. It overrides `published`.

    Raises:
        UsageError: If what is needed is missing, or an option goes with another that is.
    """
    from etaeff.theory import Setting, published_setting

    typed = {name: value for name, value in options.items() if value is not None}
    values, published = typed, None
    if "published" in typed:
        published = published_setting(typed.pop("published"))
        values = _of_published(published, typed) | typed
    for needed in ("optimizer", "lr", "wd"):
        if needed not in values:
            raise UsageError(
                f"`--{needed}` is needed, unless `--published` names a recipe that has it."
            )
    values |= {name: pair(name, typed[name]) for name in ("betas", "shape") if name in typed}
    _check_run(values)
    names = [field.name for field in fields(Setting)]
    setting = Setting(**{name: values.pop(name) for name in names if name in values})
    return setting, {**values, "published": published}


def _of_published(published: "PublishedSetting", typed: Mapping[str, Any]) -> dict[str, Any]:
    """What a published setting says, as far as it goes with what was typed."""
    setting = published.setting
    values = {"optimizer": setting.optimizer, **setting.arguments()}
    if typed.get("optimizer", setting.optimizer) != setting.optimizer:
        values = {"lr": setting.lr, "wd": setting.wd}
    run = {"steps": published.steps, "schedule": published.schedule}
    if published.examples is not None or "data" in typed:
        run |= {"batch": published.batch, "data": published.examples}
    return values | {name: value for name, value in run.items() if value is not None}


def _check_run(values: Mapping[str, Any]) -> None:
    """Refuse a run that is too long, and what only a run has where there is none."""
    schedule, steps = values.get("schedule", "constant"), values.get("steps")
    if steps is not None and steps > MOST_STEPS:
        raise UsageError(
            f"`--steps` must be at most {MOST_STEPS:,}, got {steps:,}: a run is followed step by "
            "step."
        )
    if steps is None:
        if schedule != "constant":
            raise UsageError(f"`--schedule {schedule}` needs `--steps`, the length of the run.")
        for name, what in _OF_A_RUN.items():
            if name in values:
                raise UsageError(f"`--{name}` needs `--steps`: {what}.")
    if "final" in values and schedule not in ("cosine", "linear"):
        raise UsageError(
            f"`--final` is what cosine and linear schedules come down to; this one is {schedule}."
        )
