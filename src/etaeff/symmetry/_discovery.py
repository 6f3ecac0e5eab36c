"""The upper bound: which symmetries the samples alone allow, and which of those are true.

The null space of enough samples holds every symmetry. Beyond those that are proved it may hold more
that are true, which the rules miss, and directions that are none: near the weights that were drawn
a nonlinearity is flat or straight. So what is left over is written in small fractions, tried by
scaling far, and where that fails the next samples are drawn along it, where it shows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, product
from typing import Final

from etaeff.symmetry._evidence import Evidence
from etaeff.symmetry._heed import Heed
from etaeff.symmetry._measurement._cost import sample_cost, trace_cost
from etaeff.symmetry._measurement._defects import ZERO, defect
from etaeff.symmetry._proof._basis import Span
from etaeff.symmetry._proof._nullspace import Vector
from etaeff.symmetry._scaling import holds
from etaeff.symmetry._search import Search

_ROUNDS: Final = 4  # in which directions are tried, and drawn along
_TAKES_PART: Final = 1e-3  # in a direction
_PATIENCE: Final = 5.0  # seconds of samples that are always worth it
_CONFIRMING: Final = 3  # forward passes that show that there is no more to come
_FEW: Final = 3  # parameters of which all combinations of signs are tried
_MANY: Final = 64  # parameters of which derivatives are taken by differences
_SOME: Final = 12  # parameters of which all pairs are tried


@dataclass(frozen=True)
class Bound:
    """What samples say beyond the symmetries that are known.

    Attributes:
        asked: Whether there were enough of them.
        measured: Symmetries beyond the known ones that hold when they are tried.
        open: Parameters that may stand in further ones.
        dimension: Of the null space of the samples, for parameters with a gradient.
    """

    asked: bool
    measured: tuple[Vector, ...] = ()
    open: frozenset[str] = frozenset()
    dimension: int = 0


def upper_bound(
    evidence: Evidence, known: Sequence[Vector], heed: Heed, discover: bool | None
) -> Bound:
    """What samples say beyond the known symmetries, where it is worth to ask, and single tensors.

    Those are asked for in any case: that one is invariant by itself shows in two samples.

    Args:
        evidence: What is known.
        known: Symmetries, as exponents by the number of the parameter.
        heed: Parameters that have no gradient.
        discover: Whether to ask; `None` where that is worth it.
    """
    hidden = heed.inert | heed.unreached | heed.blind | evidence.held.keys()
    names = [name for name in evidence.tensors if name not in hidden]
    drawn = [*evidence.drawn, *heed.more]
    singles = [name for name in names if defect(drawn, {name: 1.0}) <= ZERO]
    found = _tried(
        evidence, known, [*_units(evidence, singles), *_guesses(evidence, [*heed.blind])]
    )
    worth_it = _is_worth_it(evidence, names, known) if discover is None else discover
    if not worth_it or (not evidence.gradients_tell and len(names) > _MANY):
        return Bound(False, tuple(found))
    search = Search(evidence, names, [*known, *found], drawn)
    search.draw_until_stale()
    for _ in range(_ROUNDS if len(search.left) else 0):
        search.try_fractions()
        search.draw_along()
    taking_part = (search.left.abs() > _TAKES_PART).any(0).tolist() if len(search.left) else []
    left = {name for name, part in zip(names, taking_part, strict=False) if part}
    symmetries = search.known[len(known) :]
    if heed.blind and not evidence.gradients_tell:
        left |= set(names)  # a jump has no derivative, and differences may lie across it
    left |= _undecided(evidence, [*known, *symmetries], heed.blind, left)
    return Bound(True, tuple(symmetries), frozenset(left), len(search.known) + len(search.left))


def _undecided(
    evidence: Evidence, symmetries: Sequence[Vector], blind: Iterable[str], left: set[str]
) -> set[str]:
    """Parameters without a gradient that may stand in a symmetry that was not guessed.

    Where all that has a gradient is known, any other symmetry is one of these parameters alone; if
    one is left, it would be scale-invariant by itself, and that was tried.
    """
    names = list(evidence.tensors)
    moved = {names[i] for vector in symmetries for i in vector}
    undecided = set(blind) - moved
    certain = not left and len(undecided) == 1
    return set() if certain else undecided


def _tried(
    evidence: Evidence, known: Sequence[Vector], candidates: Iterable[Vector]
) -> list[Vector]:
    """Candidates that hold when they are scaled, and are no combination of others."""
    found: list[Vector] = []
    for vector in candidates:
        if vector not in Span([*known, *found]) and holds(evidence, vector):
            found.append(vector)
    return found


def _units(evidence: Evidence, names: Iterable[str]) -> list[Vector]:
    """Each parameter alone."""
    index = {name: i for i, name in enumerate(evidence.tensors)}
    return [{index[name]: Fraction(1)} for name in names]


def _guesses(evidence: Evidence, names: Sequence[str]) -> list[Vector]:
    """What may be a symmetry of parameters of which no gradient tells: alone, in pairs, all."""
    index = {name: i for i, name in enumerate(evidence.tensors)}
    columns = [index[name] for name in names]
    sizes = range(2, len(columns) + 1) if len(columns) <= _FEW else [2]
    guesses = _units(evidence, names)
    for size in sizes if len(columns) <= _SOME else []:
        for some in combinations(columns, size):
            for signs in product((1, -1), repeat=size - 1):
                powers = map(Fraction, (1, *signs))
                guesses.append(dict(zip(some, powers, strict=True)))
    return [*guesses, dict.fromkeys(columns, Fraction(1))] if len(columns) > _FEW else guesses


def _is_worth_it(evidence: Evidence, names: Sequence[str], known: Sequence[Vector]) -> bool:
    """Whether the samples that are needed cost less than the rest of the audit, or little."""
    if evidence.graph is None:
        return True
    each, drawn = sample_cost(evidence.graph), len(evidence.drawn)
    needed = max(len(names) - len(known) - drawn, 0) + _CONFIRMING
    return each * needed <= max(trace_cost(evidence.graph) + each * (drawn + 1), _PATIENCE)
