"""Studies: the claims of papers, tested by training many small networks.

Names are loaded when they are first used: a worker process trains, and needs neither the frames
nor the statistics that the claims are judged with.
"""

import typing as _typing

from etaeff._lazy import lazy_names as _lazy_names

if _typing.TYPE_CHECKING:
    from etaeff.studies._plan import PRESETS, Preset
    from etaeff.studies._progress import Progress
    from etaeff.studies._study import STUDIES, Status, resume_study, run_study, study_status
    from etaeff.studies.data._dataset import Dataset, take
    from etaeff.studies.data._datasets import load_dataset

__all__ = [
    "PRESETS",
    "STUDIES",
    "Dataset",
    "Preset",
    "Progress",
    "Status",
    "load_dataset",
    "resume_study",
    "run_study",
    "study_status",
    "take",
]

_HOMES = {
    "Dataset": "etaeff.studies.data._dataset",
    "load_dataset": "etaeff.studies.data._datasets",
    "take": "etaeff.studies.data._dataset",
    "PRESETS": "etaeff.studies._plan",
    "Preset": "etaeff.studies._plan",
    "Progress": "etaeff.studies._progress",
    "STUDIES": "etaeff.studies._study",
    "Status": "etaeff.studies._study",
    "resume_study": "etaeff.studies._study",
    "run_study": "etaeff.studies._study",
    "study_status": "etaeff.studies._study",
}
__getattr__, __dir__ = _lazy_names(__name__, __all__, _HOMES)
