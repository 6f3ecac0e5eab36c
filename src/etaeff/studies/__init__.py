"""Studies: the claims of papers, tested by training many small networks."""

from etaeff.studies import _requirements  # noqa: F401 - first, see there
from etaeff.studies._datasets import Dataset, load_dataset, take
from etaeff.studies._plan import PRESETS, Preset
from etaeff.studies._progress import Progress
from etaeff.studies._study import STUDIES, Status, resume_study, run_study, study_status

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
