import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import psutil
import pytest
from support import tiny_study

from etaeff.errors import (
    DataError,
    StudyBusyError,
    StudyError,
    StudyMismatchError,
    UnknownNameError,
    UsageError,
)
from etaeff.records import TABLES, StudyStore
from etaeff.studies import _study, resume_study, run_study, study_status
from etaeff.studies._plan import Plan
from etaeff.studies.data._idx import IDX_FILES
from etaeff.studies.engine._stacks import stacks
from etaeff.studies.judging._claims import Claim, Part, needed_trials
from etaeff.studies.papers import van_laarhoven_2017

SCRIPT = Path(tiny_study.__file__)
FILES = ("results.parquet", "epochs.parquet", "rescalings.parquet", "claims.json")


class StoppedError(Exception):
    """What a test's listener stops a study with."""


def rows(out):
    """All rows of a study but for their wall time, whatever the order in which they came."""
    with StudyStore.open(out / "study.sqlite") as store:
        found = {table: sorted(store.rows(table), key=repr) for table in TABLES}
    found["outcome"] = [row[:2] for row in found["outcome"]]
    return found


def frames(out):
    """The parquet files, but for the wall time."""
    found = {name: pl.read_parquet(out / name) for name in FILES if name.endswith("parquet")}
    found["results.parquet"] = found["results.parquet"].drop("wall_seconds")
    keys = ["trial", "epoch", "layer", "factor", "eps"]
    return {
        name: frame.sort([key for key in keys if key in frame.columns])
        for name, frame in found.items()
    }


def assert_same_study(one, other):
    assert rows(one) == rows(other)
    for name, frame in frames(one).items():
        assert frame.equals(frames(other)[name], null_equal=True), name
    assert claims(one)["claims"] == claims(other)["claims"]


