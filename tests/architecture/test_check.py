"""`scripts/check`, and that pre-commit, make and CI have their checks from it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
CHECKS = re.search(
    r"^CHECKS=\((.+)\)", (PROJECT / "scripts/check").read_text(encoding="utf-8"), re.MULTILINE
)[1].split()
WORKFLOW = yaml.safe_load((PROJECT / ".github/workflows/checks.yml").read_text(encoding="utf-8"))
HOOKS = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def folder(tmp_path):
    """A repository with `scripts/check`, whose tools write down that they were called."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(PROJECT / "scripts/check", tmp_path / "scripts")
    tools = tmp_path / ".venv/bin"
    tools.mkdir(parents=True)
    for tool in ("ruff", "mypy", "lint-imports"):
        (tools / tool).write_text(f'#!/bin/sh\necho {tool} "$@"\n[ ! -e fails-{tool} ]\n')
        (tools / tool).chmod(0o755)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def check(folder, *names):
    """Whether the checks passed, and what they said."""
    subprocess.run(["git", "add", "-A", "--", ":!.venv"], cwd=folder, check=True)
    done = subprocess.run(
        ["scripts/check", *names], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_all_checks_run_in_order_where_none_is_named(folder):
    (folder / "a.py").write_text("a = 1\n")
    code, said = check(folder)
    assert code == 0, said
    assert said.splitlines() == [
        "ruff check", "ruff format --check", "mypy", "lint-imports --no-logo",
    ]  # fmt: skip


def test_named_checks_run_alone(folder):
    assert check(folder, "types", "ruff") == (0, "mypy\nruff check\n")


def test_first_failure_ends_it(folder):
    (folder / "fails-mypy").touch()
    code, said = check(folder)
    assert code != 0
    assert said.splitlines()[-1] == "mypy"


def test_unknown_check_is_refused_with_the_known_ones(folder):
    code, said = check(folder, "tpyes")
    assert code == 2
    assert said == f"There is no check 'tpyes'. There are: {' '.join(CHECKS)}.\n"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a = 1 \n", "a.py:1:a = 1 "),
        (b"a = 1\n\t\n", "a.py:2:"),
        (b"a = 1\r\n", "a.py:1:a = 1"),
        (b"a = 1\n<<<<<<< HEAD\n", "a.py:2:<<<<<<<"),
        (b"a = 1", "a.py: its last line does not end."),
        (b"a\n" * 600_000, "a.py: over a megabyte"),
    ],
)
def test_text_files_that_an_editor_would_not_leave_are_refused(folder, content, why):
    (folder / "a.py").write_bytes(content)
    code, said = check(folder, "files")
    assert code != 0
    assert why in said


def test_pictures_empty_files_and_removed_files_are_no_text(folder):
    (folder / "a.png").write_bytes(b"\x89PNG \r\n\x00 \n<<<<<<< a")
    (folder / "py.typed").touch()
    (folder / "gone").write_text("a\n")
    assert check(folder, "files") == (0, "")
    (folder / "gone").unlink()
    assert subprocess.run([folder / "scripts/check", "files"], cwd=folder, check=True)


def test_without_git_there_are_no_files_to_look_at(folder):
    shutil.rmtree(folder / ".git")
    done = subprocess.run(["scripts/check", "files"], cwd=folder, check=True, capture_output=True)
    assert done.stderr == b""


# ----------------------------------------------------------------------------------- who calls it


def test_pre_commit_runs_every_check():
    hooks = [hook for repo in HOOKS["repos"] for hook in repo["hooks"]]
    assert [hook["id"] for hook in hooks] == CHECKS
    assert [hook["entry"] for hook in hooks] == [f"scripts/check {name}" for name in CHECKS]


def test_workflow_runs_what_people_can_type():
    steps = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
    commands = [step["run"] for step in steps if "run" in step]
    targets = re.findall(
        r"^([a-z-]+):.*## ", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {"lint", "env", "test-only", "package"} <= {command.split()[1] for command in commands}
    for command in commands:
        make, target, *_ = command.split()
        assert make == "make"
        assert target in targets


def test_workflow_has_the_oldest_torch_that_is_declared_and_one_newer_than_the_pinned():
    matrix = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["include"]
    pyproject = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    floor = re.search(r'"torch>=([\d.]+)"', pyproject)[1]
    python = re.search(r'requires-python = ">=([\d.]+)"', pyproject)[1]
    pinned = re.search(
        r"^torch==([\d.]+)", (PROJECT / "constraints.txt").read_text("utf-8"), re.MULTILINE
    )[1]
    oldest, _, newest = [entry["torch"] for entry in matrix]
    assert matrix[0]["python"] == python
    assert numbers(oldest)[:2] == numbers(floor)[:2]
    assert numbers(newest) >= numbers(pinned)


def numbers(version):
    """A version as it is compared."""
    return [int(part) for part in version.split(".")]


@pytest.mark.parametrize("form", sorted((PROJECT / ".github/ISSUE_TEMPLATE").glob("[0-9]*.yml")))
def test_issue_forms_ask_for_something(form):
    read = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert read["name"]
    assert any(field.get("validations", {}).get("required") for field in read["body"])
