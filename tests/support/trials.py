"""Trials by the names of their rows, where a test does not care which part has a value."""

from types import SimpleNamespace

from etaeff.records import Trial


def flat(trial):
    """All that a trial says, each value under the name of its column, and its id and momentum."""
    return SimpleNamespace(**trial.values, id=trial.id, momentum=trial.momentum)


def changed(trial, **values):
    """The trial with some of its values changed."""
    return Trial.of(**(trial.values | values))
