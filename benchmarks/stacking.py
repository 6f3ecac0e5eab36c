"""Networks trained side by side in one batched model, beside one after another.

All train the same trials of the quick study (an MLP on digits under Batch Normalization, SGD) in
one thread. Times are for one step of one network.

    python benchmarks/stacking.py
"""

from functools import partial

import torch
from _harness import Contestant, parser, race, report

from etaeff.records import Trial
from etaeff.studies import Dataset, load_dataset
from etaeff.studies.engine._train import train_stack

SIZES = (1, 8, 16, 32, 64)
STEPS = 180


def train(size: int, data: Dataset) -> None:
    """Train a stack of `size` networks."""
    train_stack(
        [
            Trial.of(
                data="digits", train_size=600, batch_size=32, lr=0.1, wd=1e-3, steps=STEPS, seed=i
            )
            for i in range(size)
        ],
        data,
    )


def main() -> None:
    """Print a row for each size."""
    arguments = parser(__doc__, rounds=5).parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    data = load_dataset("digits")
    contestants = [
        Contestant(f"stack of {size}", partial(train, size, data), amount=size * STEPS)
        for size in SIZES
    ]
    runs = race(contestants, rounds=arguments.rounds)
    report("A step of one network", runs, arguments.json)


if __name__ == "__main__":
    main()
