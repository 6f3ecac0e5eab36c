"""Settings of another optimiser that turn a normalised weight as much."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from etaeff._checks.numbers import one_positive
from etaeff.errors import UsageError
from etaeff.theory import Equilibrium, Setting, equilibrium, invariant, radius_power
from etaeff.theory.settings import optimizer_of

_BETA2S: Final = (0.999, 0.99, 0.95, 0.9)  # of which a slower one may keep the weight waiting
_MOST_MOMENTUM: Final = 0.9999
_AT_ONCE: Final = 1e-12  # stands for a half-life of no step at all, which has no logarithm
_CLOSE: Final = 1e-6  # relative: half-lives that count as one
_EXACT: Final = 1e-13  # relative: angles, and products
_ITERATIONS: Final = 100
_SMALLEST_STEP: Final = 1e-9
_FAINT: Final = 1e-30  # a product at which every optimiser has an equilibrium
_TOO_FAR: Final = "The target cannot turn as far as the source at any decay that is stable."
_LARGEST_LOG: Final = 700.0  # of what float64 holds


@dataclass(frozen=True)
class Match:
    """A setting of another optimiser, and how well it stands for the first.

    Attributes:
        setting: What to train with.
        source: Equilibrium of the setting that was given.
        target: Equilibrium of `setting`.
        notes: Sentences on what was chosen freely, and on what could not be matched.
    """

    setting: Setting
    source: Equilibrium
    target: Equilibrium
    notes: tuple[str, ...] = ()


def match(
    source: Setting,
    target: str,
    *,
    lr: float | None = None,
    dim: float | None = None,
    grad_norm_sq: float | None = None,
    shape: tuple[int, int] | None = None,
    match_time: bool = True,
    **arguments: Any,
) -> Match:
    r"""Settings of another optimiser with the same turn per step at equilibrium.

    The angle fixes the product of η and λ that the target feels (`etaeff.theory.invariant`). Its
    momentum, or β₁, is then chosen so that it also takes as long to get there: with
    $x = \theta^2 (1+\mu)/2$, SGD's half-life times θ² is $\tfrac{\ln 2}{2}\,\frac{1-\mu}{1+\mu}$,
    and AdamW's is $\ln 2\,\frac{1-\beta_1}{1+\beta_1}$ while its second moment keeps up (a
    smaller β₂ is taken if it would not), so each θ and half-life below the one without momentum
    has its momentum. What is then free is how the product is shared between η
    and λ: it decides where the radius settles, and how soon from the initial one. It is shared so
    that the radius settles where it did, if `dim` and `grad_norm_sq` say where that is; else `lr`
    is as given, or the usual one.

    Args:
        source: The setting to stand in for.
        target: Optimiser, as in `etaeff.equilibrium`.
        lr: η > 0 of the target.
        dim: C: for the radius, and for Adam and RMSProp with L2 needed in any case.
        grad_norm_sq: G: likewise.
        shape: (rows, columns) of the matrix, for Muon.
        match_time: Choose momentum or β₁ for the half-life; `False` keeps the target's default.
        **arguments: Others of the target that are to be kept, such as `momentum`, `betas`,
            `nesterov` or `decay`. Momentum and betas given here are not changed.

    Returns:
        The setting, both equilibria, and what could not be matched.

    Raises:
        UnknownNameError: If an optimiser is not known.
        UsageError: If an argument lies outside its range or is missing, or the target cannot
            turn as far at any decay.

    Examples:
        >>> found = match(Setting.parse("sgd lr=0.1 wd=5e-4 momentum=0.9"), "adamw", lr=1e-3)
        >>> round(found.setting.betas[0], 3), round(found.setting.wd, 3)
        (0.96, 1.288)
        >>> abs(found.target.angle / found.source.angle - 1) < 1e-8
        np.True_

    References:
        Kosson et al., "Rotational Equilibrium", 2024, for the angle as what optimisers share; the
        half-life's part is derived in `docs/theory.md`.
    """
    block: dict[str, Any] = {"dim": dim, "grad_norm_sq": grad_norm_sq}
    first = equilibrium(
        source.optimizer, **block, **_shape(source.optimizer, shape), **source.arguments()
    )
    angle, half_life = _turn(source.optimizer, first)
    beta2s = (
        *(source.betas[1:] if source.betas and optimizer_of(target).memory == "betas" else ()),
        *_BETA2S,
    )
    aim = Aim(target, block | _shape(target, shape), arguments, beta2s)
    notes: list[str] = []
    if match_time:
        arguments = arguments | aim.momentum(angle, half_life, notes)
        aim = replace(aim, arguments=arguments)
    product = aim.product(angle)
    unit = aim.equilibrium(product)
    rate = one_positive("lr", lr) if lr is not None else _lr(target, first, unit, notes)
    setting = _setting(target, rate, product, aim.lr_power, arguments)
    second = equilibrium(target, **aim.block, **setting.arguments())
    reached = _turn(target, second)[1]
    if abs(reached / half_life - 1) > _CLOSE:
        notes.append(
            f"The time to equilibrium is not matched: its half-life is {_steps(reached)} steps, "
            f"and the source's {_steps(half_life)}."
        )
    return Match(setting, first, second, tuple(notes))


@dataclass(frozen=True)
class Aim:
    """The optimiser to be set, as a function of the product of η and λ that it feels."""

    optimizer: str
    block: dict[str, Any]
    arguments: dict[str, Any]
    beta2s: tuple[float, ...]

    @property
    def lr_power(self) -> int:
        """The power of η in the product."""
        return invariant(self.optimizer, decay=self.arguments.get("decay")).lr_power

    def equilibrium(self, product: float, **momentum: Any) -> Equilibrium:
        """At η = 1, which leaves the whole product to λ."""
        given = self.block | self.arguments | momentum
        return equilibrium(self.optimizer, lr=1.0, wd=product, **given)

    def product(self, angle: float, **momentum: Any) -> float:
        """The product of η and λ with this angle at equilibrium."""

        def excess(log_product: float) -> float:
            rest = self.equilibrium(math.exp(log_product), **momentum)
            return math.log(_turn(self.optimizer, rest)[0] / angle)

        # Right but for factors of order 1, and below where decay alone shakes the weight.
        start = (1 + self.lr_power) * math.log(min(angle, 1.0))
        # Refuses arguments that are wrong at any product.
        _turn(self.optimizer, self.equilibrium(_FAINT, **momentum))
        try:
            return math.exp(_root(excess, *_bracket(excess, start)))
        except UsageError:
            raise UsageError(_TOO_FAR) from None

    def momentum(self, angle: float, half_life: float, notes: list[str]) -> dict[str, Any]:
        """The momentum, or betas, with which the half-life is the source's too."""
        name = optimizer_of(self.optimizer).memory
        if name is None or name in self.arguments:
            return {}
        if name != "betas":
            return self._momentum(lambda mu: {name: mu}, angle, half_life, notes) or {}
        for beta2 in self.beta2s:

            def with_betas(beta1: float, beta2: float = beta2) -> dict[str, Any]:
                return {"betas": (beta1, beta2)}

            betas = self._momentum(with_betas, angle, half_life, notes)
            if betas is not None:
                if beta2 != self.beta2s[0]:
                    notes.append(
                        f"beta2 is {beta2:g}: at {self.beta2s[0]:g} the second moment would lag "
                        "behind and keep the norm from settling in that time."
                    )
                return betas
        return {}

    def _momentum(
        self,
        named: Callable[[float], dict[str, Any]],
        angle: float,
        half_life: float,
        notes: list[str],
    ) -> dict[str, Any] | None:
        """The same with all but one number held; `None` if it is too slow at any momentum."""

        def excess(lag: float) -> float:
            momentum = named(math.tanh(lag / 2))  # lag = ln (1 + μ)/(1 − μ)
            rest = self.equilibrium(self.product(angle, **momentum), **momentum)
            return math.log(half_life / _turn(self.optimizer, rest)[1])

        if excess(0.0) >= 0:
            notes.append(
                f"`{self.optimizer}` is at its equilibrium sooner at this angle even without "
                "momentum, so it has none here."
            )
            return named(0.0)
        # Past some momentum the buffer itself is what is slow; the first crossing comes before.
        for lag in np.arange(1, 2 * math.atanh(_MOST_MOMENTUM)).tolist():
            try:
                if excess(lag) > 0:
                    return named(math.tanh(_root(excess, lag - 1, lag) / 2))
            except UsageError:  # with this momentum it cannot turn as far
                return None
        return None


