"""What weight decay does to each parameter, and why, in a sentence."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from torch import Tensor

from etaeff._words import named
from etaeff.geometry import Block
from etaeff.records.audits import DecayKind, Ground, SymmetryKind
from etaeff.symmetry._evidence import Evidence
from etaeff.symmetry._symmetries import Findings
from etaeff.symmetry._symmetry import Symmetry

_Verdict: TypeAlias = tuple[DecayKind, str, Ground]

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
    evidence: Evidence, findings: Findings, blocks: Sequence[Block]
) -> dict[str, DecayEffect]:
    """What decay does to each parameter, by name."""
    ends = {name: findings.flow.absorbed.get(i, []) for i, name in enumerate(evidence.tensors)}
    alone = {block.names[0] for block in blocks if len(block.names) == 1}
    effects = {}
    for name, tensor in evidence.tensors.items():
        verdict = (
            _of_held(tensor, evidence.held.get(name))
            or _of_unreached(name, findings)
            or _of_symmetries(name, findings, ends, alone=name in alone)
            or _of_none(name, evidence, findings)
        )
        effects[name] = DecayEffect(name, tuple(tensor.shape), *verdict)
    return effects


def _of_held(tensor: Tensor, reason: str | None) -> _Verdict | None:
    """The verdict on a parameter that training does not scale."""
    if reason is None:
        return None
    if tensor.requires_grad:
        return DecayKind.NOT_KNOWN, reason, Ground.NOT_KNOWN
    return DecayKind.FROZEN, reason, Ground.PROVED


def _of_unreached(name: str, findings: Findings) -> _Verdict | None:
    """The verdict on a parameter that no sample met, whatever the graph says of its scale."""
    if name not in findings.heed.unreached:
        return None
    why = "no gradient reached it, and no output changed with it; other inputs may reach it."
    return DecayKind.NOT_REACHED, why, Ground.NOT_KNOWN


def _of_symmetries(
    name: str,
    findings: Findings,
    ends: Mapping[str, Sequence[tuple[str, str]]],
    *,
    alone: bool,
) -> _Verdict | None:
    """The verdict on a parameter that a symmetry moves; one of one sign says more than others."""
    moving = [
        s
        for s in findings.symmetries
        if name in s.exponents and s.kind is not SymmetryKind.HOMOGENEOUS
    ]
    inert = next((s for s in moving if s.kind is SymmetryKind.INERT), None)
    if inert is not None:
        seen = "it has no effect on the outputs" if inert.proved else "no effect of it was measured"
        return DecayKind.INERT, f"{seen}.", _ground(proved=inert.proved)
    rescalings = [s for s in moving if s.kind is SymmetryKind.RESCALING]
    shortest = min(rescalings, key=lambda s: len(s.exponents), default=None)
    if name in findings.one_signed:
        ray = findings.one_signed[name]
        why = _alone(ends[name]) if alone or len(ray) == 1 else _together(name, ray, ends)
        if shortest is not None and not alone:
            why = f"{why.removesuffix('.')}; its scale can also move to {_against(name, shortest)}."
        return DecayKind.SETS_LR, why, _ground(proved=name in findings.certain)
    if shortest is not None:
        why = f"its scale can move to {_against(name, shortest)}."
        return DecayKind.BALANCES, why, _ground(proved=shortest.proved)
    return None


def _of_none(name: str, evidence: Evidence, findings: Findings) -> _Verdict:
    """The verdict on a parameter that no symmetry moves."""
    found = "no scaling of it was found that leaves the outputs unchanged"
    if not evidence.drawn:
        why = f"{found}, and nothing was measured."
    elif not findings.bound.asked:
        why = f"{found}, and not all was searched."
    elif name in findings.bound.open and name in findings.heed.blind:
        why = f"the outputs change with it and have no gradient; {found}."
    elif name in findings.bound.open:
        why = f"{found}, and gradients do not show that there is none."
    else:
        why = "no scaling of it leaves the outputs unchanged."
        return DecayKind.REGULARISES, why, Ground.MEASURED
    return DecayKind.NOT_KNOWN, why, Ground.NOT_KNOWN


def _ground(*, proved: bool) -> Ground:
    """What a verdict by a symmetry stands on."""
    return Ground.PROVED if proved else Ground.MEASURED


def _against(name: str, rescaling: Symmetry) -> str:
    """The parameters to which the scale of one can move."""
    sign = rescaling.exponents[name] > 0
    return named([n for n, v in rescaling.exponents.items() if (v > 0) != sign], 2)


def _alone(ends: Sequence[tuple[str, str]]) -> str:
    """Why a parameter is scale-invariant by itself."""
    feeds = _fed(ends)
    return f"it feeds {feeds}." if feeds else "the outputs do not change with its scale."


def _together(
    name: str, ray: Collection[str], ends: Mapping[str, Sequence[tuple[str, str]]]
) -> str:
    """Why a parameter is scale-invariant together with others."""
    others = [other for other in ray if other != name]
    feeds = _fed([end for other in ray for end in ends[other]])
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
