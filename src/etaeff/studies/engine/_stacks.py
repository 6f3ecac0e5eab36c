"""Which trials train side by side."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from etaeff.records import Trial

# On a CPU a batched MLP is fastest with about this many networks; a convolution gains nothing.
STACK_SIZE: Final = {"mlp": 32, "conv": 1}


def stack_key(trial: Trial) -> tuple[Any, ...]:
    """What trials of one stack must agree in, because it shapes the computation."""
    return (
        trial.data,
        trial.train_size,
        trial.network,
        trial.width,
        trial.norm,
        trial.optimizer,
        trial.sphere,
        trial.steps,
        trial.batch_size,
    )


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
    count = -(-len(group) // STACK_SIZE[group[0].network])
    return [tuple(group[i::count]) for i in range(count)]


def work(stack: Sequence[Trial]) -> int:
    """The steps of all trials of a stack."""
    return sum(trial.steps for trial in stack)
