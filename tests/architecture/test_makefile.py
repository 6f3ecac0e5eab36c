"""`make env` against an interpreter that installs nothing and writes down what it is told."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
FAKE = """#!/bin/sh
echo "$*" >> calls
case "$*" in
  "-m venv "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  *" install "*torch) touch .venv/unpacked; exit ${TORCH_FAILS:-0} ;;
esac
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(PROJECT / name, tmp_path)
    fake = tmp_path / "python"
    fake.write_text(FAKE)
    fake.chmod(0o755)
    return tmp_path


def make_env(folder, python="./python", torch="", **environment):
    """What `make env` printed, whether it succeeded, and the installs that it asked for."""
    (folder / "calls").write_text("")
    environment = {k: v for k, v in os.environ.items() if "MAKE" not in k} | environment
    done = subprocess.run(
        ["make", "env", f"PYTHON={python}", f"TORCH={torch}"],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    installs = [line for line in (folder / "calls").read_text().splitlines() if "install " in line]
    return done.stdout + done.stderr, done.returncode == 0, installs


def test_torch_is_installed_first_and_by_itself(folder):
    said, succeeded, installs = make_env(folder)
    assert succeeded, said
    first, second = installs
    assert first.endswith("install -c constraints.txt torch")
    assert second.endswith("install -c constraints.txt -e .[dev]")


def test_another_torch_goes_before_the_pins(folder):
    said, succeeded, installs = make_env(folder, torch="2.9.1")
    assert succeeded, said
    assert [line.split("install ")[1] for line in installs] == [
        "-c .venv/.pins torch", "-c .venv/.pins -e .[dev]",
    ]  # fmt: skip
    pins = (folder / ".venv/.pins").read_text().splitlines()
    assert [pin for pin in pins if pin.startswith("torch=")] == ["torch==2.9.1"]
    theirs = {"torch", "sympy", "mpmath", "networkx", "fsspec"}  # that torch itself pins or bounds
    kept = {line for line in (folder / "constraints.txt").read_text().splitlines()
            if line.split("==")[0] not in theirs}  # fmt: skip
    assert set(pins) == kept | {"torch==2.9.1"}


def test_second_time_installs_nothing(folder):
    make_env(folder)
    assert make_env(folder)[1:] == (True, [])


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_change_of_the_needs_installs_again_in_place(folder, name):
    make_env(folder)
    stamp = (folder / ".venv/.installed").stat().st_mtime
    os.utime(folder / name, (stamp + 1, stamp + 1))
    (folder / ".venv/unpacked").unlink()
    (folder / ".venv/mine").touch()
    assert len(make_env(folder)[2]) == 2
    assert (folder / ".venv/mine").exists()


def test_install_that_was_cut_short_begins_anew(folder):
    assert not make_env(folder, TORCH_FAILS="1")[1]
    assert not (folder / ".venv/.installed").exists()
    (folder / ".venv/half").touch()
    said, succeeded, installs = make_env(folder)
    assert succeeded, said
    assert len(installs) == 2
    assert not (folder / ".venv/half").exists()
    assert not (folder / ".venv/.installing").exists()


def test_update_that_was_cut_short_begins_anew(folder):
    make_env(folder)
    stamp = (folder / ".venv/.installed").stat().st_mtime
    os.utime(folder / "constraints.txt", (stamp + 1, stamp + 1))
    assert not make_env(folder, TORCH_FAILS="1")[1]
    # The old stamp must not vouch for it, even if the old constraints come back.
    os.utime(folder / "constraints.txt", (stamp - 1, stamp - 1))
    assert len(make_env(folder)[2]) == 2


def test_environment_that_was_there_is_kept(folder):
    (folder / ".venv").mkdir()
    (folder / ".venv/mine").touch()
    assert make_env(folder)[1]
    assert (folder / ".venv/mine").exists()


@pytest.mark.parametrize("python", ["./old", "no-such-python"])
def test_old_or_absent_interpreter_is_refused_with_a_sentence(folder, python):
    (folder / "old").write_text("#!/bin/sh\nexit 1\n")
    (folder / "old").chmod(0o755)
    said, succeeded, _ = make_env(folder, python)
    assert not succeeded
    assert f"etaeff needs Python 3.11 or newer, and '{python}' is not. Name another" in said
    assert "Traceback" not in said
    assert not (folder / ".venv").exists()
