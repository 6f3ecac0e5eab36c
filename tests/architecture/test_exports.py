"""What is exported is visible, documented and loaded; its order is ruff's (RUF022)."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import etaeff

ROOT = Path(etaeff.__file__).parent
PACKAGES = sorted(
    ".".join(("etaeff", *file.parent.relative_to(ROOT).parts))
    for file in ROOT.glob("*/**/__init__.py")
    if not any(part.startswith("_") for part in file.parent.relative_to(ROOT).parts)
)


@pytest.mark.parametrize("name", PACKAGES)
def test_what_is_visible_is_what_is_exported(name):
    package = import_module(name)
    for key in package.__all__:  # some are loaded when they are first used
        getattr(package, key)
    visible = {
        key
        for key, value in vars(package).items()
        if not key.startswith("_")
        and not (isinstance(value, ModuleType) and value.__name__ == f"{name}.{key}")
    }
    assert set(package.__all__) == visible


@pytest.mark.parametrize("name", PACKAGES)
def test_what_is_exported_is_documented(name):
    package = import_module(name)
    assert package.__doc__
    for key in package.__all__:
        value = getattr(package, key)
        if inspect.isclass(value) or inspect.isroutine(value):
            # Data classes and named tuples get their signature for want of a docstring.
            assert value.__doc__, key
            assert not value.__doc__.startswith(f"{value.__name__}("), key


def test_root_has_few_names_and_each_loads():
    assert len(etaeff.__all__) <= 25
    assert dir(etaeff) == sorted(etaeff.__all__)
    for name in etaeff.__all__:
        assert getattr(etaeff, name) is getattr(etaeff, name)


def test_type_checkers_see_the_names_of_the_root():
    tree = ast.parse(Path(etaeff.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    names = {alias.name for node in block.body if hasattr(node, "names") for alias in node.names}
    names |= {node.target.id for node in block.body if isinstance(node, ast.AnnAssign)}
    assert names == set(etaeff.__all__)


def test_root_refuses_what_it_does_not_have():
    with pytest.raises(AttributeError, match=r"^module 'etaeff' has no attribute 'nonsense'$"):
        etaeff.nonsense  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nonsense' from 'etaeff'"):
        from etaeff import nonsense  # noqa: F401


def test_a_name_of_the_root_can_be_the_first_import():
    code = "from etaeff import effective_lr, __version__; print(effective_lr.__module__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("etaeff.theory")
