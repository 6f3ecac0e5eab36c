"""A model that can be run at any weights, and what it is run on."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from etaeff.symmetry._measurement._float64 import Run
from etaeff.symmetry._measurement._weights import Lazy


@dataclass(frozen=True)
class Experiment:
    """What a measurement is made with.

    Attributes:
        run: The model.
        parameters: By canonical name.
        aliases: Canonical name of every name, tied ones too.
        inputs: The flat inputs that it was traced with.
        held: Names of parameters that are taken as they are.
    """

    run: Run
    parameters: Mapping[str, Tensor]
    aliases: Mapping[str, str]
    inputs: Sequence[Any]
    held: Collection[str] = ()

    @property
    def free(self) -> list[str]:
        """Names of parameters that are not held."""
        return [name for name in self.parameters if name not in self.held]

    def outputs(self, weight: Callable[[str], Lazy], inputs: Sequence[Any]) -> list[Tensor]:
        """What it puts out with a weight for each canonical name."""
        return self.run({alias: weight(name) for alias, name in self.aliases.items()}, list(inputs))
