"""Where weight decay holds a scale-invariant weight, and how far it turns there in a step."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from etaeff._checks.numbers import FloatArray, check_shapes, positive, product, result
from etaeff.errors import UsageError
from etaeff.theory._adaptive import adaptive_state, buffer_shape
from etaeff.theory._buffer import buffer_filter, gradient_weight, is_stationary, moments
from etaeff.theory._memory import memory_of
from etaeff.theory._memory import moments as memory_moments
from etaeff.theory._relaxation import (
    half_life_of_adaptive,
    half_life_of_buffer,
    half_life_of_known_updates,
)
from etaeff.theory.settings._update_rule import UpdateRule, rule_of

_SLOW, _FAST = 0.01, 0.5  # 1 − cosine of 8.1° and of 60°
_NO_DECAY = " Without decay the norm only grows, and there is no equilibrium."


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
    optimizer: str,
    *,
    lr: ArrayLike,
    wd: ArrayLike,
    momentum: ArrayLike | None = None,
    dampening: ArrayLike | None = None,
    nesterov: bool | None = None,
    betas: tuple[ArrayLike, ArrayLike] | None = None,
    alpha: ArrayLike | None = None,
    decay: str | None = None,
    dim: ArrayLike | None = None,
    grad_norm_sq: ArrayLike | None = None,
    shape: tuple[int, int] | None = None,
    adjust_lr_fn: str | None = None,
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
        optimizer: `"sgd"`, `"rmsprop"`, `"adam"`, `"adamw"`, `"lion"`, `"muon"` or `"normalized"`:
            torch's names in lower case, with torch's update rules. `"adam"` has L2 in the gradient.
            Sign descent is `"lion"` with betas (0, 0).
        lr: Learning rate η > 0, per step.
        wd: Weight decay λ > 0, PyTorch's convention, with ηλ < 2.
        momentum: μ in [0, 1) of SGD, RMSProp, Muon and normalised gradients; torch's default.
        dampening: Of SGD's momentum, in [0, 1).
        nesterov: Of SGD and Muon.
        betas: Of Adam, AdamW and Lion.
        alpha: Smoothing constant of RMSProp, in [0, 1).
        decay: `"l2"` adds λw to the gradient, `"decoupled"` multiplies w by 1 − ηλ. By default as
            torch's optimiser does.
        dim: Number of entries C of the block: for Adam, RMSProp and Lion.
        grad_norm_sq: $G = E\|\bar g\|^2$ > 0, the mean squared norm of the gradient on the unit
            sphere, $\bar g = \|w\| g$: for SGD, and for Adam and RMSProp with L2.
        shape: (rows, columns) of the matrix, for Muon: one whole number each.
        adjust_lr_fn: Of Muon: `"original"` or `"match_rms_adamw"`.

    Returns:
        The equilibrium. What needs an input that is not given is `None`, and `notes` names it.

    Raises:
        UnknownNameError: If the optimiser is not known.
        UsageError: If an argument lies outside its range, does not belong to the optimiser, or
            does not broadcast; if there is no equilibrium; if a result leaves float64.

    Examples:
        >>> equilibrium("sgd", lr=0.1, wd=5e-4, momentum=0.9)
        Equilibrium(radius=None, angle=0.007255, cosine=1, effective_lr=None, half_life=339.9,
        regime='slow')
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
    chosen = rule_of(
        optimizer,
        {
            "decay": decay,
            "momentum": momentum,
            "dampening": dampening,
            "nesterov": nesterov,
            "betas": betas,
            "alpha": alpha,
            "shape": shape,
            "adjust_lr_fn": adjust_lr_fn,
        },
    )
    eta, lam = positive("lr", lr), positive("wd", wd, why=_NO_DECAY)
    entries = None if dim is None else positive("dim", dim)
    g = None if grad_norm_sq is None else positive("grad_norm_sq", grad_norm_sq)
    everywhere = _shape(chosen, lr=eta, wd=lam, dim=entries, grad_norm_sq=g)
    with np.errstate(all="ignore"):  # what leaves float64 is refused at the end, in a sentence
        if chosen.name == "sgd":
            found = _of_sgd(chosen, eta, product(eta, lam), g)
        elif chosen.decay == "l2":
            found = _of_adaptive(chosen, eta, lam, entries, g)
        else:
            found = _of_known_updates(chosen, eta, product(eta, lam), entries)
    spread: dict[str, Any] = {
        name: np.broadcast_to(value, everywhere).copy()[()]
        for name, value in vars(found).items()
        if isinstance(value, np.ndarray | np.generic)
    }
    return replace(found, **spread)


def _of_sgd(
    chosen: UpdateRule, eta: FloatArray, x: FloatArray, g: FloatArray | None
) -> Equilibrium:
    """SGD with and without momentum, L2 or decoupled: an ARMA(2, 1) process."""
    kappa = gradient_weight(chosen)
    process = buffer_filter(chosen, x, kappa=kappa)
    if not np.all(is_stationary(process)):
        raise UsageError(
            f"`lr` times `wd` is {np.max(x)}, too large for this momentum: the decay alone makes "
            "the weight oscillate without bound, and there is no equilibrium."
        )
    found = moments(process)
    notes = []
    if chosen["nesterov"] and np.any(chosen["dampening"] > 0):
        notes.append("torch.optim.SGD refuses Nesterov momentum with dampening.")
    radius = None
    if g is None:
        notes.append(_missing("grad_norm_sq"))
    else:
        radius = np.exp((np.log(g) + np.log(found.variance)) / 4 + np.log(eta) / 2)
    half_life = half_life_of_buffer(chosen, x, kappa)
    return _assemble(chosen, eta, radius, found.decorrelation, half_life, notes)


def _of_known_updates(
    chosen: UpdateRule, eta: FloatArray, x: FloatArray, entries: FloatArray | None
) -> Equilibrium:
    """Decoupled decay of updates whose size does not depend on the gradient's."""
    memory = memory_of(chosen)
    found = memory_moments(x, memory)
    notes = []
    size = memory.norm_sq
    if chosen.name == "muon":
        if size is None:
            notes.append(
                "`radius` and `effective_lr` need `shape`; without it the matrix is taken to be "
                "much wider than high, and a square one turns further."
            )
    elif chosen.name != "normalized":
        if entries is None:
            notes.append(_missing("dim"))
        size = None if entries is None or size is None else size * entries
    smoothing = chosen.arguments.get("alpha", chosen.arguments.get("betas", (0, 1))[1])
    if chosen.name != "lion" and np.any(smoothing < 0.9):
        notes.append(
            "The second moment is taken to first order in 1 − β₂, which is no longer small here."
        )
    radius = None
    if size is not None:
        radius = np.exp((np.log(size) + np.log(found.variance)) / 2 + np.log(eta))
    if chosen.name in ("rmsprop", "adam", "adamw"):
        half_life = half_life_of_adaptive(chosen, x)
    else:
        half_life = half_life_of_known_updates(x)
    return _assemble(chosen, eta, radius, found.decorrelation, half_life, notes)


