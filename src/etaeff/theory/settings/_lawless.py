"""The classes of torch.optim of which no law is derived, each with the reason."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from etaeff.errors import NoLawError

LAWLESS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Adadelta": "it divides by the steps that it took before, and decay and steps balance at "
        "no radius that is a power of lr over wd",
        "Adafactor": "it scales its steps by the size of the weight itself, so that they balance "
        "with the decay at no radius",
        "Adagrad": "it divides by the sum of all squared gradients, so that its steps shrink for "
        "ever and balance with the decay at no radius",
        # Gradients of one variance, normal or Laplace: Adam is as it was, Adamax turns 20 % less.
        "Adamax": "it divides by the largest of its decayed gradients, whose size rests on the "
        "tails of their distribution and lags behind the radius by the age of the largest, and no "
        "few moments say either",
        "ASGD": "its learning rate falls by a schedule of its own, and it decays by another share",
        "LBFGS": "it searches along the line, so that its step has no length of its own",
        "RAdam": "it takes plain steps until its second moment is known, and rectifies later ones",
        "Rprop": "each entry has a step size of its own that follows the signs of its gradients",
        "SparseAdam": "it steps where a sparse gradient has entries only, and decays no weight",
    }
)
LAWLESS_NAMES: Final = {kind.lower(): kind for kind in LAWLESS}  # as `theory` would take them


def no_law(kind: str) -> NoLawError:
    """The refusal of a class of torch.optim that has no law."""
    return NoLawError(f"No law is derived for {kind}: {LAWLESS[kind]}.")
