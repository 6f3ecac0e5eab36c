"""How models of transformers are built: tiny, from a configuration, with random weights."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor

from field._model import Built, FieldModel

Inputs = Callable[[], dict[str, Any] | tuple[Any, ...]]

WORDS: Final = 31
TEXT: Final[dict[str, Any]] = {
    "vocab_size": WORDS,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def ids(*names: str, length: int = 8) -> Inputs:
    """Tokens: the first argument, or those of these names."""

    def made() -> dict[str, Tensor] | tuple[Tensor, ...]:
        drawn = [torch.randint(3, WORDS, (2, length)) for _ in names or ("",)]
        return dict(zip(names, drawn, strict=True)) if names else tuple(drawn)

    return made


def pictures(size: int = 16, batch: int = 2, channels: int = 3) -> Inputs:
    """A picture for each of a batch."""
    return lambda: (torch.randn(batch, channels, size, size),)


def sound(length: int = 800, batch: int = 2) -> Inputs:
    """Raw sound."""
    return lambda: (torch.randn(batch, length),)


def of(kind: str, model: str, config: str, inputs: Inputs, /, **settings: Any) -> FieldModel:
    """A model of transformers, called `model`, with a configuration called `config`."""
    return FieldModel(model, kind, partial(_built, model, config, inputs, settings))


def configured(name: str, **settings: Any) -> Callable[[], Any]:
    """A configuration inside another one, made when the model is built."""
    return lambda: _named(name)(**settings)


def _built(model: str, config: str, inputs: Inputs, settings: dict[str, Any]) -> Built:
    """The model as its class builds it, and the arguments of a plain call."""
    made = {key: value() if callable(value) else value for key, value in settings.items()}
    built = _named(model)(_named(config)(**made))
    given = inputs()
    return (built, (), given) if isinstance(given, dict) else (built, given, {})


def _named(name: str) -> Any:
    """A class of transformers, which takes seconds to load."""
    import transformers

    transformers.logging.set_verbosity_error()
    return getattr(transformers, name)
