"""Specifications, rows and where they are kept. Loads no torch.

Names are loaded when they are first used: whoever writes a file needs no trial, and a trial loads
NumPy, with which its setting is checked.
"""

import importlib as _importlib
import typing as _typing

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
    "CLAIMS_FILE": "records._conventions",
    "DECAYED_GAINS": "records._arm",
    "DECAY_FIELDS": "records._arm",
    "EPOCHS_FILE": "records._conventions",
    "MOMENTUM": "records._variants",
    "NETWORKS": "records._task",
    "NORMALISATIONS": "records._arm",
    "NORMS": "records._arm",
    "OPTIMIZERS": "records._variants",
    "RESCALINGS_FILE": "records._conventions",
    "RESULTS_FILE": "records._conventions",
    "SCHEDULES": "theory",
    "SETTLED": "records._conventions",
    "STORE_FILE": "records._conventions",
    "TABLES": "records._store",
    "TAIL": "records._conventions",
    "TRIAL_COLUMNS": "records._trial",
    "VARIANTS": "records._variants",
    "Arm": "records._arm",
    "ClaimRecord": "records._finding",
    "EpochRow": "records._rows",
    "Finding": "records._finding",
    "LayerRow": "records._rows",
    "OutcomeRow": "records._rows",
    "RescaleRow": "records._rows",
    "StudyStore": "records._store",
    "Task": "records._task",
    "Trial": "records._trial",
    "TrialResults": "records._rows",
    "Verdict": "records._finding",
    "setting_of": "records._variants",
    "variant": "records._variants",
    "verdict": "records._finding",
    "write_atomically": "records._files",
}


def __getattr__(name: str) -> _typing.Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _importlib.import_module(f"etaeff.{_HOMES[name]}")
    globals()[name] = value = getattr(home, name)  # the next use does not come here
    return value


def __dir__() -> list[str]:
    return __all__
