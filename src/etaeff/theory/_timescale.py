"""How long a normalised weight takes to settle, and how long it remembers."""

from dataclasses import dataclass
from typing import Final, Unpack

import numpy as np
from numpy.typing import ArrayLike

from etaeff._checks.numbers import (
    FloatArray,
    array,
    check_shapes,
    positive,
    product,
    result,
)
from etaeff.errors import UsageError
from etaeff.theory._equilibrium import equilibrium
from etaeff.theory._models import model_of
from etaeff.theory.settings import Hyperparameters, Setting
from etaeff.theory.settings._update_rule import requested

_SETTLED: Final = 0.05  # share of the first deviation of ‖w‖² that may be left


@dataclass(frozen=True)
class Timescale:
    """Times in steps, and in epochs where the length of an epoch was given.

    Attributes:
        half_life: Steps in which a deviation of ‖w‖² from equilibrium halves; `None` if an
            input that it needs is missing.
        settled: Steps until a twentieth of it is left: 4.32 half-lives.
        settled_epochs: The same in epochs.
        memory: 1/(ηλ) steps, over which decay forgets a gradient (without L2's momentum).
        memory_epochs: The same in epochs, B/(ηλD).
    """

    half_life: FloatArray | None
    settled: FloatArray | None
    settled_epochs: FloatArray | None
    memory: FloatArray
    memory_epochs: FloatArray | None


def timescale(
    optimizer: str | Setting,
    *,
    lr: ArrayLike | None = None,
    wd: ArrayLike | None = None,
    batch: ArrayLike | None = None,
    data: ArrayLike | None = None,
    dim: ArrayLike | None = None,
    grad_norm_sq: ArrayLike | None = None,
    **arguments: Unpack[Hyperparameters],
) -> Timescale:
    r"""Steps and epochs until a weight is at equilibrium, and the memory of the decay.

    A deviation of ‖w‖² from equilibrium shrinks, for small ηλ, as $e^{-4\eta\lambda t/(1-\mu)}$
    for SGD with L2, as $e^{-2\eta\lambda t}$ for updates that ignore the gradient's scale, with
    decoupled decay, and for Adam with L2 three times as fast as the decay that it sees; a second
    moment that does not keep up (ηλ not below 1 − β₂) slows it. The weight is a moving average of
    its updates over

    $$\tau = \frac{1}{\eta\lambda}\;\text{steps} = \frac{B}{\eta\lambda D}\;\text{epochs}.$$

    Args:
        optimizer: As in `equilibrium`: a `Setting`, or a name with `lr` and `wd`.
        lr: Learning rate η > 0, per step.
        wd: Weight decay λ > 0, with ηλ < 2.
        batch: Examples (or tokens) per step, B > 0.
        data: Examples (or tokens) of an epoch, D > 0. Of the whole run, if the memory is to be
            told as a share of the run.
        dim: C, as in `equilibrium`: for Adam and RMSProp with L2.
        grad_norm_sq: G: likewise.
        **arguments: Hyperparameters as in `equilibrium`, such as `momentum` and `betas`.

    Returns:
        The times. What needs an input that is not given is `None`.

    Raises:
        UsageError: As `equilibrium`; or if only one of `batch` and `data` is given.

    Examples:
        >>> recipe = timescale("sgd", lr=0.1, wd=1e-4, momentum=0.9, batch=256, data=1_281_167)
        >>> round(float(recipe.settled)), round(float(recipe.settled_epochs), 2)
        (7461, 1.49)
        >>> round(float(timescale("adamw", lr=3e-4, wd=0.1).memory))
        33333

    References:
        Wan et al. 2020; Wang & Aitchison, "How to set AdamW's weight decay as you scale model and
        dataset size", 2024, for τ, which counts AdamW's steps.
    """
    rest = equilibrium(optimizer, lr=lr, wd=wd, dim=dim, grad_norm_sq=grad_norm_sq, **arguments)
    _, lr, wd = requested(optimizer, lr, wd, arguments)
    with np.errstate(all="ignore"):
        memory = result("memory", 1 / product(positive("lr", lr), positive("wd", wd)))
    steps_per_epoch = _steps_per_epoch(batch, data)
    settled = None if rest.half_life is None else -np.log2(_SETTLED) * rest.half_life

    def epochs(steps: FloatArray | None) -> FloatArray | None:
        if steps is None or steps_per_epoch is None:
            return None
        check_shapes(lr=steps, data=steps_per_epoch)
        with np.errstate(all="ignore"):
            return result("number of epochs", steps / steps_per_epoch)

    return Timescale(rest.half_life, settled, epochs(settled), memory, epochs(memory))


def steps_after_drop(
    optimizer: str | Setting,
    k: ArrayLike,
    *,
    lr: ArrayLike | None = None,
    wd: ArrayLike | None = None,
    **arguments: Unpack[Hyperparameters],
) -> FloatArray:
    r"""Fewest steps until ‖w‖ is at its new equilibrium, after lr was divided by k.

    The new radius is smaller by $k^p$, and nothing shrinks a weight faster than its decay with
    no gradient, which leaves a share z of it a step:

    $$t \ge \frac{p \ln k}{-\ln z}, \qquad p = \tfrac14 \;(\text{SGD}),\; \tfrac12
      \;(\text{other updates, decoupled decay}).$$

    For plain SGD that is $\ln k/(4\eta\lambda)$; after twice that time r⁴ is within a share 1/k of
    its new level. `etaeff.convert.drop_lr_` spares the wait.

    Args:
        optimizer: As in `equilibrium`, without L2 for Adam and RMSProp: a `Setting`, or a name
            with `lr` and `wd`.
        k: What lr was divided by, > 1.
        lr: Learning rate η > 0 after the drop.
        wd: Weight decay λ > 0, with ηλ < 1.
        **arguments: `momentum`, `dampening`, `nesterov` and `decay`, as in `equilibrium`.

    Returns:
        Steps, of the broadcast shape.

    Raises:
        UsageError: If an argument lies outside its range, or the decay makes w oscillate.

    Examples:
        >>> round(float(steps_after_drop("sgd", 10, lr=0.01, wd=5e-4, momentum=0.9)))
        11507

    References:
        Wan et al., "Spherical Motion Dynamics", 2020, Corollary 3.1, for the wait; the bound here
        follows from the powers of η in the radius.
    """
    rule, lr, wd = requested(optimizer, lr, wd, arguments)
    x = product(positive("lr", lr), positive("wd", wd))
    factor = array("k", k)
    if not (np.all(factor > 1) and np.all(np.isfinite(factor))):
        raise UsageError(f"`k` must be above 1 and finite, got {k!r}.")
    if np.any(x >= 1):
        raise UsageError(f"`lr` times `wd` must be below 1, got {np.max(x)}.")
    share, power = model_of(rule).bare_decay(rule, x)
    check_shapes(k=factor, lr_wd=share)
    return result("number of steps", power * np.log(factor) / -np.log1p(-share))


def _steps_per_epoch(batch: ArrayLike | None, data: ArrayLike | None) -> FloatArray | None:
    """The length of an epoch, where its parts are given."""
    if batch is None and data is None:
        return None
    if batch is None or data is None:
        raise UsageError("`batch` and `data` must be given together: they say what an epoch is.")
    length, step = positive("data", data), positive("batch", batch)
    check_shapes(batch=step, data=length)
    with np.errstate(all="ignore"):
        return result("number of steps of an epoch", length / step)
