"""Time to follow a million steps, against the same recursion in NumPy calls on small arrays.

    .venv/bin/python benchmarks/trajectory.py

Medians of interleaved runs in one process. The alternative is how one would write it first: an
array of the three second moments, and a matrix product a step.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

from etaeff.theory import lr_schedule, trajectory

STEPS = 1_000_000
ROUNDS = 5
ALTERNATIVE_STEPS = 20_000  # and scaled up: a million would take a while


def with_arrays(lr: np.ndarray, wd: float, momentum: float, grad_norm_sq: float) -> float:
    """Heavy ball with the moments in an array; returns the last ‖w‖²."""
    moments = np.array([1.0, 0.0, 0.0])
    for eta in lr:
        a, b, c, d = 1 - eta * wd, -eta * momentum, wd, momentum
        matrix = np.array(
            [[a * a, 2 * a * b, b * b], [a * c, a * d + b * c, b * d], [c * c, 2 * c * d, d * d]]
        )
        moments = matrix @ moments + np.array([eta**2, -eta, 1.0]) * grad_norm_sq / moments[0]
    return float(moments[0])


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print medians and ratios."""
    lr = lr_schedule("cosine", lr=0.1, steps=STEPS, warmup=1000, final=1e-4)
    few = lr[:ALTERNATIVE_STEPS]
    ours = {
        "sgd": {"momentum": 0.9, "grad_norm_sq": 1.0},
        "sgd, Nesterov": {"momentum": 0.9, "nesterov": True, "grad_norm_sq": 1.0},
        "adamw": {"dim": 1000},
        "adam": {"dim": 1000, "grad_norm_sq": 1.0},
        "lion": {"dim": 1000},
    }
    check = trajectory("sgd", lr=few, wd=5e-4, radius=1.0, **ours["sgd"]).radius[-1] ** 2
    assert abs(with_arrays(few, 5e-4, 0.9, 1.0) / check - 1) < 1e-9
    times: dict[str, list[float]] = {name: [] for name in [*ours, "arrays"]}
    for _ in range(ROUNDS):
        for name, arguments in ours.items():
            optimizer = name.split(",")[0]
            times[name].append(
                timed(lambda: trajectory(optimizer, lr=lr, wd=5e-4, radius=1.0, **arguments))  # noqa: B023
            )
        scale = STEPS / ALTERNATIVE_STEPS
        times["arrays"].append(scale * timed(lambda: with_arrays(few, 5e-4, 0.9, 1.0)))
    slow = statistics.median(times["arrays"])
    print(f"{STEPS:,} steps, medians of {ROUNDS}")
    for name, own in times.items():
        median = statistics.median(own)
        print(f"{name:15} {median:7.2f} s   {slow / median:5.1f} × as fast as arrays")


if __name__ == "__main__":
    main()
