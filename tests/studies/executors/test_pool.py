import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest

from etaeff.errors import StudyError
from etaeff.records import Trial
from etaeff.studies.data._dataset import Dataset
from etaeff.studies.executors._pool import Pool, _interrupts_held

RNG = np.random.default_rng(0)
DATA = Dataset(
    name="toy",
    classes=2,
    train_x=RNG.standard_normal((40, 1, 3, 3)).astype(np.float32),
    train_y=np.arange(40) % 2,
    test_x=RNG.standard_normal((20, 1, 3, 3)).astype(np.float32),
    test_y=np.arange(20) % 2,
    fingerprint="0" * 64,
    note="",
)


def stacks(count, steps=4):
    trials = [
        Trial.of(data="toy", train_size=40, batch_size=10, width=4, lr=0.1, steps=steps, seed=seed)
        for seed in range(2 * count)
    ]
    return [tuple(trials[2 * i : 2 * i + 2]) for i in range(count)]


def workers():
    """The processes of a pool that this one drives."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie has no command line
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


def ended(processes, seconds=20):
    """Whether they end in time. Not `psutil.wait_procs`: that takes the exit code of a child
    away from `multiprocessing`, which then waits for it without end."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(map(alive, processes)):
            return True
        time.sleep(0.05)
    return False


def alive(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Deadly:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (3,)


def bystander():
    """A process of the program's own, that has nothing to do with the study."""
    return multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,), daemon=True)


def test_every_stack_is_trained_once_and_comes_with_its_rows_and_others_are_left_alone():
    other = bystander()
    other.start()
    try:
        wanted = stacks(3)
        found = list(Pool(1).train(wanted, DATA))
        assert sorted(stack[0].seed for stack, _ in found) == [0, 2, 4]
        for stack, results in found:
            assert [row.trial for row in results.outcomes] == [trial.id for trial in stack]
            assert {row.trial for row in results.epochs} == {trial.id for trial in stack}
        # Its own workers have gone, and nobody else's.
        ours = [child for child in workers() if child.pid != other.pid]
        assert ended(ours)
        other.join(timeout=1)
        assert other.is_alive()
    finally:
        other.kill()
        other.join()


def test_a_worker_that_dies_is_a_sentence():
    training = Pool(1).train(stacks(40, steps=300), DATA)
    next(training)
    (worker,) = workers()
    worker.kill()
    with pytest.raises(StudyError) as refused:
        list(training)
    assert str(refused.value) == (
        "A worker process died, perhaps for want of memory. The finished trials are kept."
    )


def test_a_worker_that_dies_when_it_starts_is_a_sentence():
    with pytest.raises(StudyError, match="A worker process died"):
        list(Pool(1).train(stacks(1), replace(DATA, note=Deadly())))


def test_workers_end_with_a_caller_that_stops_listening():
    training = Pool(1).train(stacks(40, steps=300), DATA)
    next(training)
    running = workers()
    assert len(running) == 1
    training.close()
    assert ended(running)


@pytest.fixture
def interrupts():
    """Ctrl-C raises, as in a process at a terminal: in the background a shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_while_workers_start_is_held_and_not_lost():
    code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(0, []))"
    started = []

    def interrupted():
        with _interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            command = [sys.executable, "-c", code]
            started.append(subprocess.run(command, capture_output=True, text=True, check=True))

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert started[0].stdout == "True\n"  # it ran to its end, and no Ctrl-C reaches it
    with pytest.raises(KeyboardInterrupt):  # and later ones come as ever
        signal.raise_signal(signal.SIGINT)


def test_the_driving_process_loads_no_torch():
    modules = "etaeff.studies.executors._pool, etaeff.studies._study"
    code = f"import {modules}, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_worker_loads_neither_frames_nor_statistics():
    modules = "etaeff.studies.executors._pool, etaeff.studies.engine._train"
    code = f"import {modules}, sys; print(*{{'polars', 'scipy', 'sklearn'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_a_worker_computes_in_one_thread_whatever_the_environment_says():
    code = """
import torch
from etaeff.studies.executors import _pool
before = torch.get_num_threads()
_pool._start(None)
print(before, torch.get_num_threads())
"""
    two = {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=os.environ | two, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("2 1\n", "")
