import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import support
from support.stored_trials import results, trial

from etaeff.errors import StudyError
from etaeff.records import (
    TABLES,
    EpochRow,
    OutcomeRow,
    RescaleRow,
    StudyStore,
    Trial,
    TrialResults,
)

SPECIFICATION = {"study": "paper", "seeds": [0, 1], "note": "η"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.sqlite"


@pytest.fixture
def store(path):
    with StudyStore.create(path, SPECIFICATION, map(trial, range(5))) as store:
        yield store


def count(store):
    return {table: len(store.rows(table)) for table in TABLES}


def test_new_store_has_its_trials_in_order_and_no_rows(store):
    assert store.trials == [trial(seed) for seed in range(5)]
    assert store.size == 5
    assert store.meta("specification") == SPECIFICATION
    assert store.finished == set()
    assert set(count(store).values()) == {0}


def test_rows_come_back_as_they_went(store, path):
    added = results(0, 1)
    store.add(added)
    with StudyStore.open(path) as again:
        for table, rows in zip(TABLES, added, strict=True):
            assert again.rows(table) == [tuple(row) for row in rows]
        assert again.finished == {trial(0).id, trial(1).id}


def test_number_that_is_not_one_comes_back_as_none(store):
    store.add(TrialResults([], [EpochRow("a", 1, 9, float("nan"), float("inf"), 0.0)], [], []))
    assert store.rows("epoch") == [("a", 1, 9, None, float("inf"), 0.0)]


def test_what_add_returned_from_is_seen_by_others_at_once(store, path):
    with StudyStore.open(path) as reader:
        store.add(results(0))
        assert reader.finished == {trial(0).id}


def test_log_is_forced_to_disk_at_every_commit(store, path):
    with StudyStore.open(path) as other:
        for one in (store, other):
            pragma = one._connection.execute
            assert pragma("PRAGMA journal_mode").fetchone() == ("wal",)
            assert pragma("PRAGMA synchronous").fetchone() == (2,)  # FULL


@pytest.mark.parametrize("batch", [(0, 0), (1, 2, 1), (1, 0)])
def test_trial_is_never_added_twice_nor_by_half(store, batch):
    store.add(results(0))
    before = count(store)
    with pytest.raises(sqlite3.IntegrityError):
        store.add(results(*batch))
    assert count(store) == before
    store.add(results(1))  # and the store is as good as before
    assert store.finished == {trial(0).id, trial(1).id}


def test_batch_that_fails_late_leaves_nothing(store):
    unfit = RescaleRow(trial(0).id, 2.0, 0.0, object())
    with pytest.raises(sqlite3.Error):
        store.add(results(0)._replace(rescalings=[unfit]))
    assert set(count(store).values()) == {0}


def test_meta_is_replaced(store):
    assert store.meta("wall") is None
    store.set_meta("wall", {"seconds": 1.5})
    store.set_meta("wall", [2])
    assert store.meta("wall") == [2]


WRITER = """
import sys
from pathlib import Path
from etaeff.records import StudyStore
from support.stored_trials import results, trial
with StudyStore.open(Path(sys.argv[1])) as store:
    done = len(store.finished)
    for seed in range(done, 100_000):
        store.add(results(seed, epochs=20))
        print(trial(seed).id, flush=True)
"""


def writing(path, code=WRITER):
    """A process that adds trials to the store until it is killed, and prints their ids."""
    return subprocess.Popen(
        [sys.executable, "-c", code, path],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(support.__file__).parents[1])},
    )


def test_kill_loses_nothing_acknowledged_and_leaves_nothing_half(store, path):
    promised = set()
    for lines in (1, 2, 7, 40, 150):
        with writing(path) as writer:
            promised |= {writer.stdout.readline().strip() for _ in range(lines)}
            writer.send_signal(signal.SIGKILL)
            promised |= {line.strip() for line in writer.stdout}
        assert writer.returncode == -signal.SIGKILL
        with StudyStore.open(path) as again:
            assert promised <= again.finished
            assert count(again) == {
                "outcome": len(again.finished),
                "epoch": 20 * len(again.finished),
                "layer": 20 * len(again.finished),
                "rescaling": len(again.finished),
            }
    assert len(promised) >= 200


def test_existing_study_is_not_replaced(store, path):
    store.add(results(0))
    with pytest.raises(StudyError, match=r"^There is a study in '.*study\.sqlite' already\.$"):
        StudyStore.create(path, {}, [])
    with StudyStore.open(path) as again:
        assert again.finished == {trial(0).id}


