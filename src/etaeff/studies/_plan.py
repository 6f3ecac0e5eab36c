"""How large a study is, and the trials that follow."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from etaeff.records import Trial


@dataclass(frozen=True)
class Preset:
    """The size of a study.

    Attributes:
        name: What users type.
        network: `"mlp"` or `"conv"`.
        width: Hidden units, or channels of the first convolution.
        train_size: Training examples.
        batch_size: Examples per step.
        long: Steps of runs whose radius must settle at small ηλ.
        steps: Steps of runs that must reach equilibrium, and of those they are compared with.
        short: Steps of runs that only need to fit their data.
        seeds: Seeds per point of a grid.
        more_seeds: Seeds per setting where a claim compares settings with each other.
        data: Data set where none is named, or `None` if one must be.
    """

    name: str
    network: str
    width: int
    train_size: int
    batch_size: int
    long: int
    steps: int
    short: int
    seeds: int
    more_seeds: int
    data: str | None


PRESETS: Final[Mapping[str, Preset]] = {
    "quick": Preset(
        "quick",
        network="mlp",
        width=64,
        train_size=600,
        batch_size=32,
        long=5000,
        steps=2000,
        short=1000,
        seeds=3,
        more_seeds=5,
        data="digits",
    ),
    "full": Preset(
        "full",
        network="conv",
        width=8,
        train_size=6000,
        batch_size=32,
        long=5000,
        steps=2000,
        short=2000,
        seeds=3,
        more_seeds=5,
        data=None,
    ),
}


@dataclass(frozen=True)
class Plan:
    """Makes the trials of a study of one size on one data set.

    Attributes:
        preset: The size.
        data: Name of the data set.
        seeds: Seeds per point and setting; `None` for the preset's.
    """

    preset: Preset
    data: str
    seeds: int | None = None

    def trials(self, settings: Iterable[Mapping[str, Any]], **common: Any) -> tuple[Trial, ...]:
        """A trial for every setting and seed of a grid."""
        return self._trials(settings, self.seeds or self.preset.seeds, common)

    def compared(self, settings: Iterable[Mapping[str, Any]], **common: Any) -> tuple[Trial, ...]:
        """As `trials`, with the seeds that comparing settings takes."""
        return self._trials(settings, self.seeds or self.preset.more_seeds, common)

    def _trials(
        self, settings: Iterable[Mapping[str, Any]], seeds: int, common: Mapping[str, Any]
    ) -> tuple[Trial, ...]:
        """A trial for every setting and each seed; settings go before what is common."""
        base = {
            "data": self.data,
            "train_size": self.preset.train_size,
            "network": self.preset.network,
            "width": self.preset.width,
            "batch_size": self.preset.batch_size,
            "steps": self.preset.steps,
        }
        return tuple(
            Trial.of(**{**base, **common, **setting, "seed": seed})
            for setting in settings
            for seed in range(seeds)
        )


def combinations(**values: Iterable[Any]) -> list[dict[str, Any]]:
    """All combinations of the values.

    Examples:
        >>> combinations(lr=(0.1, 0.3), wd=(0.0,))
        [{'lr': 0.1, 'wd': 0.0}, {'lr': 0.3, 'wd': 0.0}]
    """
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]
