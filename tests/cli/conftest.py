"""The study in a size that takes no time, behind the command line."""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from etaeff.cli import main

TINY_STUDY = Path(__file__).parents[1] / "studies" / "tiny_study.py"


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def sentence(self):
        """The one sentence that a refusal prints."""
        assert self.out == ""
        assert "Traceback" not in self.err
        assert self.err.count("\n") == 1
        assert self.err.startswith("etaeff: ")
        return self.err.removeprefix("etaeff: ").rstrip("\n")


@pytest.fixture
def etaeff(capsys):
    """Runs `etaeff` with these arguments in this process."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return Done(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def tiny_study():
    """The module `tests/studies/tiny_study.py`."""
    spec = importlib.util.spec_from_file_location("tiny_study_of_the_cli", TINY_STUDY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tiny(monkeypatch, tiny_study):
    """Puts the tiny preset in, with results that are drawn and not trained."""
    from etaeff.studies import _study

    monkeypatch.setitem(_study.PRESETS, "tiny", tiny_study.PRESET)
    monkeypatch.setattr(_study, "train_all", tiny_study.drawn_train_all)
    return tiny_study


@pytest.fixture
def no_report(monkeypatch):
    """In place of the report, which takes seconds, an empty file."""
    import etaeff.report

    def write_report(folder):
        assert (folder / "claims.json").is_file()
        (folder / "report.html").touch()
        return folder / "report.html"

    monkeypatch.setattr(etaeff.report, "write_report", write_report)


@pytest.fixture(scope="session")
def python():
    """The command that starts another interpreter, in which warnings are errors."""
    return [sys.executable, "-W", "error"]
