"""Which parameters the outputs heed, where no gradient tells."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from etaeff.symmetry._evidence import Evidence
from etaeff.symmetry._measurement._cost import passes_in, sample_cost
from etaeff.symmetry._measurement._defects import inert
from etaeff.symmetry._measurement._replacing import Replacement, after, redrawn, scaled_by
from etaeff.symmetry._measurement._samples import Sample
from etaeff.symmetry._proof._basis import readable
from etaeff.symmetry._proof._nullspace import Vector

_EFFECT: Final = 1e-7  # of the outputs, by a parameter that has an effect
_PATIENCE: Final = 1.0  # seconds
_MORE: Final = (6, 40)  # forward passes, where two may not have met a parameter: at least, at most
_COSTLY: Final = 4.0  # seconds of a sample, from which a gradient that cancels is taken for none
_MORE_OF_REACHED: Final = 1
_REDRAWS_OF_REACHED: Final = 2
_SPREAD: Final = {2: 3.0, 3: -3.0, 4: 6.0, 5: -6.0}  # powers of two of all weights, by the pass
_DENIAL: Final = 1e-3  # of the outputs
_NEAR: Final = 0.5  # deviation of the logarithm of sizes
# Draws, whether other weights have the same signs as the model's, powers of two by which they are
# smaller, and by which all that has no gradient is smaller before.
_REDRAWS: Final = (
    (0, True, 0, 0),
    (1, False, 0, 0),
    (2, False, -12, 0),
    (3, True, -24, 0),
    (4, False, 0, 0),
    (5, False, 0, -8),
    (6, False, 4, -8),
)


@dataclass(frozen=True)
class Heed:
    """Parameters without a gradient.

    Attributes:
        inert: No output heeds them, whatever they are.
        unreached: No gradient reached them, not even one that cancels, and no output heeded them:
            an expert that nothing was routed to, say.
        blind: Outputs heed them, and have no gradient: those of a sign, an argmax or a rounding.
        more: The samples that were drawn to find out.
    """

    inert: frozenset[str]
    unreached: frozenset[str]
    blind: frozenset[str]
    more: Sequence[Sample] = ()


def heed(
    evidence: Evidence, shown: set[str], scaleless: set[str], vectors: Sequence[Vector]
) -> Heed:
    """What the outputs heed of parameters that have no gradient.

    Where the graph does not show that they have no effect, chance may have hidden them. So for
    those there are more samples, at other weights and on other inputs.

    Args:
        evidence: What is known.
        shown: Parameters that the graph shows to have no effect.
        scaleless: Those whose scale it shows to have no effect.
        vectors: The symmetries that it shows, as exponents by the number of the parameter.
    """
    still = inert(evidence.drawn)
    more: list[Sample] = []
    most = passes_in(evidence.graph, _PATIENCE, *_MORE)
    costly = evidence.graph is not None and sample_cost(evidence.graph) > _COSTLY
    while len(more) < _worth(still - shown, [*evidence.drawn, *more], most, costly):
        powers = dict.fromkeys(evidence.tensors, _SPREAD.get(len(more), 0.0))
        found = evidence.more(len(more) + 1, 1, powers if any(powers.values()) else {})
        more += found or [evidence.drawn[0]]  # it was not finite there
        still = inert([*evidence.drawn, *more])
    certain = shown - _denied(evidence, shown)
    untouched = {n for n in still if not _is_reached(n, [*evidence.drawn, *more])}
    blind = _effective(evidence, still - certain, untouched if costly else still)
    blind -= {name for name in blind - untouched if _only_rounds(evidence, name)}
    beside = (_beside(blind, evidence, vectors) & untouched) - blind - certain
    blind |= {name for name in beside if _heeded_beside(evidence, name, blind)}
    unreached = untouched - blind - certain - scaleless - beside
    inert_names = certain | (still - blind - unreached)
    return Heed(frozenset(inert_names), frozenset(unreached), frozenset(blind), tuple(more))


def _worth(names: Collection[str], drawn: Sequence[Sample], most: int, costly: bool) -> int:
    """How many more samples some parameters are worth.

    Where no gradient came, chance may have hidden the parameter. Where one came and cancelled, the
    next will say the same, unless it was only very small, as behind a sigmoid that saturates; so
    there it is a question of cost.
    """
    if not names:
        return 0
    cancelled = all(_is_reached(name, drawn) for name in names)
    return _MORE_OF_REACHED if cancelled and costly else most


def _is_reached(name: str, drawn: Sequence[Sample]) -> bool:
    """Whether a gradient came to a parameter, if only one that cancelled."""
    return any(sample.gradient(name) for sample in drawn)


def _denied(evidence: Evidence, shown: Collection[str]) -> set[str]:
    """Parameters that change outputs, where the graph shows that they have no effect.

    They may be far larger than what is left when they are forgotten, so that rounding alone moves
    outputs a little; to deny a proof takes more, and a second draw.
    """

    def moves(names: Collection[str], draw: int = 0) -> bool:
        return evidence.moved(redrawn(names, spread=_NEAR), draw) > _DENIAL

    suspects = _halved(sorted(shown), moves)
    return {name for name in suspects if moves([name], 1)}


def _effective(evidence: Evidence, names: Collection[str], doubtful: Collection[str]) -> set[str]:
    """Those that move an output in some draw when they are drawn anew; in few if not in doubt."""
    found: set[str] = set()
    for i, (draw, signs, power, smaller) in enumerate(_REDRAWS):
        asked = [name for name in names if i < _REDRAWS_OF_REACHED or name in doubtful]
        rest = sorted(name for name in asked if name not in found)
        base = scaled_by(dict.fromkeys(names, smaller)) if smaller else None
        other = partial(redrawn, signs=signs, power=power)
        moves = partial(_moves, evidence, other=other, draw=draw, base=base)
        found |= _halved(rest, moves)
    return found


def _only_rounds(evidence: Evidence, name: str) -> bool:
    """Whether outputs move so little, and only with what is far larger, that it may be rounding.

    A gradient came and cancelled, as that of a bias before a mean that is subtracted.
    """
    return all(
        evidence.moved(redrawn({name}, signs=False), draw) <= _DENIAL
        and evidence.moved(redrawn({name}, spread=_NEAR), draw) <= _EFFECT
        for draw, *_ in _REDRAWS[:_REDRAWS_OF_REACHED]
    )


def _halved(names: Sequence[str], moves: Callable[[Sequence[str]], bool]) -> set[str]:
    """The names that move outputs by themselves, found by asking for many at once."""
    if not names or not moves(names):
        return set()
    if len(names) == 1:
        return set(names)
    middle = len(names) // 2
    return _halved(names[:middle], moves) | _halved(names[middle:], moves)


def _moves(
    evidence: Evidence,
    names: Collection[str],
    *,
    other: Callable[[Collection[str]], Replacement],
    draw: int,
    base: Replacement | None,
) -> bool:
    """Whether an output moves when some weights are drawn anew, from others if they are given."""
    drawn = other(names)
    return evidence.moved(drawn if base is None else after(base, drawn), draw, base) > _EFFECT


def _beside(blind: set[str], evidence: Evidence, vectors: Sequence[Vector]) -> set[str]:
    """Parameters in a proved symmetry with some that outputs heed without a gradient.

    That they have none either is no wonder: a bias of scores that are sorted, say.
    """
    names = list(evidence.tensors)
    together = [{names[i] for i in vector} for vector in readable(vectors, ())] if blind else []
    return {name for some in together if some & blind for name in some}


def _heeded_beside(evidence: Evidence, name: str, blind: set[str]) -> bool:
    """Whether outputs heed a parameter where those that have no gradient were drawn anew."""
    for draw, _, _, _ in _REDRAWS:
        base = redrawn(blind, signs=False, seed=draw)
        other = after(base, redrawn({name}, signs=False, seed=draw + len(_REDRAWS)))
        if evidence.moved(other, draw, base) > _EFFECT:
            return True
    return False
