import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from support import tiny_study

from etaeff.studies import _study, study_status

# `test_report.py` makes a real one.
pytestmark = pytest.mark.usefixtures("no_report")
RUN = ("study", "run", "paper", "--preset", "tiny", "--out")


def interrupted_after(count, tiny):
    """Trains as `drawn` does until Ctrl-C comes while the next stack trains."""

    def train(stacks, data, workers):
        for number, result in enumerate(tiny.drawn(stacks, data, workers)):
            if number == count:
                raise KeyboardInterrupt
            yield result

    return train


# What a run prints


def test_a_run_prints_every_verdict_and_where_the_report_is(etaeff, tiny, tmp_path):
    done = etaeff(*RUN, tmp_path / "a")
    assert done.code == 0
    *claims, report = done.out.splitlines()
    assert report == f"Report: {tmp_path / 'a' / 'report.html'}"
    assert (tmp_path / "a" / "report.html").is_file()
    pattern = r"(\d)\. .+: (holds|does not hold|undecided) \(\d+ of \d+ parts hold\)"
    assert [re.fullmatch(pattern, line)[1] for line in claims] == list("123456789")


def test_progress_goes_to_the_other_stream_as_plain_lines(etaeff, tiny, tmp_path):
    done = etaeff(*RUN, tmp_path / "a")
    lines = done.err.splitlines()
    total = study_status(tmp_path / "a").total
    assert lines[0] == f"0 of {total} trials, the first are training."
    assert re.fullmatch(
        rf"{total} of {total} trials, \d+ s\. Best test error .+ %: .+, lr .+, wd .+\.", lines[-1]
    )
    assert "\x1b" not in done.err + done.out


def test_quiet_prints_the_path_of_the_report_and_nothing_else(etaeff, tiny, tmp_path):
    done = etaeff(*RUN, tmp_path / "a", "--quiet")
    assert (done.code, done.out, done.err) == (0, f"{tmp_path / 'a' / 'report.html'}\n", "")


