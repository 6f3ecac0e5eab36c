"""What weight decay does to each parameter, and why, in a sentence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from etaeff.geometry import Block
from etaeff.symmetry._symmetry import Symmetry

_NORMALISERS: Final = ("Norm", "norm")


@dataclass(frozen=True)
class Parameter:
    """What decay does to a parameter.

    Attributes:
        name: As in `named_parameters`.
        shape: Its shape.
        group: `"scale-invariant"`, `"inert"` or `"other"`.
        effect: `"sets the effective learning rate"`, `"balances a product"`, `"regularises"` or
            `"does nothing (inert)"`.
        why: A sentence.
    """

    name: str
    shape: tuple[int, ...]
    group: str
    effect: str
    why: str


def parameter_reports(
    tensors: Mapping[str, Tensor],
    symmetries: Sequence[Symmetry],
    blocks: Sequence[Block],
    ends: Mapping[str, Sequence[tuple[str, str]]],
    *,
    complete: bool,
) -> dict[str, Parameter]:
    """A report for each parameter, by name.

    Args:
        tensors: The parameters.
        symmetries: Those that were found.
        blocks: Scale-invariant blocks.
        ends: Path and class of the modules in which the scale of a parameter ends.
        complete: Whether the proof saw every operator, and so missed no symmetry.
    """
    reports = {}
    block_of = {name: block for block in blocks for name in block.names}
    for name, tensor in tensors.items():
        own = [s for s in symmetries if name in s.exponents and s.kind != "homogeneous"]
        group, effect, why = _effect(name, own, block_of.get(name), ends)
        if not own and not complete:
            why = "no scaling of it was found that leaves the outputs unchanged."
        reports[name] = Parameter(name, tuple(tensor.shape), group, effect, why)
    return reports


def _effect(
    name: str,
    own: Sequence[Symmetry],
    block: Block | None,
    ends: Mapping[str, Sequence[tuple[str, str]]],
) -> tuple[str, str, str]:
    kinds = {s.kind for s in own}
    if "inert" in kinds:
        shown = all(s.proved for s in own if s.kind == "inert")
        seen = "it has no effect on the outputs" if shown else "no effect of it was measured"
        return "inert", "does nothing (inert)", f"{seen}."
    if "scale-invariant" in kinds:
        if block is not None and len(block.names) == 1:
            feeds = _fed(ends[name])
            why = f"it feeds {feeds}." if feeds else "the outputs do not change with its scale."
        else:
            joint = next(s for s in own if s.kind == "scale-invariant")
            others = [n for n in joint.exponents if n != name]
            why = f"the outputs do not change when it is scaled together with {_some(others)}"
            feeds = _fed([end for n in joint.exponents for end in ends[n]])
            why += f", before {feeds}." if feeds else "."
        return "scale-invariant", "sets the effective learning rate", why
    if "rescaling" in kinds:
        shortest = min((s for s in own if s.kind == "rescaling"), key=lambda s: len(s.exponents))
        sign = shortest.exponents[name] > 0
        against = [n for n, v in shortest.exponents.items() if (v > 0) != sign]
        return "other", "balances a product", f"its scale can move to {_some(against)}."
    return "other", "regularises", "no scaling of it leaves the outputs unchanged."


def _fed(absorbed: Sequence[tuple[str, str]]) -> str:
    """The first normalisation in which the scale of a parameter ends."""
    for path, kind in absorbed:
        if any(word in kind for word in _NORMALISERS):
            return f"{kind} `{path}`"
    return ""


def _some(names: Iterable[str]) -> str:
    given = list(names)
    shown = ", ".join(f"`{name}`" for name in given[:2])
    return shown + (f" and {len(given) - 2} more" if len(given) > 2 else "")
