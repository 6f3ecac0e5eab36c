"""What the files of the project promise each other: pins, targets, lengths, the version."""

import re
import tomllib
from pathlib import Path

import pytest

import etaeff

PROJECT = Path(__file__).parents[2]
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(name):
    return (PROJECT / name).read_text(encoding="utf-8")


def plain(requirement):
    """The normalised name of a requirement such as `Jinja2>=3.1`."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


PINS = dict(
    line.split("==")
    for line in read("constraints.txt").splitlines()
    if line and not line.startswith("#")
)


@pytest.mark.parametrize("extra", ["core", "study", "report", "dev"])
def test_what_make_installs_is_pinned(extra):
    extras = METADATA["optional-dependencies"] | {"core": METADATA["dependencies"]}
    needed = {plain(requirement) for requirement in extras[extra]} - {"etaeff"}
    assert needed <= {plain(name) for name in PINS}


def test_torch_is_pinned_without_a_build():
    # A local suffix such as "+cpu" would exclude the builds of other machines.
    assert PINS["torch"] == "2.13.0"
    assert not [name for name, version in PINS.items() if "+" in version]


def test_constraints_say_how_to_renew_them():
    assert read("constraints.txt").startswith("#")
    assert "scripts/pin" in read("constraints.txt").split("\n\n")[0]


def test_makefile_has_the_documented_targets():
    documented = re.findall(r"^([a-z-]+):.*## ", read("Makefile"), re.MULTILINE)
    assert (
        " ".join(documented) == "help env study test test-long test-only lint format package clean"
    )
    assert f".PHONY: {' '.join(documented)}\n" in read("Makefile")


def test_no_source_file_is_long():
    lengths = {
        str(file.relative_to(PROJECT)): len(file.read_text(encoding="utf-8").splitlines())
        for file in (PROJECT / "src").rglob("*.py")
    }
    assert {file: length for file, length in lengths.items() if length > 400} == {}


def test_commands_are_thin():
    from etaeff.cli._app import COMMANDS

    folder = PROJECT / "src" / "etaeff" / "cli"
    lengths = {name: len((folder / f"{name}.py").read_text().splitlines()) for name in COMMANDS}
    assert {name: length for name, length in lengths.items() if length > 120} == {}


def test_version_is_the_same_everywhere():
    assert (
        re.search(r"^version: (.+)$", read("CITATION.cff"), re.MULTILINE)[1]
        == (METADATA["version"])
    )
    assert etaeff.__version__ == METADATA["version"]


def test_the_page_of_the_tests_names_what_is_there():
    files = re.findall(r"[`\s]((?:tests/|src/)?\w[\w/]*/\w+\.py)", read("tests/README.md"))
    assert len(files) > 10
    for file in files:
        places = (PROJECT / "tests" / file, PROJECT / file, PROJECT / "src/etaeff" / file)
        assert any(place.is_file() for place in places), file
