"""The audit: which weights a normalisation makes scale-invariant, proved and measured."""

from etaeff.symmetry._audit import audit
from etaeff.symmetry._effects import Parameter
from etaeff.symmetry._report import Audit
from etaeff.symmetry._symmetry import Symmetry

__all__ = ["Audit", "Parameter", "Symmetry", "audit"]
