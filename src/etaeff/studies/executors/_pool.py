"""A pool of processes that trains stacks.

Every process uses one thread, so the number of processes changes no bit of a result.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any, Final

from etaeff.errors import StudyError
from etaeff.records import TrialResults
from etaeff.studies.data._dataset import Dataset
from etaeff.studies.executors._executor import Stack

THREADS: Final = 1


@dataclass(frozen=True)
class Pool:
    """An `Executor`: processes on this machine.

    Attributes:
        workers: How many at most; no more than there are stacks are started.
    """

    workers: int

    @property
    def description(self) -> Mapping[str, Any]:
        """What the record of a session says of it."""
        return {"workers": self.workers, "threads per worker": THREADS}

    def train(self, stacks: Sequence[Stack], data: Dataset) -> Iterator[tuple[Stack, TrialResults]]:
        """Train every stack and yield it with its rows, in the order in which they finish.

        Args:
            stacks: What to train.
            data: The data set that all trials name.

        Raises:
            StudyError: If a process dies.
        """
        context = multiprocessing.get_context("spawn")  # a forked torch may hang
        count = min(self.workers, len(stacks))
        others = set(multiprocessing.active_children())
        pool = ProcessPoolExecutor(count, context, initializer=_start, initargs=(data,))
        started: set[multiprocessing.process.BaseProcess] = set()
        try:
            with _interrupts_held():  # workers keep it so, and end when this process ends them
                futures = {pool.submit(_train, stack): stack for stack in stacks}
                started = set(multiprocessing.active_children()) - others
            for future in as_completed(futures):
                yield futures.pop(future), future.result()
        except BrokenProcessPool as error:
            raise StudyError(
                "A worker process died, perhaps for want of memory. The finished trials are kept."
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in started:
                process.terminate()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back to the end of the block, and for good from processes that it starts.

    It may take seconds to start them, so that a Ctrl-C meanwhile must not be lost.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    interrupts: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    blocks = hasattr(signal, "pthread_sigmask")  # not on Windows
    if blocks:
        # A process that is started inherits what is blocked, and no handler. The tracker first:
        # its start lets the signal through again.
        resource_tracker.ensure_running()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if blocks:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, handler)
    if interrupts:
        signal.raise_signal(signal.SIGINT)


_data: Dataset  # of a worker process, set once when it starts


def _start(data: Dataset) -> None:
    """Make this process a worker that trains on `data`."""
    global _data
    import torch  # the driving process never loads it

    _data = data
    torch.set_num_threads(THREADS)
    # Weights that decay with no gradient would otherwise slow to a crawl as denormals.
    torch.set_flush_denormal(True)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """Wait for the driving process to end, and end with it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _train(stack: Stack) -> TrialResults:
    """The rows of `stack`, trained in this worker."""
    from etaeff.studies.engine._train import train_stack

    return train_stack(stack, _data)
