"""Where weight decay holds a scale-invariant weight, and how far it turns there in a step."""

from dataclasses import dataclass, fields
from typing import Any, Final, Unpack

import numpy as np
from numpy.typing import ArrayLike

from etaeff._checks.numbers import FloatArray, check_shapes, positive, result
from etaeff.errors import UsageError
from etaeff.theory._models import Rest, Sizes, model_of
from etaeff.theory.settings import Hyperparameters, Setting
from etaeff.theory.settings._update_rule import UpdateRule, requested

_SLOW_TURN: Final = 0.01  # 1 − cosine of 8.1°
_FAST_TURN: Final = 0.5  # of 60°
_NO_DECAY: Final = " Without decay the norm only grows, and there is no equilibrium."


@dataclass(frozen=True)
class Equilibrium:
    r"""Where a scale-invariant weight settles. Arrays have the shape that the inputs broadcast to.

    Attributes:
        radius: ‖w‖, the root of its mean square; `None` if an input that it needs is missing.
        angle: Turn of the direction in a step, radians; the root of its mean square.
        cosine: Mean cosine of successive weights; cos(`angle`).
        effective_lr: η/‖w‖² or η/‖w‖, as `effective_lr` says; `None` without the radius.
        half_life: Steps in which a deviation of ‖w‖² from its equilibrium halves, once buffers
            have settled. Of Lion, Muon and averaged normalised gradients it is right while ‖w‖
            moves little within their memory (ηλ ≪ 1 − β₂ or 1 − μ).
        regime: `"slow"` where 1 − cosine < 0.01, a turn of less than 8.1° a step; `"fast"` up to
            60°; `"erratic"` beyond, where a step is as long as the weight.
        notes: Sentences on what is missing, and what the numbers assume.
    """

    radius: FloatArray | None
    angle: FloatArray | None
    cosine: FloatArray | None
    effective_lr: FloatArray | None
    half_life: FloatArray | None
    regime: str | None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Four digits of each number, as they would be typed."""
        parts = []
        for field in fields(self)[:-1]:
            value = getattr(self, field.name)
            shown = f"{value:.4g}" if isinstance(value, float) else repr(value)
            parts.append(f"{field.name}={shown}")
        return f"Equilibrium({', '.join(parts)})"


def equilibrium(
    optimizer: str | Setting,
    *,
    lr: ArrayLike | None = None,
    wd: ArrayLike | None = None,
    dim: ArrayLike | None = None,
    grad_norm_sq: ArrayLike | None = None,
    **arguments: Unpack[Hyperparameters],
) -> Equilibrium:
    r"""Equilibrium of a scale-invariant weight under an optimiser with weight decay.

    Decay shrinks the weight, and gradient noise, which is orthogonal to it, lets it grow. The two
    balance at a radius at which the direction turns by an angle that, to first order in x = ηλ, is

    | optimiser, decay | angle² | radius |
    |---|---|---|
    | `"sgd"` with momentum μ, L2 | $2x/(1+\mu)$ | $r^4 = \eta G / (2\lambda(1-\mu))$ |
    | … Nesterov | $2x(1+2\mu-2\mu^3)/(1+\mu)$ | the same |
    | … decoupled | $2x(1-\mu)/(1+\mu)$ | $r^4 = \eta G / (2\lambda(1-\mu)^2)$ |
    | `"adam"` (L2 in the gradient) | $\frac{1-\beta_1}{1+\beta_1}(2\eta^2\lambda C/\sqrt G)^{2/3}$
    | $r^3 = \eta\sqrt{CG}/(2\lambda)$ |
    | `"rmsprop"`, L2 | the same with β₁ = 0 | the same |
    | `"adamw"` | $2x(1-\beta_1)/(1+\beta_1)$ | $r^2 = \eta C / (2\lambda)$ |
    | `"lion"` | $\approx \pi x f$ | $r^2 \approx \eta C / (\pi\lambda f)$ |
    | `"muon"`, one wide matrix | $2x(1-\mu)/(1+\mu)$ and more for Nesterov | by its `shape` |
    | `"normalized"`: g/‖g‖ | $2x$ | $r^2 = \eta / (2\lambda)$ |

    with $f = (1-\beta_1)^2 + \beta_1^2(1-\beta_2)/(1+\beta_2)$. The values returned are not these
    but the exact ones of the same model, for any x: one ARMA(2, 1) process covers SGD, a sum over
    the update's memory covers the decoupled rest, and one equation in one unknown covers Adam
    and RMSProp with L2. The model: gradients are noise, orthogonal to w, independent from step to
    step, of one length on the unit sphere and alike in all directions; blocks have many entries
    (radii scatter by about √(x/C)). Adam's and RMSProp's second moments are taken at their mean
    under L2, and to first order in 1 − β₂ under decoupled decay. Gradients that are mostly
    signal (large batches, early training) break it: compare with what you measure.

    Args:
        optimizer: A `Setting`, which says η, λ and the hyperparameters, or the name of an
            optimiser: `"sgd"`, `"rmsprop"`, `"adam"`, `"adamw"`, `"lion"`, `"muon"`,
            `"normalized"` or another of `etaeff.theory.settings.OPTIMIZERS`, torch's names in
            lower case, with torch's update rules. `"adam"` has L2 in the gradient. Sign descent is
            `"lion"` with betas (0, 0).
        lr: Learning rate η > 0, per step; needed beside a name.
        wd: Weight decay λ > 0, PyTorch's convention, with ηλ < 2; needed beside a name.
        dim: Number of entries C of the block: for Adam, RMSProp and Lion.
        grad_norm_sq: $G = E\|\bar g\|^2$ > 0, the mean squared norm of the gradient on the unit
            sphere, $\bar g = \|w\| g$: for SGD, and for Adam and RMSProp with L2.
        **arguments: Hyperparameters, by default torch's:

            - `momentum`: μ in [0, 1) of SGD, RMSProp, Muon and normalised gradients;
            - `dampening`: of SGD's momentum, in [0, 1);
            - `nesterov`: of SGD and Muon;
            - `betas`: of Adam, AdamW and Lion;
            - `alpha`: smoothing constant of RMSProp, in [0, 1);
            - `decay`: `"l2"` adds λw to the gradient, `"decoupled"` multiplies w by 1 − ηλ; by
              default as torch's optimiser does;
            - `shape`: (rows, columns) of the matrix, for Muon: one whole number each;
            - `adjust_lr_fn`: of Muon: `"original"` or `"match_rms_adamw"`;
            - what else an optimiser has: `defaults` of its row in `OPTIMIZERS`.

    Returns:
        The equilibrium. What needs an input that is not given is `None`, and `notes` names it.

    Raises:
        UnknownNameError: If the optimiser is not known.
        NoLawError: If no law is derived for the optimiser, or for it with this decay.
        UsageError: If an argument lies outside its range, does not belong to the optimiser, does
            not broadcast, or differs from the setting's; if there is no equilibrium; if a result
            leaves float64.

    Examples:
        >>> equilibrium("sgd", lr=0.1, wd=5e-4, momentum=0.9)
        Equilibrium(radius=None, angle=0.007255, cosine=1, effective_lr=None, half_life=339.9,
        regime='slow')
        >>> equilibrium(Setting.parse("sgd lr=0.1 wd=5e-4 momentum=0.9")).angle.round(6)
        np.float64(0.007255)
        >>> equilibrium("adamw", lr=1e-3, wd=0.1, dim=768).radius.round(3)
        np.float64(1.958)
        >>> equilibrium("sgd", lr=0.1, wd=[1e-4, 4e-4], grad_norm_sq=1.0).angle.round(5)
        array([0.00447, 0.00894])

    References:
        van Laarhoven 2017 for SGD's powers of η and λ; Wan et al., "Spherical Motion Dynamics",
        2020, for heavy ball; Kosson et al., "Rotational Equilibrium", 2024, for AdamW and Lion to
        first order. Nesterov, dampening, RMSProp, Adam with L2, finite β₂ and x, and Muon's
        dependence on the matrix's shape are derived in `docs/theory.md`.
    """
    rule, lr, wd = requested(optimizer, lr, wd, arguments)
    eta, lam = positive("lr", lr), positive("wd", wd, why=_NO_DECAY)
    sizes = Sizes(
        None if dim is None else positive("dim", dim),
        None if grad_norm_sq is None else positive("grad_norm_sq", grad_norm_sq),
    )
    shape = _broadcast_shape(rule, lr=eta, wd=lam, **sizes._asdict())
    model = model_of(rule)
    with np.errstate(all="ignore"):  # what leaves float64 is refused at the end, in a sentence
        rest = model.equilibrium(rule, eta, lam, sizes)
        if rest.decorrelation is None or rest.shrinkage is None:
            return Equilibrium(None, None, None, None, None, None, rest.notes)
        half_life = _checked_half_life(model.half_life(rule, rest.shrinkage))
        return _assembled(rule, eta, rest, rest.decorrelation, half_life, shape)


def _checked_half_life(half_life: FloatArray) -> FloatArray:
    """The half-life, if a disturbed norm settles at all and in a time that float64 holds."""
    if np.any(np.isnan(half_life)):
        raise UsageError(
            "The decay is so strong that a disturbed norm swings without end: there is no "
            "equilibrium that holds."
        )
    if not np.all(np.isfinite(half_life)):
        result("half-life", half_life)  # refuses it
    return half_life


def _assembled(
    rule: UpdateRule,
    eta: FloatArray,
    rest: Rest,
    decorrelation: FloatArray,
    half_life: FloatArray,
    shape: tuple[int, ...],
) -> Equilibrium:
    """What follows from where a weight rests, every array of one shape."""

    def spread(value: FloatArray) -> FloatArray:
        return np.broadcast_to(value, shape).copy()[()]

    radius = rate = None
    if rest.radius is not None:
        radius = result("radius", np.asarray(rest.radius))
        rate = np.exp(np.log(eta) - rule.optimizer.radius_power * np.log(radius))
        rate = result("effective learning rate", np.asarray(rate))
    half_chord = np.sqrt(np.minimum(decorrelation / 2, 1))  # of the unit circle; exact for small
    turn = float(np.max(decorrelation))
    return Equilibrium(
        radius=None if radius is None else spread(radius),
        angle=spread(result("angle", np.asarray(2 * np.arcsin(half_chord)))),
        cosine=spread(np.asarray(1 - decorrelation)),
        effective_lr=None if rate is None else spread(rate),
        half_life=spread(half_life),
        regime="slow" if turn < _SLOW_TURN else "fast" if turn <= _FAST_TURN else "erratic",
        notes=rest.notes,
    )


def _broadcast_shape(rule: UpdateRule, **arrays: FloatArray | None) -> tuple[int, ...]:
    """The shape that all inputs broadcast to."""
    given: dict[str, Any] = dict(rule.arguments)
    if "betas" in given:
        given |= {f"betas[{i}]": beta for i, beta in enumerate(given.pop("betas"))}
    given |= arrays
    return check_shapes(**{name: a for name, a in given.items() if isinstance(a, np.ndarray)})
