"""The model that `etaeff audit` was given by name. To load it is to run its code."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from etaeff.errors import EtaeffError, UsageError, as_clause

if TYPE_CHECKING:
    from torch import nn

TRANSFORMERS: Final = "transformers"


def split(target: str) -> tuple[str, str]:
    """A target's module or file, and the name in it.

    Examples:
        >>> split("models/net.py:small")
        ('models/net.py', 'small')
    """
    where, _, name = target.rpartition(":")
    if not where or not name:
        raise UsageError(
            "The target must be 'package.module:factory', 'file.py:factory' or "
            f"'transformers:Class'; got '{target}'."
        )
    return where, name


def load(target: str, config: Path | None, *, meta: bool) -> "nn.Module":
    """The model that `target` names.

    Args:
        target: As `split` takes it; the factory is a callable without arguments that returns a
            model, or is the model.
        config: JSON file for a class of transformers.
        meta: The values of the weights are not needed.
    """
    where, name = split(target)
    if where == TRANSFORMERS:
        from etaeff.integrations import transformers_model

        return transformers_model(name, config, meta=meta)
    module = _from_file(Path(where)) if where.endswith(".py") else _imported(where)
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise UsageError(f"'{where}' has no '{name}'.")
        value = getattr(value, part)
    return _model(value, target)


@contextmanager
def importable(target: str) -> Iterator[Callable[[], None]]:
    """Imports look beside the file, or in the working folder, first, as Python itself does.

    The function that it gives puts that folder last: from then on a file such as `html.py` in it
    stands in for nobody's `html`.
    """
    where, _ = split(target)
    folder = str(Path(where).resolve().parent if where.endswith(".py") else Path.cwd())

    def put_last() -> None:
        if folder in sys.path:  # the model's code may have changed it
            sys.path.remove(folder)
        sys.path.append(folder)

    before = list(sys.path)
    if where != TRANSFORMERS:
        sys.path.insert(0, folder)
    try:
        yield put_last
    finally:
        sys.path[:] = before


def _model(value: Any, target: str) -> "nn.Module":
    """The model that a target's value is, or returns."""
    from torch import nn

    if isinstance(value, nn.Module):
        return value
    if not callable(value):
        raise UsageError(
            f"'{target}' must be a model or a callable that returns one, and is "
            f"{_a(type(value).__name__)}."
        )
    model: object = _run(value, f"'{target}'")
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"'{target}' must return a torch.nn.Module, and returned {_a(type(model).__name__)}."
        )
    return model


def _imported(name: str) -> ModuleType:
    """The module of this name, with whatever importing it raises as a sentence."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"'{name}' is no name of a module, and no file that ends in '.py'.")

    def load_it() -> ModuleType:
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            # What is missing may also be something that the module itself imports.
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            raise UsageError(
                f"There is no module '{name}' in this folder or among the installed ones."
            ) from None

    module: ModuleType = _run(load_it, f"Importing '{name}'")
    return module


def _from_file(file: Path) -> ModuleType:
    """A file run as a module of a name that no other has."""
    if not file.is_file():
        raise UsageError(f"There is no file '{file}'.")
    name = f"audited_{file.stem}"  # another module may have the file's name
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"'{file}' cannot be imported.")
    module = module_from_spec(spec)
    sys.modules[name] = module  # data classes look themselves up there
    _run(lambda: spec.loader.exec_module(module), f"Importing '{file}'")  # type: ignore[union-attr]
    return module


def _run(call: Callable[[], Any], what: str) -> Any:
    """`call()`, with whatever it raises as a sentence."""
    try:
        return call()
    except EtaeffError:
        raise
    except (Exception, SystemExit) as error:
        raise EtaeffError(f"{what} raised {as_clause(error)}.") from error


def _a(noun: str) -> str:
    """The name of a type with its article."""
    return "nothing" if noun == "NoneType" else f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
