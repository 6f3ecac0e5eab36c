"""Whether outputs stay when weights are scaled: by powers of two, which is exact."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final

import torch
from torch import Tensor

from etaeff.symmetry._evidence import Evidence
from etaeff.symmetry._measurement._defects import ZERO
from etaeff.symmetry._measurement._replacing import after, redrawn, scaled_by
from etaeff.symmetry._proof._nullspace import Vector, integers

_FARTHEST: Final = 16  # powers of two, far from what ε at 1e-30 would notice
_LARGE: Final = 60  # powers of two, from where ε is nothing
_NOTHING: Final = -400.0
_NEAR: Final = 4  # powers of two; farther off, what is inert but for rounding shows more of it
_FAR_ROUNDING: Final = 1e-6
_ANEW: Final = 1.0  # deviation of the logarithm of sizes
# Draws, and powers: even ones, so that a root is exact too.
_LADDER: Final = ((0, 2), (1, -2), (2, 4), (3, -4), (0, -16), (1, 16), (2, -8), (3, 8))
_APART: Final = ((0, 1), (1, -1), (2, 3), (3, -3))
_REDRAWS: Final = ((0, 4), (1, -4), (2, 8))


def holds(evidence: Evidence, vector: Vector) -> bool:
    """Whether outputs stay along some exponents: up and down, near and far, in several draws.

    In each of them also where what is scaled is drawn anew first, with any signs: what is dead or
    saturated as the model stands may be alive there. If no output heeds one of them in any draw,
    nothing is shown.

    Args:
        evidence: What is known.
        vector: Exponents by the number of the parameter.
    """
    exponents = _named(evidence, vector)
    steps = ((draw, _step(exponents, power)) for draw, power in _LADDER)
    stay = all(
        _stay(evidence, {name: float(step * v) for name, v in exponents.items()}, draw)
        for draw, step in steps
    )
    return stay and all(_is_alive(evidence, name) for name in exponents)


def _is_alive(evidence: Evidence, name: str) -> bool:
    """Whether a parameter has an effect where it was scaled, or nothing would be shown."""
    anew = redrawn({name}, signs=False, spread=_ANEW)
    return any(evidence.moved(anew, draw) > ZERO for draw, _ in _LADDER[: len(_APART)])


def hold_apart(evidence: Evidence, powers: Mapping[str, Tensor]) -> bool:
    """Whether outputs stay when pieces of tensors are scaled by powers of their own.

    Args:
        evidence: What is known.
        powers: Of two, in shapes that are broadcast to the tensors.
    """
    return all(
        _stay(evidence, {name: step * power for name, power in powers.items()}, draw)
        for draw, step in _APART
    )


def _stay(evidence: Evidence, powers: Mapping[str, float | Tensor], draw: int) -> bool:
    """Whether outputs stay in a draw, and where what is scaled is drawn anew before."""
    scaled = scaled_by(powers)
    anew = redrawn(powers, signs=False, spread=_ANEW, seed=draw)
    pairs = ((scaled, None), (after(anew, scaled), anew))
    far = any(float(abs(torch.as_tensor(p)).max()) > _NEAR for p in powers.values())
    most = _FAR_ROUNDING if far else ZERO
    return all(evidence.moved(other, draw, base) <= most for other, base in pairs)


def denied(evidence: Evidence, vector: Vector, inert: Iterable[str]) -> bool:
    """Whether outputs move along exponents that the graph shows to be a symmetry.

    A true one may be off by rounding, where what it cancels is large; a power of two is exact. Or ε
    is not small beside what it is added to; so weights are scaled up first. What has no effect but
    on rounding is made nothing. And it takes most of several redraws to deny it.

    Args:
        evidence: What is known.
        vector: Exponents by the number of the parameter.
        inert: Parameters without effect.
    """
    exponents = _named(evidence, vector)
    large = {name: float(_LARGE * v) for name, v in exponents.items()}
    large |= dict.fromkeys(inert, _NOTHING)
    denials = 0
    for draw, power in _REDRAWS:
        step = _step(exponents, power)
        other = large | {name: large[name] + float(step * v) for name, v in exponents.items()}
        denials += evidence.moved(scaled_by(other), draw, scaled_by(large)) > ZERO
    return denials > 1


def together(evidence: Evidence, vectors: Sequence[Vector]) -> float:
    """How far outputs move when weights are scaled along all of some symmetries at once."""
    total: dict[str, Fraction] = {}
    for i, vector in enumerate(vectors):
        for name, value in _named(evidence, vector).items():
            total[name] = total.get(name, Fraction(0)) + (2 if i % 2 else -2) * value
    return evidence.moved(scaled_by({name: float(v) for name, v in total.items()}))


def _named(evidence: Evidence, vector: Vector) -> dict[str, Fraction]:
    """Exponents by name, in whole numbers."""
    names = list(evidence.tensors)
    return {names[i]: value for i, value in integers(vector).items()}


def _step(exponents: Mapping[str, Fraction], power: int) -> int:
    """A power, or less of it where exponents are large."""
    largest = max(abs(value) for value in exponents.values())
    return int(min(abs(power), max(_FARTHEST // largest, 1))) * (1 if power > 0 else -1)
