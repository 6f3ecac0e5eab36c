r"""Which parameters lie in a direction of one sign: a small linear program, solved exactly.

The symmetries are a space; those whose exponents are all ≥ 0 are a convex cone in it. Whether a
parameter p is scale-invariant, alone or with others, is a question for the cone: is there an s in
it with s_p > 0? A basis does not tell, since a vector of one sign may be traded in it for shorter
ones of mixed signs.

In echelon form the numbers s_f of the free parameters f are coordinates, so the cone is
$\{c \ge 0 : \sum_f c_f b_{fj} \ge 0 \text{ for all } j\}$. Where no coefficient of such a row is
positive, those that are negative hold their c_f at zero; most of a network falls to this. What is
left goes to the simplex method in fractions.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from etaeff.symmetry._proof._nullspace import Vector, integers

_Row: TypeAlias = dict[int, Fraction]


class Cone(NamedTuple):
    """The directions of one sign.

    Attributes:
        through: For each parameter that lies in one, such a direction, in whole numbers ≥ 0.
        beyond: Those that are no vector of the given ones, nor one of these in which a second
            trades some parameters for others.
    """

    through: dict[int, Vector]
    beyond: list[Vector]


def one_signed(vectors: Sequence[Vector]) -> Cone:
    """The directions of one sign in the span of some vectors.

    Args:
        vectors: They span the symmetries.

    Examples:
        >>> one = Fraction(1)
        >>> found = one_signed([{0: one, 1: -one}, {1: one, 2: one}, {3: one, 4: -one}])
        >>> {i: {j: int(v) for j, v in ray.items()} for i, ray in found.through.items()}
        {0: {0: 1, 2: 1}, 1: {1: 1, 2: 1}, 2: {1: 1, 2: 1}}
    """
    basis = _echelon(vectors)
    rows = _rows(basis)
    allowed = _allowed(basis, rows)
    kept = {f: vector for f, vector in basis.items() if f in allowed}
    found: dict[int, Vector] = {}
    beyond = []
    for ray in vectors:
        if len({v > 0 for v in ray.values()}) == 1:
            _note(found, integers({j: abs(v) for j, v in ray.items()}))
    for target in sorted({j for vector in kept.values() for j in vector}):
        if target in found:
            continue
        ray = _traded(target, found, vectors)
        if not ray:
            ray = _ray_through(target, kept)
            beyond += [ray] if ray else []
        _note(found, ray)
    return Cone(dict(sorted(found.items())), beyond)


def _note(found: dict[int, Vector], ray: Vector) -> None:
    """Remember a ray for all that it moves and that has none yet, the shorter ones first."""
    for j in ray:
        if j not in found or len(ray) < len(found[j]):
            found[j] = ray


def _traded(target: int, found: Mapping[int, Vector], vectors: Iterable[Vector]) -> Vector:
    """A known ray in which `target` takes the place of others, by one vector; or nothing.

    Values in the place of the projection behind them, say, in a block of a residual stream. This
    spares most of the linear programs.
    """
    rays = list({id(ray): ray for ray in found.values()}.values())
    for vector in vectors:
        for ray in rays if target in vector else ():
            traded = _with_less(ray, vector, 1 if vector[target] > 0 else -1)
            if traded:
                return traded
    return {}


def _with_less(ray: Vector, vector: Vector, sign: int) -> Vector:
    """A ray and as much of a vector as leaves no exponent negative; nothing if none does."""
    lost = {j: -sign * v for j, v in vector.items() if sign * v < 0}
    if not lost or not lost.keys() <= ray.keys():
        return {}
    traded = dict(ray)
    _add(traded, vector, sign * min(ray[j] / v for j, v in lost.items()))
    return integers(traded) if traded else {}


def preferred(ray: Vector, vectors: Sequence[Vector], light: frozenset[int]) -> Vector:
    """Another ray that fewer gains and shifts stand in, or fewer parameters, or later ones.

    Later ones are what writes into a residual stream, rather than what feeds the writers.

    Args:
        ray: A direction of one sign.
        vectors: They span the symmetries.
        light: Gains and shifts.
    """

    def cost(given: Vector) -> tuple[int, int, int]:
        return len(light & given.keys()), len(given), -sum(given)

    while True:
        traded = [_with_less(ray, vector, sign) for vector in vectors for sign in (1, -1)]
        best = min(filter(None, traded), key=cost, default=ray)
        if cost(best) >= cost(ray):
            return ray
        ray = best


def _echelon(vectors: Iterable[Vector]) -> dict[int, Vector]:
    """A basis in which each vector has a coordinate to itself, by that coordinate."""
    basis: dict[int, Vector] = {}
    for vector in vectors:
        rest = dict(vector)
        for f in basis.keys() & rest.keys():
            _add(rest, basis[f], -rest[f])
        if not rest:
            continue
        first = min(rest)
        pivot = {i: v / rest[first] for i, v in rest.items()}
        for f, other in basis.items():
            if first in other:
                _add(basis[f], pivot, -other[first])
        basis[first] = pivot
    return basis


def _add(vector: Vector, other: Mapping[int, Fraction], factor: Fraction) -> None:
    """Vector += factor · other, without zeros."""
    for i, v in other.items():
        total = vector.get(i, Fraction(0)) + factor * v
        if total:
            vector[i] = total
        else:
            vector.pop(i, None)


def _rows(basis: Mapping[int, Vector]) -> dict[int, _Row]:
    """By parameter that is no coordinate: its exponent as a form in the coordinates."""
    rows: dict[int, _Row] = {}
    for f, vector in basis.items():
        for j, v in vector.items():
            if j != f:
                rows.setdefault(j, {})[f] = v
    return rows


def _allowed(basis: Mapping[int, Vector], rows: Mapping[int, _Row]) -> set[int]:
    """The coordinates that no row holds at zero by its signs alone."""
    allowed = set(basis)
    while True:
        held: set[int] = set()
        for row in rows.values():
            left = {f: v for f, v in row.items() if f in allowed}
            if left and all(v < 0 for v in left.values()):
                held |= left.keys()
        if not held:
            return allowed
        allowed -= held


def _ray_through(target: int, basis: Mapping[int, Vector]) -> Vector:
    """A direction of one sign in which `target` moves; nothing if there is none."""
    if target in basis and all(v > 0 for v in basis[target].values()):
        return integers(basis[target])
    order = list(basis)
    rows = _rows(basis)
    # Maximise s_target where Σ c = 1 stands for any size, −s_j ≤ 0, c ≥ 0.
    goal = {f: vector[target] for f, vector in basis.items() if target in vector}
    bounds = [({f: -v for f, v in row.items()}, Fraction(0)) for row in rows.values()]
    bounds.append((dict.fromkeys(order, Fraction(1)), Fraction(1)))
    best = _maximum(goal, bounds)
    ray: Vector = {}
    for f, c in best.items():
        _add(ray, basis[f], c)
    return integers(ray) if ray.get(target, Fraction(0)) > 0 else {}


def _maximum(
    goal: Mapping[int, Fraction], bounds: Sequence[tuple[_Row, Fraction]]
) -> dict[int, Fraction]:
    """Where Σ goal·c is largest, for c ≥ 0 and rows·c ≤ bounds, all of these ≥ 0.

    The simplex method with Bland's rule, which ends also where many bounds are zero. A row says
    what its basic variable is: bound − Σ row · (the others); slack i has the number −1 − i.
    """
    table = {-1 - i: (dict(row), bound) for i, (row, bound) in enumerate(bounds)}
    profit = dict(goal)
    while True:
        entering = min((f for f, v in profit.items() if v > 0), default=None)
        if entering is None:
            return {f: bound for f, (_, bound) in table.items() if f >= 0 and bound}
        ratios = [
            (bound / row[entering], basic)
            for basic, (row, bound) in table.items()
            if row.get(entering, 0) > 0
        ]
        _, leaving = min(ratios)
        _exchange(table, profit, entering, leaving)


def _exchange(
    table: dict[int, tuple[_Row, Fraction]], profit: _Row, entering: int, leaving: int
) -> None:
    """`entering` becomes basic in the place of `leaving`."""
    row, bound = table.pop(leaving)
    pivot = row.pop(entering)
    solved = {f: v / pivot for f, v in row.items()} | {leaving: 1 / pivot}
    value = bound / pivot
    for basic, (other, limit) in table.items():
        factor = other.pop(entering, None)
        if factor:
            _add(other, solved, -factor)
            table[basic] = other, limit - factor * value
    factor = profit.pop(entering)
    _add(profit, solved, -factor)
    table[entering] = solved, value
