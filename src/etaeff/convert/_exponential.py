r"""Weight decay and an exponential schedule: one training, told in two ways.

SGD with heavy ball γ and decay visits, up to scale, the weights of a run without decay:
$\tilde w_t = P_t w_t$ with $P_t = \prod_{i \le t} \alpha_i^{-1}$, α₀ = 1 and

$$\alpha_{t+1} = 1 - \eta_t\lambda_t + \frac{\eta_t}{\eta_{t-1}}\,\gamma
  \left(1 - \frac{1}{\alpha_t}\right), \qquad \tilde\eta_t = P_t P_{t+1} \eta_t.$$
"""

from dataclasses import dataclass
from math import exp, inf, log
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from etaeff._checks.numbers import FloatArray, array, one_fraction, per_step, positive
from etaeff.errors import UsageError

_SMALLEST: Final = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class ExponentialSchedule:
    """A schedule without decay. It is kept in logarithms, because it leaves float64 in time.

    Attributes:
        log_lr: ln η̃ of each step, shape (steps,).
        log_scale: ln ‖w̃_t‖/‖w_t‖ before each step and after the last, shape (steps + 1,).
    """

    log_lr: FloatArray
    log_scale: FloatArray

    @property
    def lr(self) -> FloatArray:
        """η̃ of each step; refused where float64 cannot hold it."""
        over = np.flatnonzero(self.log_lr > np.log(np.finfo(float).max))
        if len(over):
            raise UsageError(
                f"The learning rate leaves float64 at step {over[0]}; use `log_lr`, and rescale "
                "the weights now and then (a factor c on them is c² on the learning rate)."
            )
        return np.exp(self.log_lr)


def exponential_schedule(
    lr: ArrayLike, wd: ArrayLike, momentum: float = 0.0, *, steps: int | None = None
) -> ExponentialSchedule:
    r"""The schedule without decay that takes the steps of one with it, exactly.

    For constant settings it grows by $\alpha_\star^{-2}$ a step once the buffer has filled, with α⋆
    the larger root of z² − (1 + γ − ηλ)z + γ = 0. That root is real while ηλ ≤ (1 − √γ)²; past it
    the decay alone makes the weight oscillate through zero, which no positive learning rate
    without decay can do.

    The weights must be scale-invariant and start alike; the runs then compute the same functions
    at every step, whatever the minibatches. Both use torch.optim.SGD, without dampening or
    Nesterov.

    Args:
        lr: Learning rate η > 0: a number, or one for each step.
        wd: Weight decay λ ≥ 0: a number, or one for each step.
        momentum: γ in [0, 1), the same in both runs.
        steps: How many; needed if neither `lr` nor `wd` says it.

    Returns:
        The schedule and the scale of its weights, in logarithms.

    Raises:
        UsageError: If an argument lies outside its range, or a step is past (1 − √γ)².

    Examples:
        >>> schedule = exponential_schedule(0.1, 0.5, steps=3)
        >>> schedule.lr.round(6)
        array([0.105263, 0.116635, 0.129236])
        >>> np.exp(schedule.log_scale[-1]).round(6)  # 0.95 ** -3
        np.float64(1.166351)

    References:
        Li & Arora, "An Exponential Learning Rate Schedule for Deep Learning", 2020, Theorem 2.12;
        written here for torch's place of the learning rate, outside the buffer.
    """
    eta, lam = per_step(lr, wd, steps)
    positive("lr", eta)
    gamma = one_fraction("momentum", momentum)
    limit = (1 - np.sqrt(gamma)) ** 2
    with np.errstate(over="ignore", under="ignore"):
        x = eta * lam
    past = np.flatnonzero(x > limit * (1 + 1e-12))
    if len(past):
        raise UsageError(
            f"`lr` times `wd` is {x[past[0]]:.6g} at step {past[0]}, and with "
            f"momentum {gamma} it must not pass (1 - sqrt(momentum))**2 = {limit:.6g}: beyond "
            "it decay alone makes the weight oscillate through zero, and no schedule without "
            "decay does that."
        )
    # In more digits than float64's: a million equal terms would round one way.
    total = np.cumsum(np.log1p(-losses(eta, x, gamma)), dtype=np.longdouble)
    log_scale = np.concatenate([[0.0], -total.astype(np.float64)])
    return ExponentialSchedule(np.log(eta) + log_scale[:-1] + log_scale[1:], log_scale)


def decay_schedule(log_lr: ArrayLike, wd: ArrayLike, momentum: float = 0.0) -> FloatArray:
    r"""The schedule with decay that takes the steps of one without: the inverse, given λ.

    $$\eta_t = \frac{\tilde\eta_t}{P_t^2 - \tilde\eta_t c_t}, \qquad
      c_t = \frac{\gamma (1 - 1/\alpha_t)}{\eta_{t-1}} - \lambda_t$$

    Args:
        log_lr: ln η̃ of each step without decay, shape (steps,).
        wd: λ ≥ 0 that is to be used, a number or one for each step.
        momentum: γ in [0, 1).

    Returns:
        η of each step, shape (steps,).

    Raises:
        UsageError: If an argument lies outside its range, or this decay cannot give it.

    Examples:
        >>> decay_schedule(exponential_schedule(0.1, 0.5, 0.2, steps=3).log_lr, 0.5, 0.2)
        array([0.1, 0.1, 0.1])
    """
    logs = array("log_lr", log_lr)
    if logs.ndim != 1 or not len(logs) or not np.all(np.isfinite(logs)):
        raise UsageError("`log_lr` must be finite, with a number for each step.")
    _, lam = per_step(np.ones(len(logs)), wd)
    gamma = one_fraction("momentum", momentum)
    rates: list[float] = []
    log_scale, alpha = 0.0, 1.0
    for log_rate, decay in zip(logs.tolist(), lam.tolist(), strict=True):
        pull = -decay + (gamma * (1 - 1 / alpha) / rates[-1] if rates else 0.0)
        try:
            scaled = exp(log_rate - 2 * log_scale)  # η̃/P²
        except OverflowError:
            scaled = inf
        room = 1 - scaled * pull
        eta = scaled / room if 0 < room < inf else 0.0
        alpha = 1 + eta * pull
        if not (alpha > 0 and _SMALLEST <= eta < inf):
            raise UsageError(
                f"No learning rate that float64 holds takes step {len(rates)} of the schedule with "
                "this `wd`."
            )
        rates.append(eta)
        log_scale -= log(alpha)
    return np.array(rates)


def losses(eta: FloatArray, x: FloatArray, gamma: float) -> FloatArray:
    """What decay takes of the weight at each step, with what momentum adds to it: 1 − α_{t+1}.

    Args:
        eta: η > 0 of each step.
        x: ηλ of each step.
        gamma: Momentum.
    """
    loss, before = 0.0, 1.0
    lost: list[float] = []
    for rate, share in zip(eta.tolist(), x.tolist(), strict=True):
        loss = share + (rate / before * gamma * (loss / (1 - loss)) if loss else 0.0)
        if not loss < 1:
            raise UsageError(
                f"At step {len(lost)} the decay, with what momentum has kept of it, takes more "
                "than the whole weight. A slower rise of `lr`, or less `wd`, avoids it."
            )
        before = rate
        lost.append(loss)
    return np.array(lost)
