import subprocess
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


def in_a_fresh_process(python, arguments, then):
    """What `then` prints after the command has exited."""
    code = f"""
import sys
from etaeff.cli import main
try:
    main({arguments!r})
except SystemExit as ended:
    code = ended.code
{then}
"""
    return subprocess.run([*python, "-c", code], capture_output=True, text=True, check=True)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["-h"], ["--version"], ["study", "--help"], ["study", "run", "--help"],
     ["study", "resume", "--help"], ["report", "--help"]],
)  # fmt: skip
def test_help_loads_neither_torch_nor_polars(python, arguments):
    heavy = ("torch", "polars", "numpy", "scipy", "sklearn", "matplotlib", "rich")
    done = in_a_fresh_process(
        python, arguments, f"print('loaded', code, [m for m in {heavy} if m in sys.modules])"
    )
    assert done.stdout.endswith("loaded 0 []\n")
    assert done.stderr == ""


def test_a_refusal_loads_no_torch(python):
    done = in_a_fresh_process(
        python, ["study", "run", "papper"], "print(code, 'torch' in sys.modules)"
    )
    assert done.stdout == "2 False\n"


def test_the_command_is_installed():
    metadata = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert metadata["project"]["scripts"] == {"etaeff": "etaeff.cli:main"}


@pytest.mark.parametrize("arguments", [["--help"], ["study", "run", "-h"], ["report", "--help"]])
def test_help_is_no_failure(etaeff, arguments):
    done = etaeff(*arguments)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Usage: etaeff ")


def test_help_names_every_command(etaeff):
    assert {"study", "report"} <= set(etaeff("--help").out.split())
    assert {"run", "resume", "status", "list"} <= set(etaeff("study", "--help").out.split())


def test_the_version_is_that_of_the_package(etaeff):
    import etaeff as package

    assert etaeff("--version").out == f"etaeff, version {package.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["study", "nonsense"], "No such command 'nonsense'"),
        (["study", "run"], "Missing argument 'NAME'"),
        (["study", "resume"], "Missing argument 'FOLDER'"),
        (["study", "run", "paper", "--seeds", "x"], "'--seeds': 'x' is not a valid integer"),
        (["study", "run", "paper", "--bogus"], "No such option '--bogus'"),
        (["report"], "Missing argument 'FOLDER'"),
    ],
)
def test_what_cannot_be_parsed_is_wrong_usage(etaeff, arguments, what):
    done = etaeff(*arguments)
    assert (done.code, done.out) == (2, "")
    assert what in done.err
    assert "Traceback" not in done.err


def test_no_command_is_wrong_usage_and_shows_the_help(etaeff):
    for arguments in ([], ["study"]):
        done = etaeff(*arguments)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("Usage: etaeff ")
