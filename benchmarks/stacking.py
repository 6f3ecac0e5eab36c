"""Networks per second, trained side by side in one batched model and one after another.

Both train the same trials of the quick study (an MLP on digits under Batch Normalization, SGD)
in one thread. Rounds are interleaved, so that a busy machine slows both; medians are printed.

    python benchmarks/stacking.py
"""

import statistics
import time

import torch

from etaeff.records import Trial
from etaeff.studies import Dataset, load_dataset
from etaeff.studies.engine._train import train_stack

SIZES = (1, 8, 16, 32, 64)
STEPS = 180
ROUNDS = 5


def seconds_per_trial(size: int, data: Dataset) -> float:
    """Wall time of one trial in a stack of `size`."""
    trials = [
        Trial(data="digits", train_size=600, batch_size=32, lr=0.1, wd=1e-3, steps=STEPS, seed=i)
        for i in range(size)
    ]
    begun = time.perf_counter()
    train_stack(trials, data)
    return (time.perf_counter() - begun) / size


def main() -> None:
    """Print a row for each size."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    data = load_dataset("digits")
    for size in SIZES:  # the first use of anything is slow
        seconds_per_trial(size, data)
    rounds = [{size: seconds_per_trial(size, data) for size in SIZES} for _ in range(ROUNDS)]
    print(f"torch {torch.__version__}, 1 thread, {STEPS} steps, median of {ROUNDS} rounds")
    print("stack   ms per step and network   times as many networks per second as alone")
    for size in SIZES:
        median = statistics.median(times[size] for times in rounds)
        ratio = statistics.median(times[1] / times[size] for times in rounds)
        print(f"{size:5d}   {1e3 * median / STEPS:24.3f}   {ratio:10.1f}")


if __name__ == "__main__":
    main()
