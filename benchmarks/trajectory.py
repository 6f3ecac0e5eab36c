"""Time to follow a million steps, beside the same recursion in NumPy calls on small arrays.

The alternative is how one would write it first: an array of the three second moments, and a matrix
product a step. It follows fewer steps; times are for a million.

    python benchmarks/trajectory.py
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from _harness import Contestant, parser, race, report

from etaeff.theory import lr_schedule, trajectory

STEPS = 1_000_000
ALTERNATIVE_STEPS = 20_000  # a million would take a while
WD = 5e-4
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.9, "grad_norm_sq": 1.0},
    "sgd, Nesterov": {"momentum": 0.9, "nesterov": True, "grad_norm_sq": 1.0},
    "adamw": {"dim": 1000},
    "adam": {"dim": 1000, "grad_norm_sq": 1.0},
    "lion": {"dim": 1000},
}


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


def with_floats(name: str, lr: np.ndarray) -> float:
    """What etaeff does; returns the last ‖w‖²."""
    optimizer = name.split(",")[0]
    path = trajectory(optimizer, lr=lr, wd=WD, radius=1.0, **OPTIMIZERS[name])
    return float(path.radius[-1] ** 2)


def contestants(steps: int, alternative_steps: int) -> list[Contestant]:
    """The arrays, and each optimiser."""
    lr = lr_schedule("cosine", lr=0.1, steps=steps, warmup=steps // 1000, final=1e-4)
    few = lr[:alternative_steps]
    by_arrays: Callable[[], float] = partial(with_arrays, few, WD, 0.9, 1.0)
    assert abs(by_arrays() / with_floats("sgd", few) - 1) < 1e-9
    return [
        Contestant("arrays, sgd", by_arrays, amount=alternative_steps / 1e6),
        *(Contestant(n, partial(with_floats, n, lr), amount=steps / 1e6) for n in OPTIMIZERS),
    ]


def main() -> None:
    """Print medians and ratios."""
    arguments = parser(__doc__, rounds=5).parse_args()
    runs = race(contestants(STEPS, ALTERNATIVE_STEPS), rounds=arguments.rounds, warmups=0)
    report("A million steps", runs, arguments.json, unit="s")


if __name__ == "__main__":
    main()
