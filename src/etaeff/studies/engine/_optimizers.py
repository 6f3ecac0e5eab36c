"""torch.optim's update rules for a stack of networks, each with a rate and a decay of its own.

A param group has one learning rate, a stack has one per network. All rules used here add a
multiple of the learning rate to the weights, Δw = η·d(gradients so far), and d is free of η.
So torch.optim works out d, by a step with rate 1 from weights of zero, and this file adds
η·d with each network's own η. The decay is added here for the same reason.

Notation
    η    learning rate of one network, this step        λ    its weight decay
    d    the direction that torch.optim returns
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from etaeff.records import MOMENTUM, Trial
from etaeff.studies.engine._architecture import role


class Rule(NamedTuple):
    """One of `records.OPTIMIZERS` in terms of torch.optim.

    Attributes:
        build: Makes the torch optimiser, with the defaults of torch but for the momentum.
        theory_name: Its name in `etaeff.theory`.
        decoupled: Whether the decay shrinks the weight (AdamW) or enters the gradient.
    """

    build: Callable[[Sequence[Tensor]], torch.optim.Optimizer]
    theory_name: str
    decoupled: bool = False


def _sgd(**options: Any) -> Callable[[Sequence[Tensor]], torch.optim.Optimizer]:
    return lambda tensors: torch.optim.SGD(tensors, lr=1.0, foreach=True, **options)


RULES: Final[Mapping[str, Rule]] = {
    "sgd": Rule(_sgd(), "sgd"),
    "heavy-ball": Rule(_sgd(momentum=MOMENTUM), "sgd"),
    "nesterov": Rule(_sgd(momentum=MOMENTUM, nesterov=True), "sgd"),
    "rmsprop": Rule(lambda p: torch.optim.RMSprop(p, lr=1.0, foreach=True), "rmsprop"),
    "adam": Rule(lambda p: torch.optim.Adam(p, lr=1.0, foreach=True), "adam"),
    "adamw": Rule(
        lambda p: torch.optim.AdamW(p, lr=1.0, weight_decay=0.0, foreach=True),
        "adamw",
        decoupled=True,
    ),
}


class StackedOptimizer:
    """Steps a stack's parameters in place.

    Args:
        trials: One for each network of the stack, all with the same `optimizer`.
        parameters: By name, each with a leading axis as long as `trials`.
    """

    def __init__(self, trials: Sequence[Trial], parameters: Mapping[str, Tensor]) -> None:
        self._rule = RULES[trials[0].optimizer]
        self._names = list(parameters)
        self._tensors = list(parameters.values())
        self._directions = [torch.zeros_like(p) for p in self._tensors]
        self._inner = self._rule.build(self._directions)
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
            if decay is not None and not self._rule.decoupled:
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
            if decay is not None and self._rule.decoupled:
                p.mul_(1 - lr * decay)
            p.addcmul_(d, lr)


def _leading(values: Sequence[float], like: Tensor) -> Tensor:
    """`values` along the leading axis, in the dtype of `like` and broadcasting against it."""
    return torch.tensor(values, dtype=like.dtype).view(-1, *[1] * (like.dim() - 1))


def _rate(trial: Trial, name: str) -> float:
    return trial.lr if role(name) == "weight" or trial.lr_rest is None else trial.lr_rest


def _decay(trial: Trial, name: str, *, last: bool) -> float:
    """λ of one parameter; biases (the head's shift, and shifts without a norm) have none."""
    kind = role(name)
    acts = {
        "weight": trial.decay_weights,
        "head": trial.decay_head,
        "gain": trial.decay_gains == "all" or (trial.decay_gains == "last" and last),
        "shift": trial.decay_gains == "all" and name != "head.shift",
    }[kind]
    return trial.wd if acts else 0.0
