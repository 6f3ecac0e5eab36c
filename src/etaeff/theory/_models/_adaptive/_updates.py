r"""Updates that are divided by the root of an average of squared gradients: Adam and RMSProp.

The average fluctuates by a variance of ω = 2ε/(1 + β₂), ε = 1 − β₂, and is correlated with the
gradients that it is to divide. To first order in ε that changes an update's size and memory.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from etaeff._checks.numbers import FloatArray
from etaeff.theory._models._correlation import Memory, parts
from etaeff.theory._models._process import Mixing
from etaeff.theory.settings._update_rule import UpdateRule

_NADAM_BASE: Final = 0.96  # torch.optim.NAdam's
_SETTLED: Final = 0.01  # how near to its limit NAdam's momentum counts as come to rest


class Drive(NamedTuple):
    """How the noise of a step feeds a buffer of two parts, each with a memory of its own.

    Attributes:
        decays: What is left of each part after a step.
        fed: What a step's noise adds to the squared norm of each part, over that of the noise.
        shared: Its inner product with what it adds to each part, over the same.
        lone: Its own squared norm once it has been divided, over the same.
    """

    decays: tuple[FloatArray, FloatArray]
    fed: tuple[FloatArray, FloatArray]
    shared: tuple[FloatArray, FloatArray]
    lone: FloatArray


class Steps(NamedTuple):
    """The steps of a run: h · (lead · gradient + follow · buffer), less the second moment.

    Attributes:
        rate: h, with the correction for the empty start of the second moment.
        lead: Weight of the gradient beside the buffer.
        follow: Weight of the buffer.
    """

    rate: FloatArray
    lead: FloatArray
    follow: FloatArray


class DividedUpdate:
    """One update rule as the model needs it.

    Attributes:
        mixing: The buffer's constants, and the step's.
        smoothing: β₂ or α.
        adds_divided: Whether the buffer adds up gradients that were divided when they came.
        mixes_gradient: Whether a step has the gradient beside the buffer.
    """

    mixing: Mixing
    smoothing: FloatArray
    adds_divided: bool = False
    mixes_gradient: bool = False

    def notes(self) -> list[str]:
        """What the numbers assume of this update."""
        return []

    def memory(self) -> Memory:
        """Size of an entry of the update, and how long it lasts, with decoupled decay."""
        raise NotImplementedError

    def thinning(self) -> float:
        """What a second moment that fluctuates leaves of the noise in divided gradients."""
        raise NotImplementedError

    def drive(self) -> Drive:
        """How noise feeds the update, where its buffer is divided as a whole."""
        raise NotImplementedError

    def steps(self, eta: FloatArray) -> Steps:
        """The steps of a run, with the corrections for the empty start of the averages."""
        return Steps(eta, np.zeros(len(eta)), np.ones(len(eta)))


class _Adam(DividedUpdate):
    """An average of gradients, divided as a whole."""

    def __init__(self, rule: UpdateRule) -> None:
        beta1, self.smoothing = rule["betas"]
        self.mixing = Mixing(beta1, 1 - beta1, 1 - beta1, beta1)

    def memory(self) -> Memory:
        r"""An average of gradients over the root of an average of their squares.

        With the second moment at its mean, U² = (1 − β₁)/(1 + β₁) an entry and ρ_k = β₁^k. A
        finite β₂ turns them, for normal gradients, into

        $$E[u_t u_{t-k}] = \tfrac{1-\beta_1}{1+\beta_1}\,\beta_1^k \left[
          1 + \tfrac34\omega - \epsilon h + (\tfrac14\omega - \epsilon h)\,\beta_2^k \right],
          \qquad h = \frac{1 - \beta_1^2}{1 - \beta_1^2\beta_2}.$$
        """
        beta1, beta2 = self.mixing.mu, self.smoothing
        first, second = _shares(beta1, beta2)
        total = first + second
        size = (1 - beta1) / (1 + beta1) * total
        decays = parts(beta1, beta1 * beta2)
        return Memory(np.asarray(size), parts(first / total, second / total) * decays, decays)

    def drive(self) -> Drive:
        """Two buffers, whose shares of the noise give the two terms of the memory."""
        beta1, beta2 = self.mixing.mu, self.smoothing
        decays = beta1, beta1 * beta2
        size = (1 - beta1) / (1 + beta1)
        shares = _shares(beta1, beta2)
        slow, fast = (size * s * (1 - b * b) for s, b in zip(shares, decays, strict=True))
        epsilon, omega = _fluctuation(beta2)
        shared = (
            self.mixing.kappa * (1 + 0.75 * omega - epsilon),
            self.mixing.kappa * (0.25 * omega - epsilon),
        )
        return Drive(decays, (slow, fast), shared, np.asarray(1 + omega - 2 * epsilon))

    def steps(self, eta: FloatArray) -> Steps:
        beta1, beta2 = float(self.mixing.mu), float(self.smoothing)
        t = np.arange(1, len(eta) + 1)
        rate = np.asarray(eta * np.sqrt(1 - beta2**t) / (1 - beta1**t))
        return Steps(rate, np.zeros(len(eta)), np.ones(len(eta)))


class _Nadam(_Adam):
    r"""Adam with Nesterov's momentum: (1 − μ_t) of the gradient, and μ_{t+1} of its average.

    torch lets μ_t run from about β₁/2 to β₁, as β₁(1 − 0.96^{tψ}/2) with ψ its `momentum_decay`;
    the laws are those of its limit, and a run follows it.
    """

    mixes_gradient = True

    def __init__(self, rule: UpdateRule) -> None:
        super().__init__(rule)
        self.momentum_decay = rule["momentum_decay"]
        beta1, kappa, _, _ = self.mixing
        self.limit = np.where(self.momentum_decay > 0, beta1, beta1 / 2)  # of μ_t
        lead = 1 - self.limit + self.limit * kappa
        self.mixing = Mixing(beta1, kappa, lead, self.limit * beta1)

    def notes(self) -> list[str]:
        if not np.any((self.momentum_decay > 0) & (self.limit > 0)):
            return []
        steps = np.log(0.5 / _SETTLED) / (-np.log(_NADAM_BASE) * np.min(self.momentum_decay))
        return [
            "The momentum of NAdam has come to rest at beta1: it begins at half of that, and is "
            f"within {100 * _SETTLED:.0f} % after {np.ceil(steps):,.0f} steps."
        ]

    def memory(self) -> Memory:
        r"""A mixture of the gradient and its average, over the root of the second moment.

        With c_j the weight of the gradient of j steps ago, $R_k = \sum_j c_j c_{j+k}$ and
        $S_k = \sum_j \beta_2^j c_j c_{j+k}$,

        $$E[u_t u_{t-k}] = R_k(1 + \tfrac34\omega) - \epsilon S_k +
          \beta_2^k(\tfrac14\omega R_k - \epsilon S_k).$$
        """
        drive = self.drive()
        ahead, mu = 1 - self.limit, self.limit
        lags = [  # of each part at lag 0, as its later lags go on to there
            mu * (ahead * shared + mu * fed / (1 - decay**2))
            for decay, fed, shared in zip(drive.decays, drive.fed, drive.shared, strict=True)
        ]
        size = ahead**2 * drive.lone + sum(lags) + mu * ahead * sum(drive.shared)
        decays = parts(*drive.decays)
        return Memory(np.asarray(size), parts(*(lag / size for lag in lags)) * decays, decays)

    def steps(self, eta: FloatArray) -> Steps:
        beta1, beta2 = float(self.mixing.mu), float(self.smoothing)
        t = np.arange(1, len(eta) + 2)
        mu = beta1 * (1 - 0.5 * _NADAM_BASE ** (t * float(self.momentum_decay)))
        absent = 1 - np.cumprod(mu)  # what an average from an empty start lacks
        rate = np.asarray(eta * np.sqrt(1 - beta2 ** t[:-1]))
        return Steps(rate, (1 - mu[:-1]) / absent[:-1], mu[1:] / absent[1:])


class _Rmsprop(DividedUpdate):
    """A sum of gradients that were divided one by one."""

    adds_divided = True

    def __init__(self, rule: UpdateRule) -> None:
        mu, self.smoothing = rule["momentum"], rule["alpha"]
        self.mixing = Mixing(mu, np.ones(()), np.ones(()), mu)

    def memory(self) -> Memory:
        """Its buffer adds up gradients that were divided by their root mean square."""
        mu = self.mixing.mu
        size = sum(_shares(np.zeros(()), self.smoothing)) / (1 - mu**2)
        return Memory(np.asarray(size), parts(mu), parts(mu))

    def thinning(self) -> float:
        return float(sum(_shares(np.zeros(()), self.smoothing)))


def _shares(beta1: FloatArray, beta2: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The two terms in brackets of Adam's memory, the second without its β₂^k."""
    epsilon, omega = _fluctuation(beta2)
    kept = epsilon * (1 - beta1**2) / (1 - beta1**2 * beta2)
    return np.asarray(1 + 0.75 * omega - kept), np.asarray(0.25 * omega - kept)


def _fluctuation(beta2: FloatArray) -> tuple[FloatArray, FloatArray]:
    """ε = 1 − β₂, and ω, the relative variance of the second moment."""
    epsilon = 1 - beta2
    return epsilon, 2 * epsilon / (1 + beta2)


_UPDATES: Final[dict[str, Any]] = {
    "adam": _Adam,
    "adamw": _Adam,
    "nadam": _Nadam,
    "rmsprop": _Rmsprop,
}


def update_of(rule: UpdateRule) -> DividedUpdate:
    """The update of a rule of this model."""
    update: DividedUpdate = _UPDATES[rule.name](rule)
    return update
