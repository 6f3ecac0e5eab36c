"""From what was typed after `etaeff audit` to the audit."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from etaeff.cli._inputs import check_inputs, loaded, sampled, tensor_specs
from etaeff.cli._rules import check_rules
from etaeff.cli._target import TRANSFORMERS, importable, load, split
from etaeff.errors import EtaeffError, UsageError, as_clause

if TYPE_CHECKING:
    from torch import nn

    from etaeff.symmetry import Audit


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse before anything is loaded what can be refused.

    Args:
        options: What was typed, by name.
    """
    where, _ = split(options["target"])
    check_rules(options["rules"], options["decayed"])
    specs = tensor_specs(options["inputs"], options["ids"])
    check_inputs(specs, options["args"], options["vocab"])
    if options["config"] is not None and where != TRANSFORMERS:
        raise UsageError(
            f"`--config` goes with '{TRANSFORMERS}:Class' only; got '{options['target']}'."
        )
    _setting(options)
    if options["train_mode"] and options["eval_mode"]:
        raise UsageError("A model is in one mode: give `--train` or `--eval`.")
    if options["proof_only"] and options["discover"]:
        raise UsageError("`--discover` measures, and `--proof-only` measures nothing: give one.")


def audited(options: Mapping[str, Any]) -> "Audit":
    """The audit of the model that was named, on its inputs; runs the model's code.

    Args:
        options: What was typed, by name.
    """
    import torch

    torch.manual_seed(options["seed"])
    with importable(options["target"]) as put_folder_last:
        model = load(options["target"], options["config"], meta=options["proof_only"])
        put_folder_last()
        if options["args"] is not None:
            args, kwargs = loaded(options["args"], model)
        else:
            specs = tensor_specs(options["inputs"], options["ids"])
            args, kwargs = sampled(specs, options["vocab"], model)
        return _audit(model, args, kwargs, options)


def _audit(
    model: "nn.Module", args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]
) -> "Audit":
    """`etaeff.audit` as the options have it, with whatever it raises as a sentence."""
    from etaeff.symmetry import audit

    try:
        return audit(
            model,
            args,
            kwargs,
            optimizer=_setting(options),
            outputs=[_place(text) for text in options["outputs"]] or None,
            measure=False if options["proof_only"] else None,
            discover=options["discover"] or None,
            training=_training(options),
            seed=options["seed"],
        )
    except EtaeffError:
        raise
    except Exception as error:  # a kind of model that nobody has thought of
        target = options["target"]
        raise EtaeffError(f"'{target}' could not be audited: {as_clause(error)}.") from error


def _training(options: Mapping[str, Any]) -> bool | None:
    """Whether the model is to be in training mode; `None` for the mode that it is in."""
    return True if options["train_mode"] else False if options["eval_mode"] else None


def _place(text: str) -> str | int:
    """A name, or an index where it is one."""
    return int(text) if text.removeprefix("-").isdecimal() else text


def _setting(options: Mapping[str, Any]) -> str | None:
    """The setting that `--optimizer`, `--lr` and `--wd` make, checked.

    `--optimizer` may be a whole setting too, as `etaeff convert --from` takes it.
    """
    name, numbers = options["optimizer"], {key: options[key] for key in ("lr", "wd")}
    given = {key: value for key, value in numbers.items() if value is not None}
    if name is None and not given:
        return None
    if name is None:
        raise UsageError(f"`--{next(iter(given))}` goes with `--optimizer`, such as sgd or adamw.")
    from etaeff.theory import Setting
    from etaeff.theory.settings import optimizer_of

    setting = Setting.parse(" ".join([name, *(f"{k}={v!r}" for k, v in given.items())]))
    optimizer_of(setting.optimizer)
    return str(setting)