def _of_adaptive(
    chosen: UpdateRule,
    eta: FloatArray,
    lam: FloatArray,
    entries: FloatArray | None,
    g: FloatArray | None,
) -> Equilibrium:
    """Adam and RMSProp with L2 in the gradient: nothing is known without both C and G."""
    if entries is None or g is None:
        given = {"dim": entries, "grad_norm_sq": g}
        missing = " and ".join(f"`{name}`" for name, value in given.items() if value is None)
        note = f"Every quantity needs {missing}: the decay that Adam sees depends on both."
        return Equilibrium(None, None, None, None, None, None, (note,))
    state = adaptive_state(chosen, lr=eta, wd=lam, dim=entries, grad_norm_sq=g)
    mu, kappa, _ = buffer_shape(chosen)
    decorrelation = np.asarray(kappa / (1 + mu) * state.shrinkage)
    half_life = half_life_of_adaptive(chosen, state.shrinkage)
    return _assemble(chosen, eta, state.radius, decorrelation, half_life, [])


def _assemble(
    chosen: UpdateRule,
    eta: FloatArray,
    radius: FloatArray | None,
    decorrelation: FloatArray,
    half_life: FloatArray,
    notes: list[str],
) -> Equilibrium:
    if np.any(np.isnan(half_life)):
        raise UsageError(
            "The decay is so strong that a disturbed norm swings without end: there is no "
            "equilibrium that holds."
        )
    if not np.all(np.isfinite(half_life)):
        result("half-life", half_life)  # refuses it
    rate = None
    if radius is not None:
        radius = result("radius", np.asarray(radius))
        rate = np.exp(np.log(eta) - chosen.optimizer.radius_power * np.log(radius))
        rate = result("effective learning rate", np.asarray(rate))
    half_chord = np.sqrt(np.minimum(decorrelation / 2, 1))  # of the unit circle; exact for small
    turn = float(np.max(decorrelation))
    return Equilibrium(
        radius=radius,
        angle=result("angle", np.asarray(2 * np.arcsin(half_chord))),
        cosine=np.asarray(1 - decorrelation)[()],
        effective_lr=rate,
        half_life=np.asarray(half_life)[()],
        regime="slow" if turn < _SLOW else "fast" if turn <= _FAST else "erratic",
        notes=tuple(notes),
    )


def _missing(name: str) -> str:
    return f"`radius` and `effective_lr` need `{name}`."


def _shape(chosen: UpdateRule, **arrays: FloatArray | None) -> tuple[int, ...]:
    """The shape that all inputs broadcast to."""
    own: dict[str, Any] = dict(chosen.arguments)
    if "betas" in own:
        own |= {f"betas[{i}]": beta for i, beta in enumerate(own.pop("betas"))}
    given = own | arrays
    return check_shapes(**{name: a for name, a in given.items() if isinstance(a, np.ndarray)})
