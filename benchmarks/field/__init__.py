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
from field._model import FieldModel, seeded

FAMILIES = (
    decoders, experts, encoders, pairs, vision, sound, chance, epsilons, mixtures, frozen,
    discrete, views, joined, branches, networks,
    attentions, layers,
)  # fmt: skip
MODELS: dict[str, FieldModel] = {m.name: m for family in FAMILIES for m in family.MODELS}
# What is seen of these depends on what is drawn.
BY_CHANCE = ("chance of *", "experts that are rarely reached", "bias that *", "orders and *")
AGAIN = [m for m in MODELS.values() if any(fnmatchcase(m.kind, kind) for kind in BY_CHANCE)]
MODELS |= {m.name: m for m in seeded(AGAIN, 1, 2)}


def chosen(glob: str) -> list[FieldModel]:
    """The models whose name or kind a pattern stands for."""
    return [m for m in MODELS.values() if fnmatchcase(m.name, glob) or fnmatchcase(m.kind, glob)]
