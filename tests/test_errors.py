import pickle
import sys

import pytest

from etaeff import errors
from etaeff.errors import (
    DataError,
    EtaeffError,
    MissingExtraError,
    StudyBusyError,
    StudyError,
    StudyMismatchError,
    UnknownNameError,
    UsageError,
    import_extra,
)


@pytest.mark.parametrize(
    ("error", "bases", "exit_code"),
    [
        (UsageError, (EtaeffError, ValueError), 2),
        (UnknownNameError, (UsageError,), 2),
        (StudyMismatchError, (UsageError,), 2),
        (DataError, (EtaeffError, ValueError), 1),
        (MissingExtraError, (EtaeffError, ImportError), 1),
        (StudyError, (EtaeffError,), 1),
        (StudyBusyError, (StudyError,), 1),
    ],
)
def test_tree(error, bases, exit_code):
    assert all(issubclass(error, base) for base in bases)
    assert error.exit_code == exit_code
    assert error.__name__ in errors.__doc__


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("adm", "Unknown optimizer 'adm'. Known: sgd, adam. Did you mean 'adam'?"),
        ("xyz", "Unknown optimizer 'xyz'. Known: sgd, adam."),
        (None, "Unknown optimizer 'None'. Known: sgd, adam."),
        (3, "Unknown optimizer '3'. Known: sgd, adam."),
    ],
)
def test_unknown_name_lists_the_known_ones(name, sentence):
    known = (name for name in ("sgd", "adam"))  # whatever can be iterated, once
    assert str(UnknownNameError("optimizer", name, known)) == sentence


@pytest.mark.parametrize(
    "error",
    [UnknownNameError("norm", "bath", ["batch"]), UsageError("no"), MissingExtraError("no")],
)
def test_errors_come_back_from_a_worker_process(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)


def test_missing_extra_names_what_to_type():
    with pytest.raises(MissingExtraError) as caught:
        import_extra("no_such_module.part", "report")
    assert str(caught.value) == (
        "This needs 'no_such_module', which is not installed. Type: pip install 'etaeff[report]'"
    )
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_module", ModuleNotFoundError),
        ("raise ImportError('libfoo.so')", ImportError),
    ],
)
def test_broken_package_does_not_look_like_a_missing_one(tmp_path, monkeypatch, source, error):
    (tmp_path / "broken_package.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(error) as caught:
        import_extra("broken_package", "report")
    assert not isinstance(caught.value, EtaeffError)


def test_extra_that_is_there_is_returned():
    assert import_extra("xml.dom", "report") is sys.modules["xml.dom"]
