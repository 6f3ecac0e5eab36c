"""torch.optim's update rules for a stack of networks, each with a rate and a decay of its own.

A param group has one learning rate, a stack has one per network. All rules used here add a
multiple of the learning rate to the weights, Δw = η·d(gradients so far), and d is free of η.
So torch.optim works out d, by a step with rate 1 from weights of zero, and this file adds
η·d with each network's own η. The decay is added here for the same reason.

Notation
    η    learning rate of one network, this step        λ    its weight decay
    d    the direction that torch.optim returns
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from etaeff.errors import UsageError
from etaeff.records import Trial
from etaeff.studies.engine._architecture import role
from etaeff.theory.settings import Setting, optimizer_of


def torch_optimizer(setting: Setting, tensors: Sequence[Tensor]) -> torch.optim.Optimizer:
    """Torch's optimiser of a setting, with rate 1 and no decay.

    What the setting leaves open is as torch has it.

    Args:
        setting: Of an optimiser whose class is one of torch.optim, with a step linear in η.
        tensors: What it steps.

    Raises:
        UsageError: If torch.optim does not have it.
    """
    names = optimizer_of(setting.optimizer).classes
    kinds = [getattr(torch.optim, name) for name in names if hasattr(torch.optim, name)]
    if not kinds:
        raise UsageError(f"torch.optim has no optimizer '{setting.optimizer}'.")
    options = setting.arguments()
    for ours in ("lr", "wd", "decay"):
        options.pop(ours, None)
    optimizer: torch.optim.Optimizer = kinds[0](
        tensors, lr=1.0, weight_decay=0.0, foreach=True, **options
    )
    return optimizer


def decouples(setting: Setting) -> bool:
    """Whether the decay shrinks the weight, as AdamW's does, or enters the gradient."""
    return (setting.decay or optimizer_of(setting.optimizer).usual_decay) == "decoupled"


class StackedOptimizer:
    """Steps a stack's parameters in place.

    Args:
        trials: One for each network of the stack, all with the same optimiser.
        parameters: By name, each with a leading axis as long as `trials`.
    """

    def __init__(self, trials: Sequence[Trial], parameters: Mapping[str, Tensor]) -> None:
        self._decoupled = decouples(trials[0].setting)
        self._names = list(parameters)
        self._tensors = list(parameters.values())
        self._directions = [torch.zeros_like(p) for p in self._tensors]
        self._inner = torch_optimizer(trials[0].setting, self._directions)
        last_gain = [name for name in self._names if role(name) == "gain"][-1:]
        self._rates, self._decays = [], []
        for name, tensor in parameters.items():
            rates = [_rate(trial, name) for trial in trials]
            decays = [_decay(trial, name, last=[name] == last_gain) for trial in trials]
            self._rates.append(_leading(rates, tensor))
            self._decays.append(_leading(decays, tensor) if any(decays) else None)

    def step(self, gradients: Iterable[Tensor], factors: Sequence[float]) -> None:
        """One step with rates `factors[i]` times those of trial i (its schedule)."""
        for p, d, gradient, decay in zip(
            self._tensors, self._directions, gradients, self._decays, strict=True
        ):
            # A copy in any case: torch's Nesterov overwrites the gradient that it is given.
            if decay is not None and not self._decoupled:
                d.grad = torch.addcmul(gradient, decay, p)
            else:
                d.grad = gradient.clone()
            d.zero_()
        self._inner.step()
        scheduled = any(factor != 1.0 for factor in factors)
        for p, d, rate, decay in zip(
            self._tensors, self._directions, self._rates, self._decays, strict=True
        ):
            lr = rate * _leading(factors, p) if scheduled else rate
            if decay is not None and self._decoupled:
                p.mul_(1 - lr * decay)
            p.addcmul_(d, lr)


def _leading(values: Sequence[float], like: Tensor) -> Tensor:
    """`values` along the leading axis, in the dtype of `like` and broadcasting against it."""
    return torch.tensor(values, dtype=like.dtype).view(-1, *[1] * (like.dim() - 1))


def _rate(trial: Trial, name: str) -> float:
    """η of one parameter."""
    rest = trial.arm.lr_rest
    return trial.setting.lr if role(name) == "weight" or rest is None else rest


def _decay(trial: Trial, name: str, *, last: bool) -> float:
    """λ of one parameter; biases (the head's shift, and shifts without a norm) have none."""
    arm = trial.arm
    acts = {
        "weight": arm.decay_weights,
        "head": arm.decay_head,
        "gain": arm.decay_gains == "all" or (arm.decay_gains == "last" and last),
        "shift": arm.decay_gains == "all" and name != "head.shift",
    }[role(name)]
    return trial.setting.wd if acts else 0.0
