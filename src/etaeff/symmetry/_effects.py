"""What weight decay does to each parameter, and why, in a sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from etaeff._words import named
from etaeff.geometry import Block
from etaeff.records.audits import DecayKind, Ground, SymmetryKind
from etaeff.symmetry._symmetry import Symmetry

_NORMALISERS: Final = ("Norm", "norm")


@dataclass(frozen=True)
class DecayEffect:
    """What weight decay does to a parameter.

    Attributes:
        name: As in `named_parameters`.
        shape: Its shape.
        effect: Equal to `"sets the effective learning rate"`, `"balances a product"`,
            `"regularises"` or `"does nothing (inert)"`.
        why: A sentence.
        ground: What that stands on: `"proved"`, `"measured"` or `"not known"`.
    """

    name: str
    shape: tuple[int, ...]
    effect: DecayKind
    why: str
    ground: Ground = Ground.PROVED

    @property
    def group(self) -> str:
        """Of an optimiser: `"scale-invariant"`, `"inert"`, `"other"`, `"frozen"`, and so on."""
        return self.effect.group


def decay_effects(
    tensors: Mapping[str, Tensor],
    symmetries: Sequence[Symmetry],
    blocks: Sequence[Block],
    ends: Mapping[str, Sequence[tuple[str, str]]],
    held: Mapping[str, str],
    *,
    complete: bool,
) -> dict[str, DecayEffect]:
    """What decay does to each parameter, by name.

    Args:
        tensors: The parameters.
        symmetries: Those that were found.
        blocks: Scale-invariant blocks.
        ends: Path and class of the modules in which the scale of a parameter ends.
        held: Why a parameter cannot be scaled by training; those that can are left out.
        complete: Whether the proof saw every operator, and so missed no symmetry.
    """
    effects = {}
    block_of = {name: block for block in blocks for name in block.names}
    for name, tensor in tensors.items():
        if name in held:
            effects[name] = _of_held(name, tensor, held[name])
            continue
        moving = [
            s for s in symmetries if name in s.exponents and s.kind is not SymmetryKind.HOMOGENEOUS
        ]
        effect, why = _effect(name, moving, block_of.get(name), ends)
        if not moving and not complete:
            why = "no scaling of it was found that leaves the outputs unchanged."
        effects[name] = DecayEffect(name, tuple(tensor.shape), effect, why)
    return effects


def _of_held(name: str, tensor: Tensor, reason: str) -> DecayEffect:
    """The verdict on a parameter that training does not scale."""
    if tensor.requires_grad:
        return DecayEffect(name, tuple(tensor.shape), DecayKind.NOT_KNOWN, reason, Ground.NOT_KNOWN)
    return DecayEffect(name, tuple(tensor.shape), DecayKind.FROZEN, reason, Ground.PROVED)


def _effect(
    name: str,
    moving: Sequence[Symmetry],
    block: Block | None,
    ends: Mapping[str, Sequence[tuple[str, str]]],
) -> tuple[DecayKind, str]:
    """What decay does to a parameter, by the symmetries that move it, and why."""
    kinds = {s.kind for s in moving}
    if SymmetryKind.INERT in kinds:
        shown = all(s.proved for s in moving if s.kind is SymmetryKind.INERT)
        seen = "it has no effect on the outputs" if shown else "no effect of it was measured"
        return DecayKind.INERT, f"{seen}."
    if SymmetryKind.SCALE_INVARIANT in kinds:
        alone = block is not None and len(block.names) == 1
        joint = next(s for s in moving if s.is_scale_invariant)
        return DecayKind.SETS_LR, _alone(ends[name]) if alone else _together(name, joint, ends)
    if SymmetryKind.RESCALING in kinds:
        rescalings = [s for s in moving if s.kind is SymmetryKind.RESCALING]
        shortest = min(rescalings, key=lambda s: len(s.exponents))
        sign = shortest.exponents[name] > 0
        against = [n for n, v in shortest.exponents.items() if (v > 0) != sign]
        return DecayKind.BALANCES, f"its scale can move to {named(against, 2)}."
    return DecayKind.REGULARISES, "no scaling of it leaves the outputs unchanged."


def _alone(ends: Sequence[tuple[str, str]]) -> str:
    """Why a parameter is scale-invariant by itself."""
    feeds = _fed(ends)
    return f"it feeds {feeds}." if feeds else "the outputs do not change with its scale."


def _together(name: str, joint: Symmetry, ends: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    """Why a parameter is scale-invariant together with others."""
    others = [other for other in joint.exponents if other != name]
    feeds = _fed([end for other in joint.exponents for end in ends[other]])
    return (
        f"the outputs do not change when it is scaled together with {named(others, 2)}"
        f"{f', before {feeds}' if feeds else ''}."
    )


def _fed(absorbed: Sequence[tuple[str, str]]) -> str:
    """The first normalisation in which the scale of a parameter ends."""
    for path, kind in absorbed:
        if any(word in kind for word in _NORMALISERS):
            return f"{kind} `{path}`"
    return ""
