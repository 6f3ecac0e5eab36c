"""Studies: the claims of papers, tested by training many small networks."""

from etaeff.errors import import_extra

# First of all, so that a missing package is one sentence wherever it would be needed.
# ruff: noqa: E402
for _package in ("filelock", "polars", "scipy"):
    import_extra(_package, "study")

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
