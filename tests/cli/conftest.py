"""The study in a size that takes no time, behind the command line."""

import sys
from dataclasses import dataclass

import pytest
from support import tiny_study

from etaeff.cli import main


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


@pytest.fixture
def tiny(monkeypatch):
    """Puts the tiny preset in, with results that are drawn and not trained."""
    from etaeff.studies import _study

    monkeypatch.setitem(_study.PRESETS, "tiny", tiny_study.PRESET)
    monkeypatch.setattr(_study, "Pool", tiny_study.pool_of(tiny_study.drawn))
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
