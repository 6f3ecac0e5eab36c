"""Which trials can be trained, and which of them side by side."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from etaeff.errors import UnknownNameError, UsageError
from etaeff.records import NETWORKS, Trial, variant

# On a CPU a batched MLP is fastest with about this many networks; a convolution gains nothing.
STACK_SIZE: Final = {"mlp": 32, "conv": 1}
# Optimisers that theory knows and no stack can have, and why. All others are torch.optim's.
UNSTACKABLE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "lion": "torch.optim does not have it",
        "muon": "torch.optim's takes matrices alone, and a stack's weights have an axis more",
        "normalized": "torch.optim does not have it",
    }
)


def check_trainable(trials: Iterable[Trial]) -> None:
    """Refuse what the engine cannot train, before anything is trained.

    Raises:
        UnknownNameError: If a network is not known.
        UsageError: If an optimiser cannot be stacked.

    Examples:
        >>> trial = Trial.of(data="digits", train_size=600, steps=9, optimizer="muon", lr=0.1)
        >>> check_trainable([trial])
        Traceback (most recent call last):
        etaeff.errors.UsageError: `optimizer` 'muon' cannot train in a stack: torch.optim's takes \
matrices alone, and a stack's weights have an axis more.
    """
    for trial in trials:
        setting = trial.setting
        if trial.task.network not in NETWORKS:
            raise UnknownNameError("network", trial.task.network, NETWORKS)
        if setting.optimizer in UNSTACKABLE:
            raise UsageError(
                f"`optimizer` '{variant(setting)}' cannot train in a stack: "
                f"{UNSTACKABLE[setting.optimizer]}."
            )
        if setting.nesterov and (not trial.momentum or setting.dampening):
            raise UsageError(
                "`nesterov` needs `momentum` above 0 and no `dampening`, got "
                f"{trial.momentum} and {setting.dampening or 0.0}."
            )


def stack_key(trial: Trial) -> tuple[Any, ...]:
    """What trials of one stack must agree in, because it shapes the computation."""
    optimizer = replace(trial.setting, lr=1.0, wd=0.0)
    return (trial.task, optimizer, trial.arm.norm, trial.arm.sphere)


def stacks(trials: Iterable[Trial]) -> list[tuple[Trial, ...]]:
    """The trials in stacks, the longest to train first, so that workers end together.

    The same trials in the same order always give the same stacks. On the machines tried, a
    trial's losses and errors are the same bit for bit whatever it is stacked with, and its
    measured angles to the last bit; torch promises neither, so a stack is run whole or not at
    all.

    Args:
        trials: All trials of a study, finished ones included.
    """
    alike: dict[tuple[Any, ...], list[Trial]] = defaultdict(list)
    for trial in trials:
        alike[stack_key(trial)].append(trial)
    split = [stack for group in alike.values() for stack in _evenly(group)]
    return sorted(split, key=work, reverse=True)


def _evenly(group: list[Trial]) -> list[tuple[Trial, ...]]:
    """As few stacks as the size allows, all of nearly one size."""
    count = -(-len(group) // STACK_SIZE[group[0].task.network])
    return [tuple(group[i::count]) for i in range(count)]


def work(stack: Sequence[Trial]) -> int:
    """The steps of all trials of a stack."""
    return sum(trial.task.steps for trial in stack)
