"""Who is told how far an audit is, and when."""

import io
import sys
import time

import pytest
import torch
from torch import nn

from etaeff.errors import UsageError
from etaeff.symmetry import _progress, audit
from etaeff.symmetry._progress import stage, told


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def at_once(monkeypatch):
    """Nobody waits."""
    monkeypatch.setattr(_progress, "_PATIENCE", 0.0)


def test_a_function_is_told_every_stage():
    stages = []
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    audit(model, (torch.randn(4, 3),), progress=stages.append)
    assert stages[0] == "tracing by torch.export"
    assert "measuring sample 1 of 2" in stages
    assert "proving symmetries on the graph" in stages
    assert stages[-1] == "cutting blocks"


def test_nobody_is_told_after_the_audit():
    stages = []
    with told(stages.append, "Net"):
        stage("one")
    stage("two")
    assert stages == ["one"]


def test_a_quick_audit_shows_nothing(capsys):
    with told(True, "Net"):
        stage("tracing")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("progress", [None, False])
def test_where_there_is_no_terminal_nothing_is_shown(capsys, at_once, progress):
    with told(progress, "Net"):
        stage("tracing")
    assert capsys.readouterr() == ("", "")


def test_lines_are_printed_if_asked(capsys, at_once):
    with told(True, "Net"):
        time.sleep(0.1)  # for the timer
        stage("tracing")
        stage("measuring")
    assert capsys.readouterr() == ("", "Auditing Net: tracing\nAuditing Net: measuring\n")


def test_a_long_first_stage_is_told_in_the_end(capsys, monkeypatch):
    monkeypatch.setattr(_progress, "_PATIENCE", 0.2)
    with told(True, "Net"):
        stage("tracing")
        time.sleep(0.5)
    assert capsys.readouterr().err == "Auditing Net: tracing\n"


@pytest.mark.parametrize("progress", [None, True])
def test_a_terminal_has_one_line_that_goes_away(monkeypatch, at_once, progress):
    file = Terminal()
    monkeypatch.setattr(sys, "stderr", file)
    monkeypatch.setenv("TERM", "xterm")
    with told(progress, "Net"):
        stage("tracing")
        monkeypatch.setattr(sys, "stderr", io.StringIO())  # as tracers do
        time.sleep(0.4)
    assert "Auditing Net: tracing (0 s)" in file.getvalue()
    assert file.getvalue().endswith("\x1b[1A\x1b[2K")


def test_a_terminal_can_be_left_alone(monkeypatch, at_once):
    file = Terminal()
    monkeypatch.setattr(sys, "stderr", file)
    with told(False, "Net"):
        stage("tracing")
        time.sleep(0.2)
    assert file.getvalue() == ""


def test_what_is_no_listener_is_refused():
    with pytest.raises(UsageError, match="`progress` must be True, False, None, or a function"):
        audit(nn.Linear(2, 2), (torch.randn(2, 2),), progress="yes")