def test_results_go_to_a_folder_of_the_studys_name(etaeff, tiny, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    done = etaeff("study", "run", "paper", "--preset", "tiny", "--quiet")
    assert done.out == f"{Path('runs/paper/report.html')}\n"
    assert (tmp_path / "runs" / "paper" / "claims.json").is_file()


def test_options_reach_the_study(etaeff, tiny, monkeypatch, tmp_path):
    seen = {}

    def train(stacks, data, workers):
        seen["workers"] = workers
        seen["seeds"] = {trial.seed for stack in stacks for trial in stack}
        yield from tiny.drawn(stacks, data, workers)

    monkeypatch.setattr(_study, "Pool", tiny.pool_of(train))
    done = etaeff(*RUN, tmp_path / "a", "--seeds", "3", "--workers", "2", "--data", "digits")
    assert done.code == 0
    assert seen == {"workers": 2, "seeds": {0, 1, 2}}


def test_a_second_run_trains_nothing_and_prints_the_same_verdicts(etaeff, tiny, tmp_path):
    first, second = (etaeff(*RUN, tmp_path / "a") for _ in range(2))
    assert second.code == 0
    assert second.out == first.out
    assert second.err == ""  # no progress, as there is nothing to do


# Interrupted


def test_an_interrupted_run_says_how_to_go_on_and_does(etaeff, tiny, monkeypatch, tmp_path):
    out = tmp_path / "a"
    monkeypatch.setattr(_study, "Pool", tiny.pool_of(interrupted_after(3, tiny)))
    done = etaeff(*RUN, out, "--quiet")
    assert done.code == 1
    assert done.sentence == (
        f"Interrupted. What finished is kept; go on with: etaeff study resume {out}"
    )
    assert 0 < study_status(out).done < study_status(out).total
    monkeypatch.setattr(_study, "Pool", tiny.pool_of(tiny.drawn))
    done = etaeff("study", "resume", out, "--quiet")
    assert (done.code, done.out, done.err) == (0, f"{out / 'report.html'}\n", "")
    assert study_status(out).done == study_status(out).total


def test_the_command_to_go_on_with_can_be_pasted(etaeff, tiny, monkeypatch, tmp_path):
    out = tmp_path / "my study"
    monkeypatch.setattr(_study, "Pool", tiny.pool_of(interrupted_after(3, tiny)))
    command = etaeff(*RUN, out, "--quiet").sentence.partition("go on with: ")[2]
    assert shlex.split(command) == ["etaeff", "study", "resume", str(out)]


CLI = """
import runpy, sys
from dataclasses import replace
if __name__ == "__main__":
    preset = runpy.run_path({tiny!r})["PRESET"]
    from etaeff.studies._plan import PRESETS
    PRESETS["tiny"] = replace(preset, steps=300, short=300, long=300)
    from etaeff.cli import main
    main(sys.argv[1:])
"""


@pytest.fixture
def long_run(python, tmp_path):
    """A real process that trains for a while, in a group of its own as at a terminal."""
    script = tmp_path / "run.py"
    script.write_text(CLI.format(tiny=tiny_study.__file__))
    command = [*python, str(script), *RUN, str(tmp_path / "a"), "--workers", "2"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def workers_of(process):
    return [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline())
    ]


def assert_interrupted_without_noise(process, workers, out):
    os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does: the workers get it too
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    assert errors.splitlines()[-1] == (
        f"etaeff: Interrupted. What finished is kept; go on with: etaeff study resume {out}"
    )
    assert "Traceback" not in errors
    assert psutil.wait_procs(workers, timeout=30)[1] == []


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_control_c_while_training_ends_all_of_it_with_a_sentence(long_run, tmp_path):
    out, deadline = tmp_path / "a", time.monotonic() + 60
    while not (out / "study.sqlite").exists() or not study_status(out).done:
        assert long_run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert_interrupted_without_noise(long_run, workers_of(long_run), out)
    status = study_status(out)
    assert 0 < status.done < status.total
    assert not status.running


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_control_c_while_the_workers_start_ends_all_of_it_with_a_sentence(long_run, tmp_path):
    assert "the first are training" in long_run.stderr.readline()
    workers, deadline = [], time.monotonic() + 30
    while len(workers) < 2:
        assert time.monotonic() < deadline
        workers = workers_of(long_run)
    time.sleep(0.5)  # they are loading torch now
    assert_interrupted_without_noise(long_run, workers, tmp_path / "a")


# Status and list


def test_the_status_of_a_finished_study(etaeff, tiny, tmp_path):
    etaeff(*RUN, tmp_path / "a", "--seeds", "3")
    done = etaeff("study", "status", tmp_path / "a")
    total = study_status(tmp_path / "a").total
    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert lines[:5] == [
        f"{total} of {total} trials, done.",
        "  study: paper",
        "  preset: tiny",
        "  data: digits",
        "  seeds: 3",
    ]
    assert re.fullmatch(rf"  \S+: {total} trials in \d+ s on \d+ workers", lines[5])
    assert len(lines) == 6


def test_the_status_of_a_stopped_study_says_how_to_go_on(etaeff, tiny, monkeypatch, tmp_path):
    monkeypatch.setattr(_study, "Pool", tiny.pool_of(interrupted_after(3, tiny)))
    etaeff(*RUN, tmp_path / "a")
    done = etaeff("study", "status", tmp_path / "a")
    assert done.code == 0
    assert re.match(r"\d+ of \d+ trials, stopped\.\n", done.out)
    assert "  seeds: as the preset has it\n" in done.out
    assert done.out.endswith(f"\nGo on with: etaeff study resume {tmp_path / 'a'}\n")


def test_the_status_of_a_running_study(etaeff, tiny, monkeypatch, tmp_path, capsys):
    said = []

    def train(stacks, data, workers):
        from etaeff.cli.study import _status

        capsys.readouterr()
        _status.callback(tmp_path / "a")
        said.append(capsys.readouterr().out)
        yield from tiny.drawn(stacks, data, workers)

    monkeypatch.setattr(_study, "Pool", tiny.pool_of(train))
    etaeff(*RUN, tmp_path / "a", "--quiet")
    total = study_status(tmp_path / "a").total
    assert said[0].startswith(f"0 of {total} trials, running.\n")
    assert "Go on with" not in said[0]


def test_the_list_names_studies_and_presets(etaeff):
    done = etaeff("study", "list")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("paper: L2 Regularization versus Batch and Weight Normalization")
    assert "--preset quick: mlp, digits, 3 seeds\n" in done.out
    assert "--preset full: conv, give --data, 3 seeds\n" in done.out


# Refusals, each in one sentence


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["run", "papper"], 2, "Unknown study 'papper'. Known: paper. Did you mean 'paper'?"),
        (["run", "paper", "--preset", "qick"], 2, "Unknown preset 'qick'. Known: quick, full."),
        (["run", "paper", "--seeds", "0"], 2, "`seeds` must be at least 1, got 0."),
        (["run", "paper", "--workers", "-1"], 2, "`workers` must be at least 1, got -1."),
        (["run", "paper", "--preset", "full"], 2, "Preset 'full' needs a data set"),
        (["run", "paper", "--data", "cifar"], 2, "Unknown data set 'cifar'"),
        (["run", "paper", "--data", "mnist"], 2, "The data set 'mnist' is given by its directory"),
        (["run", "paper", "--data", "no/where"], 2, "`source` must be a directory, and 'no/where'"),
        (["run", "paper", "--data", "."], 1, "The directory '.' must hold the idx files"),
        (["run", "paper", "--out", "a file"], 2, "'a file' is a file; a study needs a folder."),
        (["run", "paper", "--out", "a file/b"], 2, "The folder 'a file/b' cannot be made"),
        (["run", "paper", "--out", "."], 2, "'.' holds 'a file' and no study."),
        (["resume", "."], 1, "There is no study in '.': 'study.sqlite' is missing."),
        (["resume", "a file"], 1, "There is no study in 'a file': 'study.sqlite' is missing."),
        (["status", "absent"], 1, "There is no study in 'absent': 'study.sqlite' is missing."),
        (["resume", ".", "--workers", "0"], 1, "There is no study in '.'"),
    ],
)
def test_bad_input_is_refused_with_one_sentence_and_nothing_is_written(
    etaeff, monkeypatch, tmp_path, arguments, code, sentence
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").write_text("mine")
    done = etaeff("study", *arguments)
    assert done.code == code
    assert done.sentence.startswith(sentence)
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]
    assert (tmp_path / "a file").read_text() == "mine"


