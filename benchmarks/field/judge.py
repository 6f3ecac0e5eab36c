"""An audit beside the truth: where it agrees, where it is wrong, and what it leaves open."""

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

import torch
from torch import nn

import etaeff
from etaeff.symmetry import Audit
from field._algebra import inside, rank, without
from field._model import FieldModel
from field._world import moved, seed_all
from field.pieces import balanced_by_parts, false_pieces
from field.truth import STILL, Truth, truth_of

OPEN: Final = ("not known", "not reached")  # what a label may say instead of a claim


class Category(StrEnum):
    """How an audit does; the worst first."""

    WRONG = "wrong"
    REFUSED = "refused"
    MISSED = "missed"
    NOT_KNOWN = "not known"
    AGREES = "full agreement"


@dataclass(frozen=True)
class Verdict:
    """How the audit of one model does.

    Attributes:
        name: Of the model.
        kind: Of the model.
        category: How it does.
        reasons: Why, in sentences; empty if it agrees.
        found: Rank that the audit found, or −1.
        true: Rank of the truth, or −1.
        seconds: Of the audit.
        truth_seconds: Of the truth.
        doubts: What the truth is not certain of.
    """

    name: str
    kind: str
    category: Category
    reasons: tuple[str, ...]
    found: int
    true: int
    seconds: float
    truth_seconds: float
    doubts: tuple[str, ...] = ()


def judge(field_model: FieldModel) -> Verdict:
    """Audit a model, find the truth, and compare."""
    name, kind = field_model.name, field_model.kind
    seed_all(0)
    model, args, kwargs = field_model.build()
    begun = time.perf_counter()
    try:
        audit = _audited(field_model, model, args, kwargs)
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        seconds = time.perf_counter() - begun
        return Verdict(name, kind, Category.REFUSED, (reason,), -1, -1, seconds, 0.0)
    audited = time.perf_counter()
    claims = [s.exponents for s in audit.symmetries if s.kind not in ("inert", "homogeneous")]
    truth = truth_of(field_model, claims)
    category, reasons = compare(audit, truth)
    return Verdict(
        name,
        kind,
        category,
        tuple(reasons),
        audit.rank,
        truth.rank,
        audited - begun,
        time.perf_counter() - audited,
        truth.doubts,
    )


