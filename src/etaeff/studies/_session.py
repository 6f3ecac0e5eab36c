"""How and on what a study was run."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from etaeff.studies.executors._executor import Executor

PACKAGES: Final = ("etaeff", "torch", "numpy", "scipy", "polars")


def session(executor: Executor) -> dict[str, Any]:
    """Time, executor, versions and machine, as plain JSON values."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        **executor.description,
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "processors": os.cpu_count(),
    }


def _processor() -> str:
    """The processor's model, where the system says it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