@pytest.mark.parametrize("leftover", [b"", b"half a file", b"SQLite format 3\0" + bytes(5000)])
def test_creation_that_was_killed_is_no_obstacle(path, leftover):
    path.with_suffix(".new").write_bytes(leftover)
    with StudyStore.create(path, SPECIFICATION, [trial(0)]) as store:
        assert store.trials == [trial(0)]
    assert not path.with_suffix(".new").exists()


def test_creation_that_fails_leaves_no_study(path):
    with pytest.raises(sqlite3.IntegrityError):
        StudyStore.create(path, SPECIFICATION, [trial(0), trial(0)])
    assert not path.exists()
    with StudyStore.create(path, SPECIFICATION, [trial(0)]) as store:
        assert store.trials == [trial(0)]


def test_log_of_a_deleted_study_does_not_leak_into_a_new_one(path):
    code = WRITER.replace("store.add", "store.set_meta('a', 1); store.add", 1)
    with StudyStore.create(path, SPECIFICATION, [trial(0)]):
        pass
    with writing(path, code) as writer:
        writer.stdout.readline()
        writer.kill()
    assert path.with_name("study.sqlite-wal").stat().st_size > 0
    path.unlink()  # as a user does who knows of one file only
    with StudyStore.create(path, SPECIFICATION, [trial(7)]) as store:
        assert store.finished == set()
        assert store.trials == [trial(7)]


def test_absent_study_is_refused(path):
    with pytest.raises(StudyError) as caught:
        StudyStore.open(path)
    assert str(caught.value) == (
        f"There is no study in '{path.parent}': 'study.sqlite' is missing."
    )
    assert not path.exists()


def write_text(path):
    path.write_text("This is a text that somebody keeps under the name of a study. " * 50)


def write_nothing(path):
    path.touch()


def write_other_tables(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")


def write_other_meta(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE meta (key TEXT, value TEXT)")
        connection.execute("INSERT INTO meta VALUES ('schema', 'not JSON')")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (write_text, "file is not a database"),
        (write_nothing, "no such table: meta"),
        (write_other_tables, "no such table: meta"),
        (write_other_meta, "Expecting value: line 1 column 1 (char 0)"),
        (lambda path: path.mkdir(), "unable to open database file"),
    ],
    ids=["text", "empty", "other-tables", "other-meta", "folder"],
)
def test_file_that_is_no_study_is_refused_and_left_alone(path, write, reason):
    write(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StudyError) as caught:
        StudyStore.open(path)
    assert str(caught.value) == f"'{path}' cannot be read as a study: {reason}."
    assert before is None or path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("version", [0, 3, None, "2"])
def test_other_schema_is_refused(path, version):
    with StudyStore.create(path, {}, []) as store:
        store.set_meta("schema", version)
    with pytest.raises(StudyError) as caught:
        StudyStore.open(path)
    assert str(caught.value) == (f"'{path}' has schema {version}, this version of etaeff reads 2.")


def test_a_study_of_the_first_schema_is_refused_with_what_to_do(path):
    with StudyStore.create(path, {}, []) as store:
        store.set_meta("schema", 1)
    with pytest.raises(StudyError) as caught:
        StudyStore.open(path)
    assert str(caught.value) == (
        f"'{path}' has schema 1, this version of etaeff reads 2. Its trials have other names "
        "since. Go on with it in the version that wrote it, or run the study anew in another "
        "folder."
    )


def test_trial_of_a_newer_version_is_refused(store, path):
    text = json.dumps(trial(0).to_dict() | {"warmup": 3})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO trial VALUES ('x', ?)", (text,))
    with pytest.raises(ValueError, match="Unknown field of a trial 'warmup'"):
        store.trials  # noqa: B018


def test_rows_that_do_not_fit_on_the_disk_are_refused_with_a_sentence(tmp_path):
    one = Trial.of(data="digits", train_size=600, lr=0.1, steps=10)
    with StudyStore.create(tmp_path / "study.sqlite", {}, [one]) as store:
        store._connection.execute("PRAGMA max_page_count = 1")  # SQLite's own full disk
        rows = [EpochRow(one.id, i, i, 0.1, 0.1, 0.1) for i in range(10_000)]
        with pytest.raises(StudyError, match=r"cannot be written: database or disk is full\. What"):
            store.add(TrialResults([OutcomeRow(one.id, None, 1.0)], rows, [], []))
        assert store.finished == set()
