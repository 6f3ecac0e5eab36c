"""Who carries out a step on spheres: kernels behind one contract, and the choice among them."""

from etaeff.optim.kernels.choose import Choice, choose
from etaeff.optim.kernels.contract import BlockStep, Kernel
from etaeff.optim.kernels.reference import REFERENCE

__all__ = ["REFERENCE", "BlockStep", "Choice", "Kernel", "choose"]
