"""Updates of known size: what each remembers, and where that lets a weight rest."""

from etaeff.theory._models._memory._model import MEMORY, bare_decay, update_norm

__all__ = ["MEMORY", "bare_decay", "update_norm"]
