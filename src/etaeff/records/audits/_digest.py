r"""What an audit says, told once for all that is alike.

A model repeats itself: twelve layers have the same parameters with the same fate. Texts that
differ in their numbers alone are told as one, with `*` where the numbers of names differ and a
range where others do. It works on `Audit.to_dict()`, needs no torch, and drops nothing that
`members` does not hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from etaeff.records.audits._effects import Effect, effects_of
from etaeff.records.audits._next_steps import NextStep, next_steps
from etaeff.records.audits._patterns import Pattern, patterns
from etaeff.records.audits._symmetries import Alike, Kind, alike_of, kinds_of


@dataclass(frozen=True)
class Digest:
    """An audit for people.

    Attributes:
        model: Class of the model.
        parameters: Number of its parameter tensors.
        size: Entries of all of them.
        rank: Dimension of the symmetries.
        blocks: Number of scale-invariant blocks.
        pieces: Spheres that the blocks are cut into.
        kinds: Each kind of symmetry that occurs.
        effects: What decay does.
        symmetries: All symmetries of several tensors, and homogeneous ones.
        parts: Those in which parts of a tensor differ.
        notes: Sentences.
        outputs: What the tensors are called that counted as outputs.
        mode: In which the model was: `"train"`, `"eval"` or `"mixed"`.
        forecasts: What lr and weight decay come to, a sentence for each param group.
        next_steps: How to make an optimiser of it.
    """

    model: str
    parameters: int
    size: int
    rank: int
    blocks: int
    pieces: int
    kinds: tuple[Kind, ...]
    effects: tuple[Effect, ...]
    symmetries: tuple[Alike, ...]
    parts: tuple[Alike, ...]
    notes: tuple[str, ...]
    outputs: tuple[Pattern, ...]
    mode: str
    forecasts: tuple[str, ...]
    next_steps: tuple[NextStep, ...]


def digest(values: Mapping[str, Any]) -> Digest:
    """The digest of what `Audit.to_dict` wrote."""
    sizes = {name: prod(parameter["shape"]) for name, parameter in values["parameters"].items()}
    return Digest(
        model=values["model"],
        parameters=len(sizes),
        size=sum(sizes.values()),
        rank=values["rank"],
        blocks=len(values["blocks"]),
        pieces=sum(block["count"] for block in values["blocks"]),
        kinds=tuple(kinds_of(values["symmetries"])),
        effects=tuple(effects_of(values, sizes)),
        symmetries=tuple(alike_of(values["symmetries"])),
        parts=tuple(alike_of(values.get("piece_symmetries", ()))),
        notes=tuple(values["notes"]),
        outputs=patterns(values.get("outputs", ())),
        mode=values.get("mode", "train"),
        forecasts=tuple(one["sentence"] for one in values.get("forecasts", ())),
        next_steps=next_steps(values),
    )