def _turn(optimizer: str, rest: Equilibrium) -> tuple[float, float]:
    """Angle and half-life, if they are known."""
    if rest.angle is None or rest.half_life is None:
        raise UsageError(f"The turn of `{optimizer}` is not known. {rest.notes[0]}")
    return float(rest.angle), max(float(rest.half_life), _AT_ONCE)


def _steps(half_life: float) -> str:
    """A half-life as a number in a sentence."""
    return "0" if half_life <= _AT_ONCE else f"{half_life:.4g}"


def _shape(optimizer: str, shape: tuple[int, int] | None) -> dict[str, Any]:
    """The shape of the matrix, for an optimiser that has a use for it."""
    takes_it = "shape" in optimizer_of(optimizer).defaults
    return {"shape": shape} if takes_it and shape is not None else {}


def _setting(
    optimizer: str, lr: float, product: float, lr_power: int, arguments: dict[str, Any]
) -> Setting:
    """The setting with this product, all of which that is not η is λ."""
    log_wd = math.log(product) - lr_power * math.log(lr)
    if not abs(log_wd) < _LARGEST_LOG:
        raise UsageError(f"With lr {lr:g} the `wd` would be e**{log_wd:.0f}, out of float64.")
    return Setting(optimizer=optimizer, lr=lr, wd=math.exp(log_wd), **arguments)


