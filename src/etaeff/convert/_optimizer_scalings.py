r"""What an optimiser's numbers become when a scale-invariant weight w becomes cw.

The gradient is then that of the old weight divided by c. Every row of `SCALINGS` gives the powers
of c with which the settings and the state must be multiplied, so that the next step, and with it
every later one, is c times what it was:

- what averages gradients goes with $c^{-1}$, what averages their squares with $c^{-2}$;
- ε goes with the power of what it is added to, so the law is exact at any ε;
- λ in the gradient (L2) goes with $c^{-2}$, since λw must shrink as the gradient does;
- decoupled decay takes the share ηλ of the weight, so λ goes with the inverse of η's factor;
- η then makes up for the rest: $c^2$ if the step is linear in the gradient, $c$ if the step
  ignores the gradient's scale.

References:
    van Laarhoven 2017 for the powers of ‖w‖; Li & Arora, "An Exponential Learning
    Rate Schedule for Deep Learning", 2020, Lemma 2.4, for SGD. The other rows are derived here,
    from the code of torch.optim, and tested on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.optim import Optimizer

from etaeff.errors import UsageError


@dataclass(frozen=True)
class Scaling:
    """Powers of c for one class of torch.optim.

    Args:
        lr: For the learning rate η.
        state: For each tensor of a parameter's state.
        eps: For ε.
        others: For settings that only this optimiser has.
        decoupled: Whether decay acts on the weight, where the group does not say it.
        settles: Whether decay and steps balance at a radius that is a power of η/λ.
    """

    lr: int
    state: Mapping[str, int]
    eps: int = 0
    others: Mapping[str, int] | None = None
    decoupled: bool = False
    settles: bool = True

    def weight_decay(self, group: Mapping[str, Any]) -> int:
        """The power for λ, which depends on where the decay acts."""
        return -self.lr if group.get("decoupled_weight_decay", self.decoupled) else -2

    def settings(self, group: Mapping[str, Any]) -> dict[str, int]:
        """The powers for the settings of a param group; others keep their value."""
        powers = {
            **dict.fromkeys(LEARNING_RATES, self.lr),
            "weight_decay": self.weight_decay(group),
            "eps": self.eps,
            **(self.others or {}),
        }
        return {key: power for key, power in powers.items() if power and key in group}


# Schedules leave theirs in the groups: `initial_lr` all of them, the others OneCycleLR.
LEARNING_RATES: Final = ("lr", "initial_lr", "max_lr", "min_lr")

_MOMENTS: Final = {"step": 0, "exp_avg": -1, "exp_avg_sq": -2}

SCALINGS: Final[Mapping[str, Scaling]] = {
    # Linear in the gradient.
    "SGD": Scaling(2, {"momentum_buffer": -1}),
    # `ax` averages weights; `lambd` decays by the share `lambd`·η; `eta` is the current η.
    "ASGD": Scaling(
        2, {"step": 0, "eta": 2, "mu": 0, "ax": 1}, others={"lambd": -2}, settles=False
    ),
    # One ε serves the squares of gradients and of steps. So both go with c⁻², the steps that
    # are averaged with c⁻¹, and η with c², though the step ignores the gradient's scale.
    "Adadelta": Scaling(2, {"step": 0, "square_avg": -2, "acc_delta": -2}, eps=-2, settles=False),
    # Blind to the gradient's scale.
    "Adam": Scaling(1, {**_MOMENTS, "max_exp_avg_sq": -2}, eps=-1),
    "AdamW": Scaling(1, {**_MOMENTS, "max_exp_avg_sq": -2}, eps=-1, decoupled=True),
    "NAdam": Scaling(1, {**_MOMENTS, "mu_product": 0}, eps=-1),
    "RAdam": Scaling(1, _MOMENTS, eps=-1),
    "Adamax": Scaling(1, {"step": 0, "exp_avg": -1, "exp_inf": -1}, eps=-1),
    "Adagrad": Scaling(1, {"step": 0, "sum": -2}, eps=-1, settles=False),
    # Its momentum averages normalised gradients, which have no scale.
    "RMSprop": Scaling(
        1, {"step": 0, "square_avg": -2, "grad_avg": -1, "momentum_buffer": 0}, eps=-1
    ),
    # Each entry has its own step size, which starts at η; `prev` is the last gradient.
    "Rprop": Scaling(
        1, {"step": 0, "prev": -1, "step_size": 1}, others={"step_sizes": 1}, settles=False
    ),
    "Muon": Scaling(1, {"momentum_buffer": -1}, eps=-1, decoupled=True),
}


def scaling_of(optimizer: Optimizer) -> Scaling:
    """The row of an optimiser, by its exact class: a subclass may do anything.

    Args:
        optimizer: An instance of a class of torch.optim.

    Raises:
        UsageError: If the class is not in the table.

    Examples:
        >>> scaling_of(torch.optim.SGD([torch.zeros(1)])).lr
        2
    """
    kind = type(optimizer)
    # By name, since older versions of torch lack some of them.
    if kind.__name__ not in SCALINGS or kind is not getattr(torch.optim, kind.__name__, None):
        raise UsageError(
            f"`optimizer` must be one of torch.optim's {', '.join(SCALINGS)}, got "
            f"{kind.__module__}.{kind.__qualname__}: how its state and settings follow the "
            "radius is not known. If it wraps one of these, pass that one."
        )
    return SCALINGS[kind.__name__]


def takes_plain_steps(optimizer: Optimizer, parameter: Tensor, betas: tuple[float, float]) -> bool:
    r"""Whether RAdam is still in its first steps, which are linear in the gradient.

    $$\rho_t = \rho_\infty - \frac{2 t \beta_2^t}{1 - \beta_2^t} \le 5, \qquad
    \rho_\infty = \frac{2}{1-\beta_2} - 1$$

    Later it divides by the second moment, which then rests on more than five samples. Before,
    η would need c², and after, c.

    Args:
        optimizer: A RAdam; others never do.
        parameter: One of its parameters.
        betas: Those of its group.

    References:
        Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", 2020,
        Algorithm 2 (there the threshold is 4).
    """
    if not isinstance(optimizer, torch.optim.RAdam):
        return False
    next_step = 1 + float(optimizer.state.get(parameter, {}).get("step", 0))
    power = betas[1] ** next_step
    longest = 2 / (1 - betas[1]) - 1
    return not longest - 2 * next_step * power / (1 - power) > 5
