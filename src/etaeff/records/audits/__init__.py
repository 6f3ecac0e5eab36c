"""Audits as data: their words, and what is alike in them told once. Loads no torch."""

from etaeff.records.audits._digest import Digest, digest
from etaeff.records.audits._effects import Effect, Entry
from etaeff.records.audits._next_steps import NextStep, next_steps
from etaeff.records.audits._notes import Note, NoteKind, notes_of
from etaeff.records.audits._patterns import Pattern, merged, patterns, percent
from etaeff.records.audits._symmetries import Alike, Kind
from etaeff.records.audits._words import KINDS, MODES, DecayKind, Ground, SymmetryKind

__all__ = [
    "KINDS",
    "MODES",
    "Alike",
    "DecayKind",
    "Digest",
    "Effect",
    "Entry",
    "Ground",
    "Kind",
    "NextStep",
    "Note",
    "NoteKind",
    "Pattern",
    "SymmetryKind",
    "digest",
    "merged",
    "next_steps",
    "notes_of",
    "patterns",
    "percent",
]