def test_another_study_in_the_folder_is_refused(etaeff, tiny, tmp_path):
    etaeff(*RUN, tmp_path / "a")
    done = etaeff(*RUN, tmp_path / "a", "--seeds", "3")
    assert done.code == 2
    assert "seeds: None there, 3 here" in done.sentence
    assert done.sentence.endswith(f"etaeff study resume {tmp_path / 'a'}")


def test_a_worker_that_died_is_a_failure(etaeff, tiny, monkeypatch, tmp_path):
    from etaeff.errors import StudyError

    def train(stacks, data, workers):
        raise StudyError("A worker process died, perhaps for want of memory.")
        yield

    monkeypatch.setattr(_study, "Pool", tiny.pool_of(train))
    done = etaeff(*RUN, tmp_path / "a", "--quiet")
    assert done.code == 1
    assert done.sentence.startswith("A worker process died")


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
from etaeff.cli import main
main({arguments!r})
"""


@pytest.mark.parametrize(
    ("package", "extra"),
    [("polars", "study"), ("scipy", "study"), ("sklearn", "study"), ("matplotlib", "report"),
     ("jinja2", "report")],
)  # fmt: skip
def test_a_missing_extra_names_what_to_type_before_anything_is_written(
    python, tmp_path, package, extra
):
    arguments = ["study", "run", "paper", "--out", str(tmp_path / "a")]
    code = BLOCKED.format(package=package, arguments=arguments)
    done = subprocess.run([*python, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        rf"etaeff: This needs '{package}(\.\w+)?', which is not installed\. "
        rf"Type: pip install 'etaeff\[{extra}\]'\n",
        done.stderr,
    )
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("package", "arguments"), [("polars", ["report", "."]), ("polars", ["study", "list"])]
)
def test_a_missing_extra_names_what_to_type_for_every_command(python, package, arguments):
    code = BLOCKED.format(package=package, arguments=arguments)
    done = subprocess.run([*python, "-c", code], capture_output=True, text=True, check=False)
    if arguments == ["study", "list"] and done.returncode == 0:
        assert done.stdout.startswith("paper: ")  # a list needs no frames
        return
    assert done.returncode == 1
    assert "which is not installed. Type: pip install 'etaeff[" in done.stderr
    assert "Traceback" not in done.stderr
