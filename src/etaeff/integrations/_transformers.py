"""Models of Hugging Face transformers from their configuration, with random weights."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etaeff.errors import DataError, EtaeffError, UsageError, as_clause, import_extra

if TYPE_CHECKING:
    from torch import nn


def transformers_model(
    name: str, config: Path | Mapping[str, Any] | None = None, *, meta: bool = False
) -> "nn.Module":
    """A model of the class `name` with random weights; nothing is downloaded.

    `use_cache` is set to `False`: the cache of keys and values is no output of the training.

    Args:
        name: Of a class of transformers that has a configuration of its own, such as
            `"GPT2LMHeadModel"`.
        config: Its configuration, or the JSON file of one; by default that of the class.
        meta: Make weights without values where the class allows it, which takes no memory: enough
            for a proof, not for a measurement.

    Returns:
        The model, in training mode.

    Raises:
        MissingExtraError: If transformers is not installed.
        UsageError: If there is no such class, or the configuration is that of another.
        DataError: If the file is missing or no configuration.
        EtaeffError: If the class refuses the configuration.
    """
    transformers = import_extra("transformers", "transformers")
    kind = _class(transformers, name)
    with _quiet(transformers):
        made = _config(kind, config)
        for part in (made, _text_config(made)):
            if hasattr(part, "use_cache"):
                part.use_cache = False
        try:
            model: nn.Module = _built(kind, made, meta=meta)
        except Exception as error:
            raise EtaeffError(f"{name} refuses its configuration: {as_clause(error)}.") from error
        return model


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without its advice on training and generation."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)


def _class(transformers: Any, name: str) -> Any:
    kind = getattr(transformers, name, None)
    if kind is None:
        close = get_close_matches(name, dir(transformers), n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise UsageError(f"transformers {transformers.__version__} has no class '{name}'.{hint}")
    if not isinstance(kind, type) or getattr(kind, "config_class", None) is None:
        raise UsageError(
            f"transformers.{name} must be the class of a model that has its own configuration, "
            "such as GPT2LMHeadModel."
        )
    return kind


def _config(kind: Any, given: Path | Mapping[str, Any] | None) -> Any:
    if given is None:
        return kind.config_class()
    source = "its configuration"
    if isinstance(given, str | Path):
        source, given = f"'{given}'", _read(Path(given))
    own, needed = given.get("model_type"), kind.config_class.model_type
    if own is not None and own != needed:
        raise UsageError(
            f"{kind.__name__} needs a configuration of the type '{needed}', and {source} has the "
            f"type '{own}'."
        )
    try:
        return kind.config_class.from_dict(dict(given))
    except Exception as error:
        raise DataError(
            f"{source} is no configuration of {kind.__name__}: {as_clause(error)}."
        ) from error


def _read(file: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"The configuration '{file}' is missing.") from None
    except OSError as error:
        raise DataError(f"The configuration '{file}' cannot be read: {error.strerror}.") from None
    except ValueError as error:  # of JSON and of UTF-8
        raise DataError(f"The configuration '{file}' is not JSON: {error}.") from None
    if not isinstance(values, dict):
        raise DataError(f"The configuration '{file}' must hold one JSON object.")
    return values


def _text_config(config: Any) -> Any:
    """The configuration of the language model inside one of several parts."""
    find = getattr(config, "get_text_config", None)
    return config if find is None else find()


def _built(kind: Any, config: Any, *, meta: bool) -> Any:
    if meta:
        import torch

        try:
            with torch.device("meta"):
                return kind(config)
        except (RuntimeError, NotImplementedError):  # it reads values while it is made
            pass
    return kind(config)
