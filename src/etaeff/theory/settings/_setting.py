"""An optimiser with its numbers, as it is typed on a command line."""

from dataclasses import dataclass, fields
from typing import Any

from etaeff.errors import UnknownNameError, UsageError
from etaeff.theory.settings._arguments import read, written


@dataclass(frozen=True, kw_only=True)
class Setting:
    """An optimiser's hyperparameters; `None` stands for torch's default.

    Attributes:
        optimizer: As in `etaeff.equilibrium`.
        lr: Learning rate η, per step.
        wd: Weight decay λ, PyTorch's convention.
        momentum: μ of SGD, RMSProp, Muon and normalised gradients.
        dampening: Of SGD.
        nesterov: Of SGD and Muon.
        betas: Of Adam, AdamW, NAdam and Lion.
        alpha: Of RMSProp.
        decay: `"l2"` or `"decoupled"`.
        adjust_lr_fn: Of Muon.
        momentum_decay: ψ of NAdam.

    Examples:
        >>> Setting.parse("sgd lr=0.1 wd=5e-4 momentum=0.9").momentum
        0.9
        >>> str(Setting(optimizer="adamw", lr=1e-3, wd=0.1, betas=(0.9, 0.95)))
        'adamw lr=0.001 wd=0.1 betas=0.9,0.95'
    """

    optimizer: str
    lr: float
    wd: float
    momentum: float | None = None
    dampening: float | None = None
    nesterov: bool | None = None
    betas: tuple[float, float] | None = None
    alpha: float | None = None
    decay: str | None = None
    adjust_lr_fn: str | None = None
    momentum_decay: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Setting":
        """Read `optimizer name=value …`, the form that `str` writes.

        Args:
            text: Such as `sgd lr=0.1 wd=5e-4 momentum=0.9 nesterov=true` or
                `adamw lr=3e-4 wd=0.1 betas=0.9,0.95`. `weight_decay` is the same as `wd`.

        Raises:
            UsageError: If a part is not of this form, twice there, or `lr` or `wd` is missing.
        """
        words = text.split()
        if not words or "=" in words[0]:
            raise UsageError(
                f"A setting begins with the optimizer, as in 'sgd lr=0.1 wd=5e-4'; got {text!r}."
            )
        known = [field.name for field in fields(cls)[1:]]
        values: dict[str, Any] = {}
        for word in words[1:]:
            name, equals, value = word.partition("=")
            name = {"weight_decay": "wd"}.get(name, name)
            if not equals or not value:
                raise UsageError(f"A part of a setting reads name=value; got {word!r}.")
            if name not in known:
                raise UnknownNameError("part of a setting", name, known)
            if name in values:
                raise UsageError(f"`{name}` stands twice in the setting {text!r}.")
            values[name] = read(name, value)
        missing = [name for name in ("lr", "wd") if name not in values]
        if missing:
            raise UsageError(f"The setting {text!r} says no {' and no '.join(missing)}.")
        return cls(optimizer=words[0], **values)

    def arguments(self) -> dict[str, Any]:
        """What is given, less the optimiser's name: keyword arguments of `etaeff.equilibrium`."""
        given = {field.name: getattr(self, field.name) for field in fields(self)[1:]}
        return {name: value for name, value in given.items() if value is not None}

    def __str__(self) -> str:
        """The setting on one line, as `parse` reads it."""
        parts = [f"{name}={written(value)}" for name, value in self.arguments().items()]
        return " ".join([self.optimizer, *parts])
