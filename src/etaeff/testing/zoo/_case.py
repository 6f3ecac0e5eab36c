"""A case of the zoo: a model, and the truth about its scaling symmetries, derived by hand."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import Tensor, nn

from etaeff.errors import UnknownNameError
from etaeff.geometry import Block


@dataclass(frozen=True, kw_only=True)
class Case:
    """A small model, and its scaling symmetries as they follow from the mathematics.

    A symmetry multiplies every parameter p by tᵉ, with an exponent e for each, and leaves the
    outputs as they are for every t > 0. It is written `"a b / c"`: the exponents of `a` and `b`
    are 1, that of `c` is −1, all others 0; `"2·a"` has the exponent 2; names may have wildcards.

    Attributes:
        name: Of the case; no other has it.
        because: Why the labels are what they are, in a sentence or two.
        build: Makes the model, with random weights; see `model`.
        inputs: Makes the arguments of its forward pass, by name, the same ones each time.
        symmetries: A basis of those that are not inert.
        inert: Parameters without any effect on the outputs. With these the symmetries are a basis
            of the whole space.
        blocks: What is scale-invariant, cut as finely as it is.
        homogeneous: A direction along which the outputs scale, and the power; directions that
            differ by a symmetry are the same. `None` if there is no such direction.
        lr: Parameters whose decay sets the effective learning rate: a symmetry of one sign moves
            them.
        balances: Parameters whose decay balances a product, and does no more.
        unproved: Inert parameters that only a measurement finds: the graph does not show it.
    """

    name: str
    because: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], dict[str, Tensor]]
    symmetries: tuple[str, ...] = ()
    inert: str = ""
    blocks: tuple[Block, ...] = ()
    homogeneous: tuple[str, int] | None = None
    lr: str = ""
    balances: str = ""
    unproved: str = ""

    @property
    def rank(self) -> int:
        """The dimension of the space of symmetries, inert directions included."""
        return len(self.symmetries) + len(self.inert.split())

    def model(self) -> nn.Module:
        """The model with the same random weights each time; the user's own stream stays."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.build()

    def basis(self, names: Iterable[str]) -> list[dict[str, int]]:
        """The exponents of every symmetry, then those of every inert direction.

        Args:
            names: Of the model's parameters, as `named_parameters` has them.
        """
        known = list(names)
        return [exponents(text, known) for text in (*self.symmetries, *self.inert.split())]

    def contains(self, direction: Mapping[str, float], names: Iterable[str]) -> bool:
        """Whether a direction is a symmetry: a combination of the basis.

        Args:
            direction: Exponents by parameter; those left out are 0.
            names: Of the model's parameters, as `named_parameters` has them.
        """
        known = list(names)
        rows = [[float(row.get(name, 0)) for name in known] for row in self.basis(known)]
        rows.append([float(direction.get(name, 0)) for name in known])
        return int(np.linalg.matrix_rank(np.array(rows))) == self.rank


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that a pattern stands for.

    Raises:
        UnknownNameError: If it stands for none.

    Examples:
        >>> matching("*.bias", ["a.weight", "a.bias"])
        ['a.bias']
    """
    known = list(names)
    matched = [name for name in known if fnmatchcase(name, pattern)]
    if not matched:
        raise UnknownNameError("parameter", pattern, known)
    return matched


def exponents(text: str, names: Iterable[str]) -> dict[str, int]:
    """The exponents by name that the text of a label stands for.

    Raises:
        UnknownNameError: If a pattern of the text stands for no name.

    Examples:
        >>> exponents("2·a b.* / c", ["a", "b.weight", "b.bias", "c", "d"])
        {'a': 2, 'b.weight': 1, 'b.bias': 1, 'c': -1}
    """
    known = list(names)
    powers: dict[str, int] = {}
    for side, sign in zip(text.split("/"), (1, -1), strict=False):
        for word in side.split():
            power, _, pattern = word.rpartition("·")
            for name in matching(pattern, known):
                powers[name] = powers.get(name, 0) + sign * int(power or 1)
    return powers
