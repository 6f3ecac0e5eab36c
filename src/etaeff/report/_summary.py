"""What was tested on what, and how it was run, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from etaeff._words import counted, number
from etaeff.records import TRIAL_COLUMNS
from etaeff.report._frames import Frames

_NETWORKS: Final = {
    "mlp": "perceptrons with two normalised hidden layers of {width} units",
    "conv": "networks of four convolutions, the first of {width} channels",
}
_UNNAMED: Final = ("study", "title", "data note", "seeds")


@dataclass(frozen=True)
class Run:
    """How a study was run.

    Attributes:
        specification: Names and values of what defines it.
        sessions: What is said of each session: a name, and a value for each of them.
        diverged: A sentence about trials that diverged.
    """

    specification: list[tuple[str, str]]
    sessions: list[tuple[str, list[str]]]
    diverged: str


def study_title(frames: Frames) -> str:
    """What was studied."""
    return str(frames.specification.get("title", "A study"))


def what_was_tested(frames: Frames) -> str:
    """One sentence: how many networks of which kind, on which data, with how many seeds."""
    trials = frames.trials
    kind = " and ".join(
        _NETWORKS.get(network, f"networks '{network}'").format(width=width)
        for network, width in trials.select("network", "width").unique().sort("network").rows()
    )
    specification = frames.specification
    sizes = " or ".join(str(size) for size in trials["train_size"].unique().sort())
    shape = specification.get("image shape")
    image = f" of {' × '.join(map(str, shape[1:]))} pixels" if shape else ""
    test = specification.get("test examples")
    return (
        f"{counted(len(trials), 'training run')} of {kind} on {sizes} examples of "
        f"{specification.get('data', 'unnamed data')}{image}"
        f"{f', tested on {test} others' if test else ''}, with {_seeds(trials)} per setting."
    )


def _seeds(trials: pl.DataFrame) -> str:
    """How many seeds each setting has."""
    names = [name for name in TRIAL_COLUMNS if name != "seed"]
    counts = trials.group_by(names).agg(pl.col("seed").n_unique())["seed"].to_list()
    low, high = min(counts, default=0), max(counts, default=0)
    return counted(low, "seed") if low == high else f"{low} to {counted(high, 'seed')}"


def how_it_was_run(frames: Frames) -> Run:
    """The specification, the sessions and the trials that diverged."""
    specification = [
        (name, plain(value))
        for name, value in frames.specification.items()
        if name not in _UNNAMED and value is not None
    ]
    specification.append(("seeds per setting", _seeds(frames.trials)))
    sizes = ("batch_size", "steps", "train_size", "width")
    specification += [
        (name.replace("_", " "), ", ".join(str(v) for v in frames.trials[name].unique().sort()))
        for name in sizes
    ]
    names = dict.fromkeys(name for session in frames.sessions for name in session)
    sessions = [
        (name, [session_value(session, name) for session in frames.sessions]) for name in names
    ]
    return Run(specification, sessions, diverged(frames.trials))


def session_value(session: Mapping[str, Any], name: str) -> str:
    """A value of a session: seconds to the tenth, the rest as it is."""
    value = session.get(name)
    return "" if value is None else plain(value)


def plain(value: Any) -> str:
    """A JSON value in a table."""
    if isinstance(value, list):
        return " × ".join(map(str, value))
    return number(value, 4) if isinstance(value, float) else str(value)


def diverged(trials: pl.DataFrame) -> str:
    """How many trials diverged, by optimiser and normalisation."""
    rows = trials.filter(pl.col("diverged_epoch").is_not_null())
    if rows.is_empty():
        return f"None of the {counted(len(trials), 'trial')} diverged."
    arms = rows.group_by("optimizer", "norm").len().sort("optimizer", "norm").rows()
    where = "; ".join(f"{count} of {name} with norm '{norm}'" for name, norm, count in arms)
    return (
        f"Of {counted(len(trials), 'trial')}, {len(rows)} diverged: {where}. Their test error is "
        "taken to be that of guessing."
    )
