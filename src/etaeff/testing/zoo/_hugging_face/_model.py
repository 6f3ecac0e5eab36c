"""Models of transformers from tiny configurations, and what their labels share."""

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn

from etaeff.errors import import_extra
from etaeff.testing.zoo._parts import randn

CAUSAL: Final[dict[str, Any]] = {
    "vocab_size": 11,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "use_cache": False,
    "tie_word_embeddings": False,
}
ATTENTION: Final[dict[str, Any]] = {"intermediate_size": 12, "num_attention_heads": 2}
CLASSIFIER: Final = ("m.classifier.weight m.classifier.bias", 1)
PICTURES: Final[dict[str, Any]] = {"num_channels": 3, "num_labels": 3}


class Logits(nn.Module):
    """A model of transformers, `family` + `task`, that returns its logits alone."""

    def __init__(self, family: str, task: str, **settings: Any) -> None:
        super().__init__()
        transformers = import_extra("transformers", "transformers")  # takes seconds
        torch.manual_seed(0)
        config = getattr(transformers, f"{family}Config")(**settings)
        self.m = getattr(transformers, f"{family}{task}")(config)

    def forward(self, **arguments: Tensor) -> Tensor:
        return self.m(**arguments).logits


def pictures(size: int, batch: int = 2) -> Callable[[], dict[str, Tensor]]:
    """Inputs of shape (batch, 3, size, size)."""
    return lambda: {"pixel_values": randn(batch, 3, size, size)}


def each(template: str, count: int = 2) -> tuple[str, ...]:
    """One text for each of `count` layers, whose number stands for `@`."""
    return tuple(template.replace("@", str(layer)) for layer in range(count))


def both(*layers: str) -> tuple[str, ...]:
    """Weight and bias of each layer."""
    return tuple(f"{layer}.{part}" for layer in layers for part in ("weight", "bias"))
