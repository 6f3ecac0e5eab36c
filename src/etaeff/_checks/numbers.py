"""What arguments must be, said once: every refusal is a sentence that names the argument."""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etaeff.errors import UsageError

FloatArray: TypeAlias = NDArray[np.float64]


def array(name: str, value: ArrayLike) -> FloatArray:
    """`value` as float64; refused if it is no number, or none at all."""
    try:
        found = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"`{name}` must be a number or an array of them, got {value!r}.") from None
    if not found.size:
        raise UsageError(f"`{name}` must not be empty.")
    return found


def positive(name: str, value: ArrayLike, *, why: str = "") -> FloatArray:
    """`value` if all of it is positive and finite."""
    found = array(name, value)
    if not (np.all(found > 0) and np.all(np.isfinite(found))):
        raise UsageError(f"`{name}` must be positive and finite, got {_shown(value)}.{why}")
    return found


def not_negative(name: str, value: ArrayLike) -> FloatArray:
    """`value` if all of it is zero or positive, and finite."""
    found = array(name, value)
    if not (np.all(found >= 0) and np.all(np.isfinite(found))):
        raise UsageError(f"`{name}` must be zero or positive and finite, got {_shown(value)}.")
    return found


def fraction(name: str, value: ArrayLike) -> FloatArray:
    """`value` if all of it lies in [0, 1)."""
    found = array(name, value)
    if not np.all((found >= 0) & (found < 1)):
        raise UsageError(f"`{name}` must lie in [0, 1), got {_shown(value)}.")
    return found


def one_fraction(name: str, value: ArrayLike) -> float:
    """`value` as a float, if it is one number in [0, 1)."""
    found = fraction(name, value)
    if found.ndim:
        raise UsageError(f"`{name}` must be one number in [0, 1), got {_shown(value)}.")
    return float(found)


def one_positive(name: str, value: ArrayLike) -> float:
    """`value` as a float, if it is one positive and finite number."""
    found = positive(name, value)
    if found.ndim:
        raise UsageError(f"`{name}` must be one number, got an array of shape {found.shape}.")
    return float(found)


def count(name: str, value: int) -> int:
    """`value` if it is a whole number from 1 on."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise UsageError(f"`{name}` must be a whole number from 1 on, got {value!r}.")
    return int(value)


def per_step(
    lr: ArrayLike, wd: ArrayLike, steps: int | None = None
) -> tuple[FloatArray, FloatArray]:
    """Rate η ≥ 0 and decay λ ≥ 0 of each step, from a number each or one for each step."""
    eta, lam = not_negative("lr", lr), not_negative("wd", wd)
    for name, found in (("lr", eta), ("wd", lam)):
        if found.ndim > 1:
            raise UsageError(
                f"`{name}` must be a number or have one axis, time; got the shape {found.shape}."
            )
    lengths = {len(found) for found in (eta, lam) if found.ndim}
    if steps is not None:
        lengths.add(count("steps", steps))
    if not lengths:
        raise UsageError("`steps` is needed, because neither `lr` nor `wd` has an axis of time.")
    if len(lengths) > 1 or 0 in lengths:
        raise UsageError(
            "`steps` and the lengths of `lr` and `wd` must be the same and not zero, got "
            f"{sorted(lengths)}."
        )
    (length,) = lengths
    return np.broadcast_to(eta, length).copy(), np.broadcast_to(lam, length).copy()


def check_shapes(**arrays: FloatArray) -> tuple[int, ...]:
    """The shape that the arrays broadcast to; refused if they do not."""
    try:
        return np.broadcast_shapes(*(a.shape for a in arrays.values()))
    except ValueError:
        shapes = ", ".join(f"`{name}` {a.shape}" for name, a in arrays.items() if a.ndim)
        raise UsageError(f"The shapes do not broadcast against each other: {shapes}.") from None


def result(name: str, value: FloatArray) -> FloatArray:
    """`value`, positive, finite and not subnormal, as a NumPy scalar if it has no axes.

    Overflow and underflow are refused with `name`, which says what the value is.
    """
    if not (np.all(np.isfinite(value)) and np.all(value >= np.finfo(np.float64).tiny)):
        raise UsageError(
            f"The {name} lies outside what float64 can hold. Check the units of the arguments."
        )
    return value[()]


def product(lr: FloatArray, wd: FloatArray) -> FloatArray:
    """Ηλ, in (0, 2) and no underflow: else the decay by itself has no equilibrium."""
    check_shapes(lr=lr, wd=wd)
    with np.errstate(over="ignore", under="ignore"):
        x = lr * wd
    if np.any(x >= 2):
        raise UsageError(
            f"`lr` times `wd` must be below 2, got {np.max(x)}: past it the decay alone makes "
            "the weight grow, and there is no equilibrium."
        )
    if np.any(x < np.finfo(np.float64).tiny):
        raise UsageError(
            f"`lr` times `wd` must be at least 2.3e-308, the smallest number that float64 "
            f"holds in full, got {np.min(x)}."
        )
    return x


def _shown(value: ArrayLike) -> str:
    return repr(value.item()) if isinstance(value, np.ndarray) and not value.ndim else repr(value)