def _audited(field_model: FieldModel, model: nn.Module, args: Any, kwargs: Any) -> Audit:
    """What the audit says of the model as anybody would build it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return etaeff.audit(model, args, kwargs, **field_model.options)


def compare(audit: Audit, truth: Truth) -> tuple[Category, list[str]]:
    """How an audit does beside the truth, and why."""
    audit = _without(audit, {n for n, p in truth.world.first.items() if not p.numel()})
    wrong = [*_false_symmetries(audit, truth), *_false_labels(audit, truth)]
    wrong += false_pieces(audit, truth)
    wrong += _false_blocks(audit, truth)
    if wrong:
        return Category.WRONG, wrong
    unmeasured = [str(note) for note in audit.notes if note.kind.word == "not_measured"]
    if unmeasured:
        return Category.REFUSED, [unmeasured[0][:160]]
    missed = [*_missed(audit, truth), *_coarse(audit, truth)]
    if missed:
        return Category.MISSED, missed
    left = list(_left_open(audit, truth))
    return (Category.NOT_KNOWN, left) if left else (Category.AGREES, [])


def _without(audit: Audit, empty: set[str]) -> Audit:
    """The audit without what it says of tensors that have no entry, of which anything is true."""
    kept = [replace(s, exponents={n: v for n, v in s.exponents.items() if n not in empty})
            for s in audit.symmetries]  # fmt: skip
    return replace(
        audit,
        symmetries=tuple(s for s in kept if s.exponents),
        parameters={n: p for n, p in audit.parameters.items() if n not in empty},
        blocks=tuple(b for b in audit.blocks if not set(b.names) & empty),
    )


# --------------------------------------------------------------------------------- false claims


def _false_symmetries(audit: Audit, truth: Truth) -> Iterator[str]:
    """Symmetries that the truth denies."""
    names = [name for name in truth.names if name not in truth.held]
    units = [{name: Fraction(1)} for name in truth.inert]
    for symmetry in audit.symmetries:
        said = dict(symmetry.exponents)
        ground = "proved" if symmetry.proved else "measured"
        if held := sorted(set(said) & truth.held):
            yield f"{ground}, {symmetry.kind}: scales {held[0]}, which training cannot."
        elif symmetry.kind == "inert":
            if not set(said) <= truth.inert and not _is_open(audit, *said):
                yield f"{ground}, inert: {', '.join(said)} has an effect."
        elif symmetry.kind == "homogeneous":
            if not truth.holds(said, symmetry.degree):
                yield f"homogeneous of degree {symmetry.degree}: {_shown(said)} is not."
        elif not inside(said, [*truth.span, *units], names):
            yield f"{ground}, {symmetry.kind}: {_shown(said)} is none."


def _false_labels(audit: Audit, truth: Truth) -> Iterator[str]:
    """Labels that the truth denies."""
    parts = balanced_by_parts(audit, truth)
    for name, decay in audit.parameters.items():
        effect = str(decay.effect)
        sure = effect.startswith("regularises") and not _is_open(audit, name)
        if sure and name in truth.moving | truth.inert:
            yield f"{name} 'regularises', and {_fate(name, truth)}."
        if decay.group == "scale-invariant" and name not in truth.one_signed:
            yield f"{name} 'sets the effective learning rate', and {_fate(name, truth)}."
        if decay.group == "inert" and name not in truth.inert:
            yield f"{name} is called inert, and {_fate(name, truth)}."
        if effect.startswith("balances") and name not in truth.moving | parts:
            yield f"{name} 'balances a product', and {_fate(name, truth)}."
        if decay.group == "frozen" and name not in truth.held:
            yield f"{name} is called frozen, and {_fate(name, truth)}."


def _expected(name: str, truth: Truth) -> str:
    """How the label of a parameter begins that is right."""
    if name in truth.inert:
        return "does nothing"
    if name in truth.one_signed:
        return "sets"
    return "balances" if name in truth.moving else "regularises"


def _fate(name: str, truth: Truth) -> str:
    """What is true of a parameter."""
    if name in truth.held:
        return "it is held"
    if name in truth.inert:
        return "it is inert"
    if name in truth.one_signed:
        return "it is in a direction of one sign"
    return "it is in a rescaling" if name in truth.moving else "no scaling of it keeps the outputs"


def _false_blocks(audit: Audit, truth: Truth) -> Iterator[str]:
    """Blocks whose pieces cannot be scaled each by itself."""
    for block in audit.blocks:
        if set(block.names) & truth.held:
            yield f"block {block.names}: holds what training cannot scale."
        elif not _cut_holds(truth, block.names, block.axis, block.count):
            yield f"block {block.names}, axis {block.axis}, {block.count} pieces: outputs move."


def _cut_holds(truth: Truth, names: tuple[str, ...], axis: int, count: int) -> bool:
    """Whether the outputs keep still if each piece of a block is scaled by another power."""
    generator = torch.Generator().manual_seed(5)
    for point in truth.points:
        before = truth.world.unscaled(point)
        for _ in range(2):
            powers = torch.randint(-3, 4, (count,), generator=generator).double()
            scale = {n: _by_pieces(2.0**powers, point.weights[n].shape, axis) for n in names}
            if moved(before, truth.world(point, scale)) > STILL:
                return False
    return True


def _by_pieces(factors: torch.Tensor, shape: torch.Size, axis: int) -> torch.Tensor:
    """A factor for each entry along an axis that is cut into equal pieces."""
    if not shape:
        return factors.reshape(())
    axis %= len(shape)
    factors = factors.repeat_interleave(shape[axis] // len(factors))
    return factors.reshape([-1 if i == axis else 1 for i in range(len(shape))])


# --------------------------------------------------------------------------- what is not said


def _is_open(audit: Audit, *names: str) -> bool:
    """Whether the labels of all these parameters say that they claim nothing."""
    rows = [audit.parameters[name] for name in names]
    return all(any(word in f"{p.effect} {p.group} {p.ground}" for word in OPEN) for p in rows)


def _claimed(audit: Audit, names: list[str]) -> list[dict[str, Fraction]]:
    """What an audit says to be symmetries, without homogeneous ones."""
    return [dict(s.exponents) for s in audit.symmetries if s.kind != "homogeneous"]


def _missed(audit: Audit, truth: Truth) -> Iterator[str]:
    """What is true, is not said, and is not said to be unknown."""
    names = [name for name in truth.names if name not in truth.held]
    unknown = [name for name in names if _is_open(audit, name)]
    said = [*_claimed(audit, names), *({name: Fraction(1)} for name in unknown)]
    true = [*truth.span, *({name: Fraction(1)} for name in truth.inert)]
    for direction in true:
        if not inside(direction, said, names):
            yield f"symmetry {_shown(direction)} is not said."
    for name in sorted(truth.one_signed - set(unknown)):
        if audit.parameters[name].group != "scale-invariant":
            yield f"{name} is in a direction of one sign, and '{audit.parameters[name].effect}'."
    for name in sorted(truth.inert - set(unknown)):
        if audit.parameters[name].group != "inert":
            yield f"{name} is inert, and '{audit.parameters[name].effect}'."


def _coarse(audit: Audit, truth: Truth) -> Iterator[str]:
    """Blocks that could be cut finer."""
    for block in audit.blocks:
        shape = truth.world.first[block.names[0]].shape
        length = shape[block.axis] if shape else 1
        finer = [c for c in range(length, block.count, -1) if not length % c]
        finer = [
            c for c in finer if not c % block.count and _fits(truth, block.names, block.axis, c)
        ]
        for count in finer:
            if _cut_holds(truth, block.names, block.axis, count):
                yield f"block {block.names}: {block.count} pieces, and {count} are free."
                break


def _fits(truth: Truth, names: tuple[str, ...], axis: int, count: int) -> bool:
    """Whether all tensors of a block can be cut so."""
    shapes = [truth.world.first[name].shape for name in names]
    return all(len(s) > axis % max(1, len(s)) and not s[axis] % count for s in shapes)


def _left_open(audit: Audit, truth: Truth) -> Iterator[str]:
    """What is true, and is said to be unknown."""
    names = [name for name in truth.names if name not in truth.held]
    said = _claimed(audit, names)
    span = without(said, truth.inert)
    if rank(span, names) < len(truth.span):
        yield f"{len(truth.span) - rank(span, names)} symmetries are left open."
    for name in names:
        effect = audit.parameters[name].effect
        right = str(effect).startswith(_expected(name, truth)) and effect != "regularises"
        right |= "not reached" in effect and name in truth.inert & truth.unseen
        if _is_open(audit, name) and not right:
            yield f"{name} is '{effect}', and {_fate(name, truth)}."


def _shown(direction: dict[str, Fraction]) -> str:
    """A direction in a few words."""
    parts = [f"{name}^{value}" for name, value in direction.items()]
    return " ".join(parts[:4]) + (f" and {len(parts) - 4} more" if len(parts) > 4 else "")
