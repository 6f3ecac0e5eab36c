"""What `etaeff predict` was asked for: an optimiser, its arguments, and the length of the run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from etaeff.errors import UsageError

if TYPE_CHECKING:
    from etaeff.theory import PublishedSetting

MOST_STEPS: Final = 10_000_000  # ten seconds
# What `theory` takes by the same name.
_OWN: Final = ("momentum", "dampening", "nesterov", "betas", "alpha", "adjust_lr_fn")
_ARGUMENTS: Final = (*_OWN, "decay", "dim", "grad_norm_sq", "shape")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a weight is trained.

    Attributes:
        optimizer: As in `theory.equilibrium`.
        lr: Peak learning rate.
        wd: Weight decay.
        arguments: The others of `theory.equilibrium` that were given.
        steps: Length of the run; `None` if it is not to be followed.
        schedule: As in `theory.lr_schedule`.
        warmup: Steps of warm-up.
        final: What cosine and linear come down to.
        radius: ‖w‖ at the start; `None` for that of the equilibrium.
        batch: Examples per step.
        data: Examples of an epoch.
        published: Where it is from, if it was published.
    """

    optimizer: str
    lr: float
    wd: float
    arguments: Mapping[str, Any] = field(default_factory=dict)
    steps: int | None = None
    schedule: str = "constant"
    warmup: int = 0
    final: float = 0.0
    radius: float | None = None
    batch: float | None = None
    data: float | None = None
    published: "PublishedSetting | None" = None

    @property
    def decay(self) -> str:
        """`"l2"` or `"decoupled"`."""
        from etaeff.theory import usual_decay

        return str(self.arguments.get("decay") or usual_decay(self.optimizer))


def recipe(typed: Mapping[str, Any]) -> Recipe:
    """The recipe that these options make, by name; `None` is what was not typed.

    Raises:
        UsageError: If what is needed is missing, or an option goes with another that is.
    """
    given = {name: value for name, value in typed.items() if value is not None}
    name = given.pop("published", None)
    setting = None
    if name is not None:
        from etaeff.theory import published_setting

        setting = published_setting(name)
        given = {**_published(setting, given), **given}
    for needed in ("optimizer", "lr", "wd"):
        if needed not in given:
            raise UsageError(
                f"`--{needed}` is needed, unless `--published` names a recipe that has it."
            )
    if "betas" in given:
        given["betas"] = _pair("betas", given["betas"], float, "two numbers", "0.9,0.95")
    if "shape" in given:
        given["shape"] = _pair("shape", given["shape"], int, "two whole numbers", "768,3072")
    _check_run(given)
    arguments: dict[str, Any] = {
        argument: given.pop(argument) for argument in _ARGUMENTS if argument in given
    }
    return Recipe(arguments=arguments, published=setting, **given)


def _published(setting: "PublishedSetting", typed: Mapping[str, Any]) -> dict[str, Any]:
    """What a published setting says, as far as it goes with what was typed."""
    values = {
        name: getattr(setting, name)
        for name in ("optimizer", "lr", "wd", "momentum", "nesterov", "betas", "steps", "schedule")
    }
    if setting.optimizer == "muon":
        values["adjust_lr_fn"] = "match_rms_adamw"  # as `PublishedSetting.lr` says
    if setting.examples is not None or "data" in typed:
        values |= {"batch": setting.batch, "data": setting.examples}
    if typed.get("optimizer", setting.optimizer) != setting.optimizer:
        values = {name: value for name, value in values.items() if name not in _OWN}
    return {name: value for name, value in values.items() if value is not None}


def _pair(
    name: str, value: Any, kind: Callable[[str], Any], what: str, example: str
) -> tuple[Any, ...]:
    """The two numbers of a text with a comma between them."""
    if isinstance(value, tuple):  # of a published setting
        return value
    parts = str(value).split(",")
    try:
        first, second = (kind(part) for part in parts)
    except ValueError:
        raise UsageError(
            f"`--{name}` must be {what} with a comma between them, such as {example}; "
            f"got {value!r}."
        ) from None
    return first, second


def _check_run(given: Mapping[str, Any]) -> None:
    """Refuse what only a run has where there is none."""
    schedule, steps = given.get("schedule", "constant"), given.get("steps")
    if steps is not None and steps > MOST_STEPS:
        raise UsageError(
            f"`--steps` must be at most {MOST_STEPS:,}, got {steps:,}: a run is followed step by "
            "step."
        )
    if steps is None:
        if schedule != "constant":
            raise UsageError(f"`--schedule {schedule}` needs `--steps`, the length of the run.")
        for name, what in (
            ("warmup", "the warm-up is part of a run"),
            ("radius", "it is where a run starts"),
        ):
            if name in given:
                raise UsageError(f"`--{name}` needs `--steps`: {what}.")
    if "final" in given and schedule not in ("cosine", "linear"):
        raise UsageError(
            f"`--final` is what cosine and linear schedules come down to; this one is {schedule}."
        )
