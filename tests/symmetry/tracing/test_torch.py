"""What is private to torch stands in one file, and does what the audit takes it for."""

import ast
import gc
from pathlib import Path

import pytest
import torch

import etaeff.symmetry
from etaeff.symmetry._tracing import _torch as inside

SOURCES = Path(etaeff.symmetry.__file__).parent
OWN = {"_fields", "_replace", "_asdict"}  # of a named tuple


def private_names(file):
    """Attributes of others that begin with an underscore, and private modules that are imported."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            mine = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls", "note")
            if not mine and not node.attr.startswith("__") and node.attr not in OWN:
                yield node.attr
        modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        for module in modules:
            if module.startswith("torch") and "._" in module:
                yield module


def test_only_one_file_knows_torchs_insides():
    private = {
        file.name: names
        for file in sorted(SOURCES.rglob("*.py"))
        if (names := set(private_names(file))) and file.name != "_torch.py"
    }
    assert private == {}
    assert "_schema" in set(private_names(SOURCES / "_tracing" / "_torch.py"))


def test_nested_values_are_flattened_and_put_together():
    values = ((torch.ones(2), 3), {"a": [torch.zeros(1), None]})
    flat, together = inside.flattened(values)
    assert inside.leaves(values) == flat
    assert together(range(len(flat)))[0] == (0, 1)
    assert inside.mapped(lambda v: v + 1, (1, [2])) == (2, [3])


@pytest.mark.parametrize(
    ("operator", "expected"),
    [("add_", "aten.add.Tensor"), ("mul_", "aten.mul.Tensor"), ("add", "aten.add.Tensor")],
)
def test_beside_an_operator_in_place(operator, expected):
    target = getattr(torch.ops.aten, operator).Tensor
    assert str(inside.beside(target)) == expected
    assert inside.overload_name(target) == "Tensor"
    assert inside.argument_names(target)[:2] == ["self", "other"]


def test_an_operator_without_another_beside_it_stays():
    target = torch.ops.aten.requires_grad_.default
    assert inside.beside(target) is target


def test_memory_is_known_until_it_is_gone():
    tensor = torch.ones(3)
    storage = inside.Storage(tensor)
    assert storage.address == inside.address_of(tensor[1:])
    assert storage.address != inside.address_of(tensor.clone())
    assert not storage.is_gone
    del tensor
    gc.collect()
    assert storage.is_gone


def test_versions_count_what_is_written():
    tensor = torch.ones(3)
    before = inside.version_of(tensor)
    tensor.add_(1)
    assert inside.version_of(tensor) == before + 1
