"""The audit: which weights a normalisation makes scale-invariant, proved and measured."""

from etaeff.records.audits import DecayKind, Ground, Note, NoteKind, SymmetryKind
from etaeff.symmetry._audit import audit
from etaeff.symmetry._effects import DecayEffect
from etaeff.symmetry._forecasts import GroupForecast
from etaeff.symmetry._report import Audit
from etaeff.symmetry._symmetry import Symmetry

__all__ = [
    "Audit",
    "DecayEffect",
    "DecayKind",
    "Ground",
    "GroupForecast",
    "Note",
    "NoteKind",
    "Symmetry",
    "SymmetryKind",
    "audit",
]
