"""Studies: the claims of papers, tested by training many small networks.

Names are loaded when they are first used: a worker process trains, and needs neither the frames
nor the statistics that the claims are judged with.
"""

import importlib as _importlib
import typing as _typing

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
    "Dataset": "data._dataset",
    "load_dataset": "data._datasets",
    "take": "data._dataset",
    "PRESETS": "_plan",
    "Preset": "_plan",
    "Progress": "_progress",
}


def __getattr__(name: str) -> _typing.Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _importlib.import_module(f"{__name__}.{_HOMES.get(name, '_study')}")
    globals()[name] = value = getattr(home, name)  # the next use does not come here
    return value


def __dir__() -> list[str]:
    return __all__
