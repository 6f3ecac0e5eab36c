"""The models that have the laws of all optimisers: buffer, adaptive and memory."""

from collections.abc import Mapping
from typing import Final

from etaeff.theory._models._adaptive import ADAPTIVE
from etaeff.theory._models._buffer import BUFFER
from etaeff.theory._models._memory import MEMORY
from etaeff.theory._models._model import Model, Rest, Sizes
from etaeff.theory._models._path import Path
from etaeff.theory.settings._update_rule import UpdateRule

__all__ = ["MODELS", "Model", "Path", "Rest", "Sizes", "model_of"]

MODELS: Final[Mapping[str, Model]] = {"buffer": BUFFER, "adaptive": ADAPTIVE, "memory": MEMORY}


def model_of(rule: UpdateRule) -> Model:
    """The model that has the laws of an update rule."""
    return MODELS[rule.optimizer.model]
