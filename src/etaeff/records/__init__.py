"""Specifications, rows and where they are kept. Loads no torch."""

from etaeff.records._files import write_atomically
from etaeff.records._finding import ClaimRecord, Finding, Verdict, verdict
from etaeff.records._rows import EpochRow, LayerRow, OutcomeRow, RescaleRow, TrialResults
from etaeff.records._store import TABLES, StudyStore
from etaeff.records._trial import (
    DECAYED_GAINS,
    MOMENTUM,
    NETWORKS,
    NORMS,
    OPTIMIZERS,
    SCHEDULES,
    Trial,
)

__all__ = [
    "DECAYED_GAINS",
    "MOMENTUM",
    "NETWORKS",
    "NORMS",
    "OPTIMIZERS",
    "SCHEDULES",
    "TABLES",
    "ClaimRecord",
    "EpochRow",
    "Finding",
    "LayerRow",
    "OutcomeRow",
    "RescaleRow",
    "StudyStore",
    "Trial",
    "TrialResults",
    "Verdict",
    "verdict",
    "write_atomically",
]
