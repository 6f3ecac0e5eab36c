"""Specifications, rows and where they are kept. Loads no torch."""

from etaeff.records._arm import DECAY_FIELDS, DECAYED_GAINS, NORMALISATIONS, NORMS, Arm
from etaeff.records._conventions import (
    CLAIMS_FILE,
    EPOCHS_FILE,
    RESCALINGS_FILE,
    RESULTS_FILE,
    SETTLED,
    STORE_FILE,
    TAIL,
)
from etaeff.records._files import write_atomically
from etaeff.records._finding import ClaimRecord, Finding, Verdict, verdict
from etaeff.records._rows import EpochRow, LayerRow, OutcomeRow, RescaleRow, TrialResults
from etaeff.records._store import TABLES, StudyStore
from etaeff.records._task import NETWORKS, Task
from etaeff.records._trial import TRIAL_COLUMNS, Trial
from etaeff.records._variants import MOMENTUM, OPTIMIZERS, VARIANTS, setting_of, variant
from etaeff.theory import SCHEDULES

__all__ = [
    "CLAIMS_FILE",
    "DECAYED_GAINS",
    "DECAY_FIELDS",
    "EPOCHS_FILE",
    "MOMENTUM",
    "NETWORKS",
    "NORMALISATIONS",
    "NORMS",
    "OPTIMIZERS",
    "RESCALINGS_FILE",
    "RESULTS_FILE",
    "SCHEDULES",
    "SETTLED",
    "STORE_FILE",
    "TABLES",
    "TAIL",
    "TRIAL_COLUMNS",
    "VARIANTS",
    "Arm",
    "ClaimRecord",
    "EpochRow",
    "Finding",
    "LayerRow",
    "OutcomeRow",
    "RescaleRow",
    "StudyStore",
    "Task",
    "Trial",
    "TrialResults",
    "Verdict",
    "setting_of",
    "variant",
    "verdict",
    "write_atomically",
]
