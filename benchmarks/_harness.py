"""Interleaved timings: contestants take turns, and each is compared with the first of its round.

A machine that others use, or that gets warm, runs at another speed a minute later. So the time of
one contestant, taken alone, says as much about the minute as about the code. Here every contestant
runs once in each round, each round begins with another one, and what is compared is times of the
same round. The table shows medians, with the quartiles of the ratios.

    contestants = [Contestant("torch", torch_step), Contestant("ours", our_step)]
    report(__doc__, race(contestants, rounds=20), arguments)

A contestant is a function of this process, or a whole process (`process`).
"""

import argparse
import gc
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Work = Callable[[], Any]
Values = Mapping[str, float]
UNITS = {"s": 1.0, "ms": 1e3, "µs": 1e6}


@dataclass(frozen=True)
class Contestant:
    """What is timed: `work`, which does `amount` of something, after `prepare`, which is not.

    `work` may return numbers by name. They stand beside its time, and one called "seconds" replaces
    it: so a process can leave its imports out.
    """

    name: str
    work: Work
    prepare: Work = lambda: None
    amount: float = 1.0


@dataclass(frozen=True)
class Run:
    """Seconds for an amount of one, and the other numbers of a run."""

    seconds: float
    values: Values


@dataclass(frozen=True)
class Row:
    """A contestant's medians; its ratios to the first contestant, round by round."""

    name: str
    seconds: float
    ratio: float
    ratio_low: float  # the first quartile
    ratio_high: float  # the third
    values: Values


# ------------------------------------------------------------------------------------ what runs


def race(
    contestants: Sequence[Contestant],
    *,
    rounds: int,
    warmups: int = 1,
    lasting: float = 0.0,
    finish: Work = lambda: None,
) -> dict[str, list[Run]]:
    """Run every contestant once in each round.

    Args:
        contestants: The first is the one that the others are compared with.
        rounds: How many runs each has.
        warmups: Rounds before, which do not count: the first use of anything is slow.
        lasting: Seconds that a run lasts at least; shorter work is repeated within it.
        finish: Waits until all work is done, where it goes on by itself, as on a GPU.

    Returns:
        The runs of each contestant by name, in the order of the rounds.
    """
    for _ in range(warmups):
        for own in contestants:
            timed(own, 1, finish)
    repeats = [1] * len(contestants)
    if lasting:
        once = [timed(own, 1, finish).seconds * own.amount for own in contestants]
        repeats = [repeats_for(seconds, lasting) for seconds in once]
    runs: dict[str, list[Run]] = {own.name: [] for own in contestants}
    for order in orders(len(contestants), rounds):
        for i in order:
            runs[contestants[i].name].append(timed(contestants[i], repeats[i], finish))
    return runs


def timed(contestant: Contestant, repeats: int, finish: Work) -> Run:
    """One run, with the collector of garbage still and nothing left for it to collect."""
    contestant.prepare()
    gc.collect()
    gc.disable()
    try:
        finish()
        begun = time.perf_counter()
        for _ in range(repeats):
            said = contestant.work()
        finish()
        seconds = time.perf_counter() - begun
    finally:
        gc.enable()
    values = dict(said) if isinstance(said, Mapping) else {}
    each = values.pop("seconds", seconds / repeats)
    return Run(each / contestant.amount, values)


def process(command: Sequence[str], *, reports: bool = False) -> Work:
    """Work that is a whole process; if it `reports`, its last line is its numbers as JSON."""

    def work() -> Values:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1]) if reports else {}

    return work


# -------------------------------------------------------------------------- what comes of it


def orders(count: int, rounds: int) -> list[list[int]]:
    """Who runs when: each round begins with another contestant, so none is always first.

    >>> orders(3, 4)
    [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]
    """
    return [[(i + start) % count for i in range(count)] for start in range(rounds)]


def repeats_for(seconds: float, lasting: float) -> int:
    """How often work of so many seconds is repeated to last so long."""
    return max(1, math.ceil(lasting / max(seconds, 1e-9)))


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The first quartile, the median and the third, interpolated between values."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


def rows(runs: Mapping[str, Sequence[Run]]) -> list[Row]:
    """A row for each contestant, in their order."""
    first = next(iter(runs.values()))
    result = []
    for name, own in runs.items():
        ratios = [a.seconds / b.seconds for a, b in zip(own, first, strict=True)]
        low, ratio, high = quartiles(ratios)
        seconds = statistics.median(run.seconds for run in own)
        values = {key: statistics.median(run.values[key] for run in own) for key in own[0].values}
        result.append(Row(name, seconds, ratio, low, high, values))
    return result


def table(result: Sequence[Row], unit: str = "ms") -> str:
    """The rows as text: time, ratio to the first, quartiles of the ratio, other numbers."""
    values = list(result[0].values)
    lines = [["", unit, f"× {result[0].name}", "quartiles", *values]]
    for row in result:
        lines.append([
            row.name,
            f"{row.seconds * UNITS[unit]:.3g}",
            f"{row.ratio:.3g}",
            f"{row.ratio_low:.3g} to {row.ratio_high:.3g}",
            *(f"{row.values[key]:.3g}" for key in values),
        ])  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])]).rstrip()
        for first, *rest in lines
    )


def as_json(title: str, runs: Mapping[str, Sequence[Run]], where: Mapping[str, Any]) -> str:
    """Everything that was measured, each run by itself; seconds."""
    contestants = [
        {
            **{key: getattr(row, key) for key in ("name", "seconds", "ratio")},
            "ratio_quartiles": [row.ratio_low, row.ratio_high],
            "runs": [{"seconds": run.seconds, **run.values} for run in runs[row.name]],
        }
        for row in rows(runs)
    ]
    return json.dumps(
        {"title": title, "environment": dict(where), "contestants": contestants}, indent=1
    )


# ------------------------------------------------------------------------------ what people see


def environment(device: str = "cpu") -> dict[str, Any]:
    """What a time depends on, beside the code."""
    torch = sys.modules.get("torch")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "etaeff": _version("etaeff"),
        "torch": _version("torch"),
        "python": platform.python_version(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads() if torch else None,
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--rounds", type=int, default=rounds, help=f"default {rounds}")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all runs there, too")
    return made


def report(
    title: str,
    runs: Mapping[str, Sequence[Run]],
    file: Path | None = None,
    *,
    unit: str = "ms",
    device: str = "cpu",
) -> None:
    """Print the environment and the table, and write the JSON if a file is named."""
    where = environment(device)
    rounds = len(next(iter(runs.values())))
    print(title)
    print(", ".join(f"{key} {value}" for key, value in where.items() if value is not None))
    print(f"medians of {rounds} interleaved rounds, ratios round by round\n")
    print(table(rows(runs), unit))
    if file is not None:
        file.write_text(as_json(title, runs, where) + "\n", encoding="utf-8")


def _version(package: str) -> str | None:
    """The version that is installed, or none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    """The processor's name, as the system has it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
