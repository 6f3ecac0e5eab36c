r"""The scaling symmetries of a model, found without the audit.

What is asked is the model itself, in float64 with every ε tiny. Random losses at random weights
give $u_p = \langle\theta_p, \partial L/\partial\theta_p\rangle$, and a symmetry s has
$\sum_p s_p u_p = 0$ for all of them: the null space is an upper bound. Where autograd does not see
what the outputs depend on, as behind `detach` or in NumPy, differences take its place. What is in
the null space is then tried: weights are multiplied by powers of two along it, up and down, at
other weights, inputs and draws. Only what leaves the outputs as they are is true.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Final

import numpy as np
import torch
from torch import Tensor

from field._algebra import Direction, in_fractions, inside, null_space, one_signed, without
from field._model import FieldModel
from field._world import Point, World, moved

POINTS: Final = 4  # at which gradients are taken, and symmetries tried
MORE: Final = 24  # at most so many more, where parameters are not reached or outputs are few
REDRAWS: Final = 12  # points at which a parameter without effect is drawn anew
UNSEEN: Final = 60  # the same for one that had no gradient anywhere: it may be reached rarely
STILL: Final = 1e-7  # a change of the outputs that is rounding
STEP: Final = 1e-6
TRUST: Final = 1e-4  # how well differences and autograd must agree
TOLERANCES: Final = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-10, 1e-11)
SPARE: Final = 6  # losses beside one for each parameter
FACTORS: Final = (1, -1, 2)  # powers of two


@dataclass(frozen=True)
class Truth:
    """What is true of a model.

    Attributes:
        names: The parameters.
        held: Those that cannot be scaled by training.
        inert: Those without any effect on the outputs.
        span: A basis of the symmetries of the others.
        unseen: Those that no loss had a gradient by: of one without effect nobody can tell whether
            other inputs would reach it.
        one_signed: Parameters that can be scaled up in a symmetry that scales none down.
        world: The model itself, to be asked.
        points: Where it was asked.
        doubts: Sentences on what could not be made certain.
    """

    names: tuple[str, ...]
    held: frozenset[str]
    inert: frozenset[str]
    unseen: frozenset[str]
    span: tuple[Direction, ...]
    one_signed: frozenset[str]
    world: World
    points: tuple[Point, ...]
    doubts: tuple[str, ...]

    @property
    def rank(self) -> int:
        """The dimension of the symmetries, inert ones included."""
        return len(self.span) + len(self.inert)

    @property
    def moving(self) -> frozenset[str]:
        """The parameters that some symmetry scales, and that have an effect."""
        return frozenset(name for direction in self.span for name in direction)

    def holds(self, direction: Direction, degree: Fraction = Fraction(0)) -> bool:
        """Whether the outputs keep still, or scale by a power, along a direction."""
        return keeps_still(self.world, self.points, direction, degree)


def truth_of(field_model: FieldModel, candidates: Sequence[Direction] = ()) -> Truth:
    """The truth about a model.

    Args:
        field_model: The model.
        candidates: Directions that somebody claims. They are tried where gradients are blind, and
            count only if they hold.
    """
    world = World(field_model)
    points, rows, doubts = _rows(world)
    basis, more = _held_basis(world, points, rows, candidates)
    seen = dict(zip(world.free, (rows != 0).any(0).tolist(), strict=True))
    inert = [
        name
        for name in world.free
        if _is_inert(world, points, basis, name, REDRAWS if seen[name] else UNSEEN)
    ]
    span = _independent(without(basis, inert), world.free)
    span = [d for d in span if all(seen[n] for n in d) or _holds_where_rarely_reached(world, d)]
    return Truth(
        tuple(world.parameters),
        frozenset(world.held),
        frozenset(inert),
        frozenset(name for name in world.free if not seen[name]),
        tuple(span),
        one_signed(span, world.free),
        world,
        tuple(points),
        tuple(doubts + more),
    )


# ------------------------------------------------------------------------------- an upper bound


def _rows(world: World) -> tuple[list[Point], np.ndarray, list[str]]:
    """The points that were of use, and linear equations there that every symmetry fulfils.

    More points are taken until two in turn say nothing new.
    """
    points: list[Point] = []
    total, known, idle, doubts = np.zeros((0, len(world.free))), 0, 0, []
    followed = 0  # points at which autograd follows the model
    losses = (len(world.free) + SPARE) // POINTS + 1
    for seed in range(POINTS + MORE):
        point = world.point(seed)
        number = sum(y.numel() for y in world(point))
        outputs, functionals = _losses(world, point, min(number, losses))
        rows = _by_autograd(world, outputs, functionals)
        if rows is None or not _is_trusted(world, point, functionals, rows):
            if followed > seed // 2:
                continue  # kinks at this point: autograd was right at most of the others
            rows = _by_differences(world, point, functionals)
        else:
            followed += 1
        good = np.isfinite(rows).all(1)
        if not good.all():
            doubts.append(f"{int((~good).sum())} losses are not finite.")
        reaches = bool(((total == 0).all(0) & (rows[good] != 0).any(0)).any())
        total = np.vstack([total, rows[good]])
        before, known = known, len(world.free) - len(null_space(total, TOLERANCES[0]))
        idle = 0 if known > before else idle + 1
        if seed < POINTS or reaches:
            points.append(point)
        if seed >= POINTS - 1 and idle > 1 and not (total == 0).all(0).any():
            break
        if seed >= POINTS + 8 and idle > 3:
            break
    return points, total, doubts


def _losses(world: World, point: Point, count: int) -> tuple[list[Tensor], list[list[Tensor]]]:
    """The outputs, and random functionals of them: one of all entries, or one of a few."""
    outputs = world(point)
    generator = torch.Generator().manual_seed(1000 + point.seed)
    usual = [y.isfinite() & (y.abs() < 1e30) for y in outputs]
    sizes = [float(y.detach()[kept].abs().max()) if bool(kept.any()) else 0.0
             for y, kept in zip(outputs, usual, strict=True)]  # fmt: skip
    functionals = []
    for i in range(count):
        chosen = []
        for y, kept, size in zip(outputs, usual, sizes, strict=True):
            r = torch.randn(y.shape, generator=generator, dtype=y.dtype) / (size or 1.0)
            few = torch.rand(y.shape, generator=generator) < 3.0 / max(1, y.numel())
            part = kept & few if i % 2 and bool((kept & few).any()) else kept
            chosen.append(torch.where(part, r, torch.zeros_like(r)))
        functionals.append(chosen)
    return outputs, functionals


def _value(outputs: Sequence[Tensor], functional: Sequence[Tensor]) -> Tensor:
    """A loss: the real part of a functional of the outputs, without what is not finite."""
    terms = [
        torch.where(r != 0, r.conj() * y, torch.zeros_like(r)).sum()
        for r, y in zip(functional, outputs, strict=True)
    ]
    reals = [term.real if term.is_complex() else term for term in terms]
    return torch.stack(reals).sum()


def _by_autograd(
    world: World, outputs: Sequence[Tensor], functionals: Sequence[Sequence[Tensor]]
) -> np.ndarray | None:
    """U of each loss and free parameter, or `None` if autograd cannot say."""
    parameters = [world.parameters[name] for name in world.free]
    rows = []
    if not any(y.requires_grad for y in outputs):
        return None
    for functional in functionals:
        try:
            loss = _value(outputs, functional)
            grads = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        except RuntimeError:
            return None
        rows.append([
            0.0 if g is None else float((p.detach().conj() * g).sum().real)
            for p, g in zip(parameters, grads, strict=True)
        ])  # fmt: skip
    return np.array(rows, dtype=float).reshape(len(functionals), len(parameters))


def _is_trusted(
    world: World, point: Point, functionals: Sequence[Sequence[Tensor]], rows: np.ndarray
) -> bool:
    """Whether differences along a random direction say what autograd says.

    A step may cross the kink of a ReLU, so that one of three must agree, the later ones shorter.
    What autograd does not follow disagrees in all of them.
    """
    random = np.random.default_rng(point.seed)
    for step in (STEP, STEP / 10, STEP / 100):
        direction = random.uniform(-1, 1, len(world.free))
        named = dict(zip(world.free, direction, strict=True))
        change = _difference(world, point, functionals, named, step)
        expected = rows @ direction
        size = np.abs(rows).sum(1) + 1e-9
        if bool((np.abs(change - expected) <= TRUST * size).all()):
            return True
    return False


def _by_differences(
    world: World, point: Point, functionals: Sequence[Sequence[Tensor]]
) -> np.ndarray:
    """U of each loss and free parameter, by scaling the parameter a little up and down."""
    columns = [_difference(world, point, functionals, {name: 1.0}) for name in world.free]
    rows = np.array(columns).reshape(len(world.free), len(functionals)).T
    rows[np.abs(rows) < 1e-8] = 0.0  # rounding
    return rows


def _difference(
    world: World,
    point: Point,
    functionals: Sequence[Sequence[Tensor]],
    direction: Mapping[str, float],
    step: float = STEP,
) -> np.ndarray:
    """The derivative of each loss along a direction of scales."""
    values = []
    for sign in (1, -1):
        outputs = world(point, {n: float(np.exp(sign * step * v)) for n, v in direction.items()})
        with torch.no_grad():
            values.append(np.array([float(_value(outputs, f).detach()) for f in functionals]))
    return (values[0] - values[1]) / (2 * step)


# -------------------------------------------------------------------------------- what is tried


def keeps_still(
    world: World,
    points: Iterable[Point],
    direction: Direction,
    degree: Fraction = Fraction(0),
    powers: Sequence[int] = FACTORS,
) -> bool:
    """Whether the outputs keep still, or scale by a power, along a direction of scales."""
    unit = max((v.denominator for v in direction.values()), default=1)
    for point in points:
        before = world.unscaled(point)
        for power in powers:
            step = power * unit if unit <= 2 else power
            after = world(point, {n: 2.0 ** float(step * v) for n, v in direction.items()})
            if degree:
                after = [y * 2.0 ** float(-step * degree) for y in after]
            if moved(before, after) > STILL:
                return False
    return True


def _held_basis(
    world: World, points: Sequence[Point], rows: np.ndarray, candidates: Sequence[Direction]
) -> tuple[list[dict[str, Fraction]], list[str]]:
    """The directions of the null space that hold; and what is doubtful."""
    names, tried = world.free, set()
    best: tuple[list[dict[str, Fraction]], list[dict[str, Fraction]]] | None = None
    for tolerance in TOLERANCES:
        basis = null_space(rows, tolerance)
        found = in_fractions(basis, names) if len(basis) not in tried else None
        tried.add(len(basis))
        if found is None:
            continue
        good = _that_hold(world, points, found)
        if best is None or len(good) > len(best[0]):
            best = good, [d for d in found if d not in good]
        if len(good) == len(found):
            break
    if best is None:
        return [], ["The null space has no basis in small fractions."]
    good, bad = best
    if bad:
        unseen = {name for name, seen in zip(names, (rows != 0).any(0), strict=True) if not seen}
        good += _combined(world, points, good, [d for d in bad if unseen & set(d)])
        for candidate in candidates:
            free = not set(candidate) & world.held and not inside(candidate, good, names)
            if free and keeps_still(world, points, candidate):
                good.append(dict(candidate))
    return good, []


def _that_hold(
    world: World, points: Sequence[Point], directions: Sequence[dict[str, Fraction]]
) -> list[dict[str, Fraction]]:
    """Those of the directions that hold: all that one try leaves, if their sums hold everywhere."""
    directions = [d for d in directions if keeps_still(world, points[-1:], d, powers=(2,))]
    random = np.random.default_rng(3)
    for _ in range(2):
        factors = random.choice([-2, -1, 1, 2], len(directions)).tolist()
        total: dict[str, Fraction] = {}
        for factor, direction in zip(factors, directions, strict=True):
            for name, value in direction.items():
                total[name] = total.get(name, Fraction(0)) + factor * value
        if not keeps_still(world, points, total, powers=(1, -1)):
            return [d for d in directions if keeps_still(world, points, d)]
    return list(directions)


def _combined(
    world: World,
    points: Sequence[Point],
    good: Sequence[Direction],
    bad: Sequence[Direction],
) -> list[dict[str, Fraction]]:
    """Sums of directions that gradients do not see, that hold together and not by themselves."""
    found: list[dict[str, Fraction]] = []
    for factors in product((0, 1, -1), repeat=min(len(bad), 5)):
        chosen = [(f, d) for f, d in zip(factors, bad, strict=False) if f]
        if len(chosen) < 2 or chosen[0][0] < 0:
            continue
        total: dict[str, Fraction] = {}
        for factor, direction in chosen:
            for name, value in direction.items():
                total[name] = total.get(name, Fraction(0)) + factor * value
        total = {name: value for name, value in total.items() if value}
        if inside(total, [*good, *found], world.free):
            continue
        if keeps_still(world, points, total):
            found.append(total)
    return found


def _holds_where_rarely_reached(world: World, direction: Direction) -> bool:
    """Whether a direction of what had no gradient holds at many more points."""
    points = map(world.point, range(POINTS + MORE, POINTS + MORE + UNSEEN))
    return keeps_still(world, points, direction, powers=(2,))


def _is_inert(
    world: World, points: Sequence[Point], basis: Sequence[Direction], name: str, redraws: int
) -> bool:
    """Whether a parameter has no effect: drawn anew, with other signs, nothing moves."""
    if not inside({name: Fraction(1)}, basis, world.free):
        return False
    seeds = range(POINTS + MORE, POINTS + MORE + redraws)
    for point in (*points, *map(world.point, seeds)):
        before = world.unscaled(point)
        generator = torch.Generator().manual_seed(77 + point.seed)
        old = point.weights[name]
        for size in (1.0, 8.0):
            size *= float(old.abs().square().mean().sqrt())
            new = size * torch.randn(old.shape, generator=generator, dtype=old.dtype)
            if moved(before, world.at({**point.weights, name: new}, point)) > STILL:
                return False
    return True


def _independent(directions: Sequence[Direction], names: Sequence[str]) -> list[Direction]:
    """A basis of what they span."""
    kept: list[Direction] = []
    for direction in directions:
        if not inside(direction, kept, names):
            kept.append(direction)
    return kept
