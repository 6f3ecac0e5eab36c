"""The imports that neither import-linter nor ruff sees: by name at run time, and of the root."""

import ast
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SOURCES = sorted((PROJECT / "src").rglob("*.py"))
CONFIGURATION = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
FORBIDDEN = [
    contract
    for contract in CONFIGURATION["tool"]["importlinter"]["contracts"]
    if contract["type"] == "forbidden"
]
# What imports by name at run time, which import-linter does not see.
LOADERS = {"import_extra", "import_module", "__import__"}


def module_name(file):
    parts = file.relative_to(PROJECT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def nodes(file, *kinds):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def loaded_by_name(source):
    """The literal first arguments of calls such as `import_extra("plotly", "report")`."""
    return {
        call.args[0].value
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and getattr(call.func, "id", getattr(call.func, "attr", None)) in LOADERS
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }


def matches(module, expression):
    """Whether an expression of import-linter, such as `etaeff.report.**`, covers `module`."""
    return fnmatchcase(module, expression.replace("**", "*"))


def is_refused(contract, module, imported):
    top = imported.split(".")[0]
    if top not in contract["forbidden_modules"]:
        return False
    allowed = [rule.split(" -> ") for rule in contract.get("ignore_imports", [])]
    if any(matches(module, importer) and top == target for importer, target in allowed):
        return False
    return any(
        matches(module, source) or matches(module, f"{source}.**")
        for source in contract["source_modules"]
    )


@pytest.mark.parametrize("contract", FORBIDDEN, ids=lambda contract: contract["name"])
def test_imports_by_name_keep_the_contracts(contract):
    refused = [
        f"{module_name(file)} loads {imported}"
        for file in SOURCES
        for imported in loaded_by_name(file.read_text(encoding="utf-8"))
        if is_refused(contract, module_name(file), imported)
    ]
    assert refused == []


def test_imports_by_name_are_seen():
    assert loaded_by_name('a = import_extra("plotly.io", "report")') == {"plotly.io"}
    assert loaded_by_name('importlib.import_module("torch")') == {"torch"}
    plots = next(c for c in FORBIDDEN if "plotly" in c["forbidden_modules"])
    assert is_refused(plots, "etaeff.studies.engine._train", "plotly.io")
    assert not is_refused(plots, "etaeff.report._figures", "plotly.io")
    assert not is_refused(plots, "etaeff.report", "plotly")
    torch = next(c for c in FORBIDDEN if "torch" in c["forbidden_modules"])
    assert is_refused(torch, "etaeff.theory._effective_lr", "torch")
    assert not is_refused(torch, "etaeff.layers", "torch")


@pytest.mark.parametrize("file", SOURCES, ids=module_name)
def test_nobody_imports_the_root(file):
    for node in nodes(file, ast.Import):
        # `import etaeff.errors` would bind the root.
        assert not any(alias.name.split(".")[0] == "etaeff" for alias in node.names)
    if module_name(file) != "etaeff":  # which shows its names to type checkers
        assert "etaeff" not in [node.module for node in nodes(file, ast.ImportFrom)]
