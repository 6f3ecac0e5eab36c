"""What a package does not load when it is imported, not even through another module."""

import subprocess
import sys

import pytest

HEAVY = {
    "etaeff": "torch numpy",
    "etaeff.errors": "torch numpy",
    "etaeff.records": "torch numpy",
    "etaeff.theory": "torch",
    "etaeff.convert": "torch",
    "etaeff.report": "torch",
    # These two use torch when they run; `etaeff --help` must not wait for it.
    "etaeff.studies": "torch",
    "etaeff.cli": "torch",
    # Shipped to users, whose tests may be of another kind and who may lack the extra.
    "etaeff.testing.zoo": "pytest transformers",
}


@pytest.mark.parametrize("package", HEAVY)
def test_importing_it_does_not_load(package):
    # A folder without `__init__.py` would import as well, and load nothing.
    code = f"""
import sys, {package}
assert sys.modules['{package}'].__file__, 'it is an empty folder'
print(*sys.modules.keys() & set({HEAVY[package].split()}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
