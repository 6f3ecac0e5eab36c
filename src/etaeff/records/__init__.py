"""Specifications, rows and where they are kept. Loads no torch.

Names are loaded when they are first used: whoever writes a file needs no trial, and a trial loads
NumPy, with which its setting is checked.
"""

import typing as _typing

from etaeff._lazy import lazy_names as _lazy_names

if _typing.TYPE_CHECKING:
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

_HOMES = {
    "CLAIMS_FILE": "etaeff.records._conventions",
    "DECAYED_GAINS": "etaeff.records._arm",
    "DECAY_FIELDS": "etaeff.records._arm",
    "EPOCHS_FILE": "etaeff.records._conventions",
    "MOMENTUM": "etaeff.records._variants",
    "NETWORKS": "etaeff.records._task",
    "NORMALISATIONS": "etaeff.records._arm",
    "NORMS": "etaeff.records._arm",
    "OPTIMIZERS": "etaeff.records._variants",
    "RESCALINGS_FILE": "etaeff.records._conventions",
    "RESULTS_FILE": "etaeff.records._conventions",
    "SCHEDULES": "etaeff.theory",
    "SETTLED": "etaeff.records._conventions",
    "STORE_FILE": "etaeff.records._conventions",
    "TABLES": "etaeff.records._store",
    "TAIL": "etaeff.records._conventions",
    "TRIAL_COLUMNS": "etaeff.records._trial",
    "VARIANTS": "etaeff.records._variants",
    "Arm": "etaeff.records._arm",
    "ClaimRecord": "etaeff.records._finding",
    "EpochRow": "etaeff.records._rows",
    "Finding": "etaeff.records._finding",
    "LayerRow": "etaeff.records._rows",
    "OutcomeRow": "etaeff.records._rows",
    "RescaleRow": "etaeff.records._rows",
    "StudyStore": "etaeff.records._store",
    "Task": "etaeff.records._task",
    "Trial": "etaeff.records._trial",
    "TrialResults": "etaeff.records._rows",
    "Verdict": "etaeff.records._finding",
    "setting_of": "etaeff.records._variants",
    "variant": "etaeff.records._variants",
    "verdict": "etaeff.records._finding",
    "write_atomically": "etaeff.records._files",
}
__getattr__, __dir__ = _lazy_names(__name__, __all__, _HOMES)
