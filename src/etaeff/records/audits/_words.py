"""The words of an audit: what symmetries there are, and what decay does to a parameter."""

from enum import StrEnum
from typing import Final


class _Word(StrEnum):
    """A word that is a value: it prints, and is written to JSON, as the plain string."""

    def __repr__(self) -> str:
        """The word in quotes."""
        return repr(self.value)


class SymmetryKind(_Word):
    """What happens to the outputs if parameters are scaled along a symmetry."""

    SCALE_INVARIANT = "scale-invariant"  # nothing, and all exponents have one sign
    RESCALING = "rescaling"  # nothing, as some are scaled up and others down
    INERT = "inert"  # nothing, whatever the one parameter is
    HOMOGENEOUS = "homogeneous"  # they are scaled too, so that their direction stays


class DecayKind(_Word):
    """What weight decay does to a parameter; "Decay …" is a sentence."""

    SETS_LR = "sets the effective learning rate"
    BALANCES = "balances a product"
    REGULARISES = "regularises"
    INERT = "does nothing (inert)"
    FROZEN = "does not touch it (frozen)"
    NOT_REACHED = "has an effect that was not seen (not reached)"
    NOT_KNOWN = "has an effect that is not known"

    @property
    def group(self) -> str:
        """The group of an optimiser in which such parameters belong together."""
        return _GROUPS.get(self, "other")


_GROUPS: Final = {
    DecayKind.SETS_LR: "scale-invariant",
    DecayKind.INERT: "inert",
    DecayKind.FROZEN: "frozen",
}


class Ground(_Word):
    """What a verdict stands on."""

    PROVED = "proved"  # on the graph, and tried by scaling where there are numbers
    MEASURED = "measured"  # samples of gradients and an exact scaling agree
    NOT_KNOWN = "not known"  # the proof finds less than the samples allow, or there are none


# What becomes of the outputs; the legend of a table.
KINDS: Final = {
    SymmetryKind.SCALE_INVARIANT: "scaled in one direction, together, and the outputs stay",
    SymmetryKind.RESCALING: "some up, others down, and the outputs stay",
    SymmetryKind.INERT: "no effect at all",
    SymmetryKind.HOMOGENEOUS: "the outputs scale with them, so that their direction stays",
}

MODES: Final = {"train": "training mode", "eval": "eval mode", "mixed": "mixed modes"}
