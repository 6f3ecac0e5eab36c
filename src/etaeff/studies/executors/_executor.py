"""What an executor is: something that trains stacks of trials, somewhere."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from etaeff.records import Trial, TrialResults
from etaeff.studies.data._dataset import Dataset

Stack = tuple[Trial, ...]


class Executor(Protocol):
    """Trains stacks of trials, here or elsewhere. It writes nothing: the driving process does."""

    @property
    def description(self) -> Mapping[str, Any]:
        """What the record of a session says of it, as plain JSON values."""
        ...

    def train(self, stacks: Sequence[Stack], data: Dataset) -> Iterator[tuple[Stack, TrialResults]]:
        """Train every stack and yield it with its rows, in the order in which they finish.

        Which executor it is, and how many processes it has, changes no bit of a result. When
        the iterator is closed, whatever was started ends.

        Args:
            stacks: What to train.
            data: The data set that all trials name.

        Raises:
            StudyError: If what trains dies.
        """
        ...
