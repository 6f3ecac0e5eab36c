"""Which kernel carries out the steps of a group, and why."""

from typing import NamedTuple

from etaeff.optim.kernels.contract import Kernel
from etaeff.optim.kernels.reference import REFERENCE
from etaeff.optim.rules import Group


class Choice(NamedTuple):
    """A kernel, and the reason in words."""

    kernel: Kernel
    reason: str

    def __str__(self) -> str:
        """As `repr` of an optimiser shows it."""
        return f"{self.kernel.name} ({self.reason})"


def choose(group: Group) -> Choice:
    """The kernel for a group on spheres.

    Examples:
        >>> print(choose({"foreach": None, "fused": None}))
        reference (the only kernel there is)
    """
    for flag in ("fused", "foreach"):
        if group.get(flag):
            return Choice(REFERENCE, f"`{flag}` is for groups without blocks; spheres have one")
    return Choice(REFERENCE, "the only kernel there is")
