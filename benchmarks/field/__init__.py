"""Models that no label was written for, and how an audit of them is judged."""

from fnmatch import fnmatchcase

from field import (
    attentions,
    branches,
    chance,
    decoders,
    discrete,
    encoders,
    epsilons,
    experts,
    frozen,
    joined,
    layers,
    mixtures,
    networks,
    pairs,
    sound,
    views,
    vision,
)
from field._model import FieldModel

FAMILIES = (
    decoders, experts, encoders, pairs, vision, sound, chance, epsilons, mixtures, frozen,
    discrete, views, joined, branches, networks,
    attentions, layers,
)  # fmt: skip
MODELS: dict[str, FieldModel] = {m.name: m for family in FAMILIES for m in family.MODELS}


def chosen(glob: str) -> list[FieldModel]:
    """The models whose name or kind a pattern stands for."""
    return [m for m in MODELS.values() if fnmatchcase(m.name, glob) or fnmatchcase(m.kind, glob)]
