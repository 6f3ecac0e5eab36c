"""The specification of one training run of a study."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, Final, get_type_hints

from etaeff.errors import UsageError
from etaeff.records._arm import Arm
from etaeff.records._plain import check_known, given_values, make_plain
from etaeff.records._task import Task
from etaeff.records._variants import setting_of, variant
from etaeff.theory.settings import Setting, canonical, optimizer_of

_PARTS: Final = {"task": Task, "setting": Setting, "arm": Arm}


@dataclass(frozen=True, kw_only=True)
class Trial:
    r"""One training run. A trial is a pure function of this specification and its data.

    Attributes:
        task: What is learnt, by what network, and for how long.
        setting: The optimiser with its numbers. Its learning rate $\eta$ is that of the
            normalised weights, per step; its weight decay $\lambda$ is PyTorch's.
        arm: What else is done: normalisation, sphere, what decay acts on, labels, schedule.
            Without decay what it would act on is set to the defaults.
        seed: Fixes initial weights, order of the examples and random labels.

    Examples:
        >>> task = Task(data="digits", train_size=600, steps=10)
        >>> trial = Trial(task=task, setting=Setting.parse("sgd lr=0.1 wd=0 momentum=0.9"))
        >>> trial == Trial.of(
        ...     data="digits", train_size=600, steps=10, optimizer="heavy-ball", lr=0.1
        ... )
        True
    """

    task: Task
    setting: Setting
    arm: Arm = field(default_factory=Arm)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind in _PARTS.items():
            if not isinstance(getattr(self, name), kind):
                raise UsageError(
                    f"`{name}` must be a `{kind.__name__}`, got {getattr(self, name)!r}."
                )
        make_plain(self)
        object.__setattr__(self, "setting", canonical(self.setting))
        if self.setting.wd == 0:
            object.__setattr__(self, "arm", self.arm.undecayed)

    @classmethod
    def of(cls, **values: Any) -> "Trial":
        """A trial from the names that rows of results have.

        Args:
            **values: Fields of `Task` and `Arm`, `seed`, and `optimizer` (a name as `variant`
                gives it, `"sgd"` if it is left out), `lr`, `wd` and other fields of `Setting`.

        Raises:
            UnknownNameError: If no part of a trial has such a field.
            UsageError: If a value is refused; the message names the field.
        """
        named = {
            name: [declared.name for declared in fields(part)] for name, part in _PARTS.items()
        }
        check_known("a trial", values, [*named["task"], *named["setting"], *named["arm"], "seed"])
        parts = {
            part: {name: values[name] for name in names if name in values}
            for part, names in named.items()
        }
        return cls(
            task=Task(**parts["task"]),
            setting=setting_of(parts["setting"].pop("optimizer", "sgd"), **parts["setting"]),
            arm=Arm(**parts["arm"]),
            seed=values.get("seed", 0),
        )

    @property
    def values(self) -> dict[str, Any]:
        """The specification in one row, with the names of `TRIAL_COLUMNS`: `of` takes them."""
        return {
            **asdict(self.task),
            "optimizer": variant(self.setting),
            "lr": self.setting.lr,
            "wd": self.setting.wd,
            **asdict(self.arm),
            "seed": self.seed,
        }

    @cached_property
    def id(self) -> str:
        """Sixteen hexadecimal digits: the hash of the specification.

        What stands at its default is left out, so that a field that is added later changes no id.
        """
        whole = {name: given_values(getattr(self, name)) for name in _PARTS}
        text = json.dumps({**whole, "seed": self.seed}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def momentum(self) -> float:
        """μ of the optimiser, 0 if it has none."""
        stated = {**optimizer_of(self.setting.optimizer).defaults, **self.setting.arguments()}
        momentum: float = stated.get("momentum", 0.0)
        return momentum

    def to_dict(self) -> dict[str, Any]:
        """The specification as JSON values, a dict for each part."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Trial":
        """The trial that `to_dict` wrote; fields that a newer version may write are refused."""
        check_known("a trial", values, [declared.name for declared in fields(cls)])
        parts = {}
        for name, part in _PARTS.items():
            check_known(f"a trial's {name}", values.get(name, {}), [f.name for f in fields(part)])
            parts[name] = part(**values.get(name, {}))
        return cls(**parts, seed=values.get("seed", 0))


def _columns() -> dict[str, Any]:
    """The name and the type of every value of `Trial.values`."""
    hints = {part: get_type_hints(part) for part in (Task, Arm)}
    return {**hints[Task], "optimizer": str, "lr": float, "wd": float, **hints[Arm], "seed": int}


TRIAL_COLUMNS: Final[Mapping[str, Any]] = _columns()