def _lr(target: str, source: Equilibrium, unit: Equilibrium, notes: list[str]) -> float:
    """The rate that puts the radius where the source has it, or else the usual one."""
    if source.radius is None or unit.radius is None:
        usual = optimizer_of(target).usual_lr
        notes.append(
            f"Any lr will do with wd in inverse proportion; lr={usual:g} is usual. Give `lr`, or "
            "what both radii need, to choose it."
        )
        return usual
    notes.append(f"lr is such that the norm settles at {float(source.radius):.4g}, as it did.")
    # At a fixed product the radius goes with √η under SGD, and with η else.
    return float((source.radius / unit.radius) ** radius_power(target))


def _bracket(excess: Callable[[float], float], start: float) -> tuple[float, float]:
    """Points below and above the root of an increasing function that may refuse large ones."""
    low = start
    while _is_high(excess, low):
        low -= 2
        if low < -_LARGEST_LOG:
            raise UsageError(_TOO_FAR)
    high, step = low, 2.0
    while step > _SMALLEST_STEP:
        try:
            above = excess(high + step)
        except UsageError:
            step /= 2
            continue
        high += step
        if above > 0:
            return low, high
    raise UsageError(_TOO_FAR)


def _is_high(excess: Callable[[float], float], at: float) -> bool:
    """Whether the root of an increasing function lies at or below a point."""
    try:
        return excess(at) >= 0
    except UsageError:  # no equilibrium: the decay is too strong
        return True


def _root(excess: Callable[[float], float], low: float, high: float) -> float:
    """Root of an increasing function between two points, by regula falsi (Illinois)."""
    below, above = excess(low), excess(high)
    side = 0
    for _ in range(_ITERATIONS):
        middle = (low * above - high * below) / (above - below)
        value = excess(middle)
        if abs(value) < _EXACT or high - low < _EXACT * max(1.0, abs(middle)):
            return middle
        if value > 0:
            high, above = middle, value
            below = below / 2 if side > 0 else below
            side = 1
        else:
            low, below = middle, value
            above = above / 2 if side < 0 else above
            side = -1
    return middle