def claims(out):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    text = (out / "claims.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=refuse)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def driver(out, point="never 1", *, trainer="drawn", workers=1, **options):
    """A real process that runs the study; see `support/tiny_study.py`."""
    command = [sys.executable, "-W", "error", str(SCRIPT), str(out), str(workers), trainer, point]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.fixture
def tiny(monkeypatch):
    """Puts the tiny preset in, with results that are drawn and not trained."""
    monkeypatch.setitem(_study.PRESETS, "tiny", tiny_study.PRESET)
    monkeypatch.setattr(_study, "Pool", tiny_study.pool_of(tiny_study.drawn))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The folder of a drawn study that nothing interrupted."""
    out = tmp_path_factory.mktemp("unbroken") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_study.PRESETS, "tiny", tiny_study.PRESET)
        patch.setattr(_study, "Pool", tiny_study.pool_of(tiny_study.drawn))
        run_study("paper", out, preset="tiny")
    return out


def never(*_):
    raise AssertionError("Nothing is left to train.")


# What a study leaves


def test_a_study_leaves_files_that_other_programs_read(unbroken):
    assert {path.name for path in unbroken.iterdir()} >= {"study.sqlite", *FILES}
    with StudyStore.open(unbroken / "study.sqlite") as store:
        trials = store.trials
        assert store.finished == {trial.id for trial in trials}
    results, epochs, rescalings = (pl.read_parquet(unbroken / name) for name in FILES[:3])
    assert results["trial"].to_list() == [trial.id for trial in trials]
    assert results["test_error"].null_count() == 0
    assert len(rescalings) == 6 * len(trials)
    assert set(epochs["trial"]) == set(results["trial"])
    assert epochs.group_by("trial", "epoch", "layer").len()["len"].max() == 1


def test_claims_json_has_every_claim_with_its_findings_and_no_nan(unbroken):
    content = claims(unbroken)
    assert content["specification"]["preset"] == "tiny"
    assert [claim["number"] for claim in content["claims"]] == list(range(1, 10))
    for claim in content["claims"]:
        assert claim["verdict"] in ("holds", "does not hold", "undecided")
        for finding in claim["findings"]:
            assert finding["verdict"] in ("holds", "does not hold", "undecided")
            assert finding["claim"] == claim["number"]
    assert [session["trials"] for session in content["sessions"]] == [
        len(pl.read_parquet(unbroken / "results.parquet"))
    ]


def test_run_study_returns_the_claims_that_it_wrote(tiny, tmp_path):
    records = run_study("paper", tmp_path / "a", preset="tiny")
    written = claims(tmp_path / "a")["claims"]
    assert [(r.number, r.title, r.verdict) for r in records] == [
        (c["number"], c["title"], c["verdict"]) for c in written
    ]


def test_a_finished_study_says_so(unbroken):
    status = study_status(unbroken)
    assert status.done == status.total == len(pl.read_parquet(unbroken / "results.parquet"))
    assert not status.running
    assert status.specification["data"] == "digits"
    assert len(status.sessions) == 1
    for key in ("started", "workers", "threads per worker", "torch", "processor", "seconds"):
        assert key in status.sessions[0]


def test_the_listener_hears_of_every_stack(tiny, tmp_path):
    heard, seen = [], []

    def listener(progress):
        heard.append(progress)
        seen.append(study_status(tmp_path / "a"))

    run_study("paper", tmp_path / "a", preset="tiny", listener=listener)
    assert [p.done for p in heard] == sorted(p.done for p in heard)
    assert (heard[0].done, heard[0].best) == (0, None)
    assert np.isnan(heard[0].remaining)
    assert heard[-1].done == heard[-1].total == len(pl.read_parquet(tmp_path / "a" / FILES[0]))
    assert heard[-1].remaining == 0
    with StudyStore.open(tmp_path / "a" / "study.sqlite") as store:
        last = {row[0]: row[5] for row in store.rows("epoch")}
    trial, error = heard[-1].best
    assert (error, last[trial.id]) == (min(last.values()), min(last.values()))
    # Each was told after its rows were safe, and while the study was running.
    assert [status.done for status in seen] == [p.done for p in heard]
    assert all(status.running for status in seen)


def test_running_it_again_adds_nothing(tiny, monkeypatch, tmp_path):
    run_study("paper", tmp_path, preset="tiny")
    before, files = rows(tmp_path), contents(tmp_path)
    monkeypatch.setattr(_study, "Pool", tiny_study.pool_of(never))
    run_study("paper", tmp_path, preset="tiny")
    resume_study(tmp_path)
    assert rows(tmp_path) == before
    again = contents(tmp_path)
    for name in FILES:
        assert again[name] == files[name]


def test_files_that_were_deleted_are_made_again(tiny, monkeypatch, tmp_path):
    run_study("paper", tmp_path, preset="tiny")
    before = frames(tmp_path)
    for name in FILES:
        (tmp_path / name).unlink()
    monkeypatch.setattr(_study, "Pool", tiny_study.pool_of(never))
    resume_study(tmp_path)
    for name, frame in frames(tmp_path).items():
        assert frame.equals(before[name], null_equal=True)


# Killed, and gone on with


@pytest.mark.parametrize(
    "point",
    [
        "listener 1",  # before the first result
        "transaction 13",  # in the middle of a result
        "transaction last",  # just before the end
        "added last",
        "export 1",  # all trained, nothing judged
        "export 3",
    ],
)
def test_a_study_killed_at_any_point_goes_on_to_the_same_results(tiny, unbroken, tmp_path, point):
    out = tmp_path / "study"
    plan = Plan(tiny_study.PRESET, "digits")
    last = len(stacks(needed_trials(van_laarhoven_2017.claims(plan))))
    killed = driver(out, point.replace("last", str(last)))
    _, errors = killed.communicate(timeout=60)
    assert (killed.returncode, errors) == (-signal.SIGKILL, "")
    before = study_status(out).done
    started = []
    resume_study(out, listener=lambda progress: started.append(progress.done))
    assert_same_study(out, unbroken)
    # Nothing that was finished was run again.
    assert started[:1] == ([before] if before < study_status(out).total else [])
    counts = Counter(row[0] for row in rows(out)["outcome"])
    assert set(counts.values()) == {1}


def test_a_study_killed_while_its_store_is_made_begins_anew(tiny, unbroken, tmp_path):
    out = tmp_path / "study"
    killed = driver(out, "create 1")
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(StudyError, match="There is no study in"):
        resume_study(out)
    run_study("paper", out, preset="tiny")
    assert_same_study(out, unbroken)


def test_a_study_that_was_interrupted_says_so_and_counts_its_sessions(tiny, tmp_path):
    def stop(progress):
        if progress.done > 100:
            raise StoppedError

    with pytest.raises(StoppedError):
        run_study("paper", tmp_path, preset="tiny", listener=stop)
    status = study_status(tmp_path)
    assert 100 < status.done < status.total
    assert not status.running
    assert not (tmp_path / "claims.json").exists()
    resume_study(tmp_path)
    status = study_status(tmp_path)
    assert status.done == status.total
    assert len(status.sessions) == 2
    assert status.sessions[1]["trials"] < status.total - 100


# The same with real workers


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a study that two workers trained and nothing interrupted."""
    out = tmp_path_factory.mktemp("trained") / "study"
    done = driver(out, trainer="real", workers=2)
    output, errors = done.communicate(timeout=120)
    assert (done.returncode, errors) == (0, "")
    assert output.endswith("done\n")
    return out


def gone(processes, timeout):
    """Whether all of them end in time; those that do not are ended, so as not to stay behind."""
    _, alive = psutil.wait_procs(processes, timeout=timeout)
    alive = [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    for process in alive:
        process.kill()
    return alive == []


def kill(running):
    """End a driver as a power cut would, without waiting for what holds its streams."""
    running.kill()
    running.wait(timeout=10)
    running.stdout.close()
    running.stderr.close()


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A study with two workers that a second one met, and that was then killed."""
    out = tmp_path_factory.mktemp("killed") / "study"
    running = driver(out, "stall 6", trainer="real", workers=2)
    for line in running.stdout:
        if line == "stalled\n":
            break
    processes = psutil.Process(running.pid).children(recursive=True)
    found = SimpleNamespace(out=out, while_running=study_status(out), refusals=[])
    found.workers = [p for p in processes if "spawn_main" in " ".join(p.cmdline())]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_study.PRESETS, "tiny", tiny_study.PRESET)
        for start in (run_study_again, resume_study):
            with pytest.raises(StudyBusyError) as refused:
                start(out)
            found.refusals.append(str(refused.value))
    found.survived = running.poll() is None
    kill(running)
    found.all_gone = gone(processes, timeout=20)
    return found


def test_a_second_process_on_the_same_folder_is_refused(killed):
    assert killed.while_running.running
    assert killed.survived
    assert set(killed.refusals) == {
        f"Another process is running the study in '{killed.out}'. "
        f"See: etaeff study status {killed.out}"
    }


def test_no_worker_outlives_a_killed_study(killed):
    assert len(killed.workers) == 2
    assert killed.all_gone


def test_a_killed_study_goes_on_to_the_same_bits_with_another_number_of_workers(
    monkeypatch, killed, trained, tmp_path
):
    monkeypatch.setitem(_study.PRESETS, "tiny", tiny_study.PRESET)
    out = tmp_path / "study"
    shutil.copytree(killed.out, out)
    status = study_status(out)
    assert 0 < status.done < status.total
    assert not status.running
    resume_study(out, workers=1)
    assert_same_study(out, trained)


def run_study_again(out):
    run_study("paper", out, preset="tiny")


def test_a_driver_killed_while_its_workers_start_leaves_none(tmp_path):
    running = driver(tmp_path / "study", trainer="real", workers=2)
    assert running.stdout.readline() == "0\n"  # the pool is next
    parent = psutil.Process(running.pid)
    workers = []
    while len(workers) < 2 and running.poll() is None:
        workers = [
            p for p in parent.children(recursive=True) if "spawn_main" in "".join(p.cmdline())
        ]
    kill(running)
    assert gone(workers, timeout=30)


def test_training_gave_every_trial_its_rows(trained):
    results = pl.read_parquet(trained / "results.parquet")
    assert results["diverged_epoch"].is_null().mean() > 0.9
    fine = results.filter(pl.col("diverged_epoch").is_null())
    for column in ("train_loss", "test_loss", "radius", "effective_lr", "angle", "grad_norm_sq"):
        assert fine[column].is_finite().all(), column
    assert claims(trained)["sessions"][0]["threads per worker"] == 1


# Refusals


def test_an_unknown_study_or_preset_lists_the_known_ones(tmp_path):
    with pytest.raises(UnknownNameError) as refused:
        run_study("papper", tmp_path / "a")
    assert str(refused.value) == "Unknown study 'papper'. Known: paper. Did you mean 'paper'?"
    with pytest.raises(UnknownNameError) as refused:
        run_study("paper", tmp_path / "a", preset="qick")
    assert str(refused.value) == (
        "Unknown preset 'qick'. Known: quick, full. Did you mean 'quick'?"
    )
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("value", [0, -3])
@pytest.mark.parametrize("name", ["seeds", "workers"])
def test_seeds_and_workers_are_at_least_one(tmp_path, name, value):
    with pytest.raises(UsageError) as refused:
        run_study("paper", tmp_path / "a", **{name: value})
    assert str(refused.value) == f"`{name}` must be at least 1, got {value}."
    assert not (tmp_path / "a").exists()


def test_the_full_preset_wants_data(tmp_path):
    with pytest.raises(UsageError) as refused:
        run_study("paper", tmp_path / "a", preset="full")
    assert str(refused.value) == (
        "Preset 'full' needs a data set: give the directory of Fashion-MNIST, MNIST or CIFAR-10 "
        "with --data."
    )
    assert not (tmp_path / "a").exists()


def test_data_that_cannot_be_read_are_refused_before_a_folder_is_made(tiny, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="must hold the idx files"):
        run_study("paper", tmp_path / "a", preset="tiny", data=str(tmp_path / "empty"))
    with pytest.raises(UsageError, match="does not exist"):
        run_study("paper", tmp_path / "a", preset="tiny", data=str(tmp_path / "none"))
    assert not (tmp_path / "a").exists()


def test_data_that_are_named_by_nothing_are_refused(tiny, tmp_path):
    # `--data "$DATA"` with the variable unset must not train on other data.
    with pytest.raises(UsageError):
        run_study("paper", tmp_path / "a", preset="tiny", data="")


def test_what_cannot_be_trained_is_refused_before_a_folder_is_made(tiny, monkeypatch, tmp_path):
    def claims_of(plan):
        trials = plan.trials([{"lr": 0.1}], optimizer="muon")
        return [Claim(1, "Title", "Statement.", "a paper", (Part("one", "slope", trials, never),))]

    monkeypatch.setitem(_study.STUDIES, "other", ("Other", claims_of))
    with pytest.raises(UsageError, match="`optimizer` 'muon' cannot train in a stack"):
        run_study("other", tmp_path / "a", preset="tiny")
    assert not (tmp_path / "a").exists()


def test_a_study_of_an_older_version_is_refused_with_a_sentence_and_stays(tiny, tmp_path):
    with StudyStore.create(tmp_path / "study.sqlite", {"study": "paper"}, []) as store:
        store.set_meta("schema", 1)
    before = (tmp_path / "study.sqlite").read_bytes()
    for go_on in (study_status, resume_study, lambda out: run_study("paper", out, preset="tiny")):
        with pytest.raises(StudyError, match="Its trials have other names since"):
            go_on(tmp_path)
    assert (tmp_path / "study.sqlite").read_bytes() == before


def test_a_folder_with_something_else_in_it_is_refused_and_stays(tiny, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "claims.json").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(UsageError) as refused:
        run_study("paper", tmp_path, preset="tiny")
    assert str(refused.value) == (
        f"'{tmp_path}' holds 'claims.json' and no study. Give a new or empty folder with --out, "
        "so that nothing is overwritten."
    )
    assert contents(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["claims.json", "thesis.tex"]


def test_a_file_in_place_of_the_folder_is_refused_and_stays(tiny, tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(UsageError) as refused:
        run_study("paper", tmp_path / "a", preset="tiny")
    assert str(refused.value) == f"'{tmp_path / 'a'}' is a file; a study needs a folder."
    assert (tmp_path / "a").read_text() == "mine"


def test_a_folder_under_a_file_is_refused_with_a_sentence(tiny, tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(UsageError, match=r"/a"):
        run_study("paper", tmp_path / "a" / "b", preset="tiny")
    assert (tmp_path / "a").read_text() == "mine"


def test_an_empty_folder_and_one_that_is_not_there_are_welcome(tiny, tmp_path):
    (tmp_path / "empty").mkdir()
    run_study("paper", tmp_path / "empty", preset="tiny")
    run_study("paper", tmp_path / "not" / "there", preset="tiny")
    assert_same_study(tmp_path / "empty", tmp_path / "not" / "there")


def write_idx(folder, pixel=0):
    """Data in idx files: 80 training and 20 test images of 4 × 4, in ten classes."""
    rng = np.random.default_rng(0)
    arrays = []
    for count in (80, 20):
        images = rng.integers(0, 256, (count, 4, 4), np.uint8)
        images[0, 0, 0] = pixel
        arrays += [images, (np.arange(count) % 10).astype(np.uint8)]
    folder.mkdir(parents=True)
    for name, array in zip(IDX_FILES, arrays, strict=True):
        head = bytes([0, 0, 8, array.ndim]) + np.asarray(array.shape, ">u4").tobytes()
        (folder / name).write_bytes(head + array.tobytes())
    return folder


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seeds": 3}, ["seeds: None there, 3 here", "trials: "]),
        ({"preset": "other"}, ["preset: 'tiny' there, 'other' here"]),
        ({"data": "toy"}, ["data: 'digits' there, 'toy' here", "image shape: [1, 8, 8] there"]),
    ],
)
def test_a_folder_with_another_study_is_refused_and_stays(
    tiny, monkeypatch, tmp_path, changes, named
):
    other = replace(tiny_study.PRESET, name="other", width=9)
    monkeypatch.setitem(_study.PRESETS, "other", other)
    out = tmp_path / "study"
    run_study("paper", out, preset="tiny")
    before, trained = contents(out), rows(out)
    if "data" in changes:
        changes = {"data": str(write_idx(tmp_path / "toy"))}
    with pytest.raises(StudyMismatchError) as refused:
        run_study("paper", out, **({"preset": "tiny"} | changes))
    sentence = str(refused.value)
    assert sentence.startswith(f"'{out}' holds the results of another study (")
    assert sentence.endswith(f"go on with that one: etaeff study resume {out}")
    for part in named:
        assert part in sentence
    assert rows(out) == trained
    assert {name: contents(out)[name] for name in FILES} == {name: before[name] for name in FILES}


def test_data_that_changed_are_another_study(tiny, tmp_path):
    folder = write_idx(tmp_path / "toy")
    run_study("paper", tmp_path / "study", preset="tiny", data=str(folder))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    write_idx(folder, pixel=9)
    with pytest.raises(StudyMismatchError, match="data fingerprint: "):
        resume_study(tmp_path / "study")


@pytest.mark.parametrize("given", ["toy", "./toy", "absolute"])
def test_a_study_goes_on_from_any_folder(tiny, monkeypatch, tmp_path, given):
    def stop(progress):
        if progress.done:
            raise StoppedError

    folder = write_idx(tmp_path / "data" / "toy")
    (tmp_path / "elsewhere").mkdir()
    out = tmp_path / "study"
    monkeypatch.chdir(tmp_path / "data")
    with pytest.raises(StoppedError):
        run_study("paper", out, preset="tiny", listener=stop,
                  data=str(folder) if given == "absolute" else given)  # fmt: skip
    monkeypatch.chdir(tmp_path / "elsewhere")
    resume_study(out)
    assert study_status(out).done == study_status(out).total


@pytest.mark.parametrize("call", [resume_study, study_status])
def test_a_folder_without_a_study_has_nothing_to_go_on_with(tmp_path, call):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(StudyError) as refused:
            call(folder)
        assert str(refused.value) == f"There is no study in '{folder}': 'study.sqlite' is missing."
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_none_is_refused_and_stays(tmp_path):
    (tmp_path / "study.sqlite").write_bytes(b"no database at all, but of some length" * 20)
    before = contents(tmp_path)
    for call in (resume_study, study_status):
        with pytest.raises(StudyError, match="cannot be read as a study"):
            call(tmp_path)
    assert contents(tmp_path) == before
