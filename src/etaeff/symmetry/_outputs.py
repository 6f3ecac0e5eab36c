"""Which of the tensors that a model returns count as its outputs, and what they are called."""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from types import FrameType
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor, nn

from etaeff.errors import UnknownNameError, UsageError
from etaeff.symmetry._tracing._torch import leaves
from etaeff.symmetry._words import in_a_line

Place: TypeAlias = str | int
Choice: TypeAlias = Place | Sequence[Place] | Callable[[Any], Any]
Named: TypeAlias = list[tuple[str, Tensor]]

_ONE: Final = "output"  # what a tensor is called that a model returns by itself


@dataclass
class Counted:
    """What was found of the outputs when the model ran.

    Attributes:
        names: What the tensors that count are called; empty until the model has run.
        failure: What was raised while they were chosen.
    """

    names: tuple[str, ...] = ()
    failure: BaseException | None = field(default=None, repr=False)


def check_choice(outputs: object, loss: object) -> None:
    """Refuse what chooses no outputs.

    Raises:
        UsageError: If both are given, or one is of no kind that chooses.
    """
    if outputs is not None and loss is not None:
        raise UsageError(
            "`loss` is a function of what the model returns, and so is `outputs`: give one of them."
        )
    if loss is not None and not callable(loss):
        raise UsageError(
            "`loss` must be a function of what the model returns that returns one tensor; it is "
            f"of type {type(loss).__name__}."
        )
    parts = outputs if isinstance(outputs, list | tuple) else [outputs]
    if outputs is None or callable(outputs):
        return
    if not parts or not all(isinstance(p, str | int) and not isinstance(p, bool) for p in parts):
        raise UsageError(
            "`outputs` must be a name, an index, a list of those, or a function of what the model "
            f"returns; got {outputs!r}."
        )


@contextlib.contextmanager
def counted_outputs(
    model: nn.Module, outputs: Choice | None, loss: Callable[[Any], Tensor] | None
) -> Iterator[Counted]:
    """Let a model return the tensors that count, as a list, and say what they are called.

    It is a hook of the model's own, so that names of parameters and paths of modules are as ever.

    Args:
        model: The model.
        outputs: Those that count; all if it and `loss` are `None`.
        loss: A function of what the model returns.

    Raises:
        UsageError: If what the model returns has no such outputs.
    """
    counted = Counted()

    def chosen(result: Any) -> list[Tensor]:
        try:
            found = _chosen(result, outputs, loss)
        except Exception as error:
            counted.failure = error
            raise
        counted.failure = None
        counted.names = tuple(name for name, tensor in found if _counts(tensor))
        return [tensor for _, tensor in found]

    try:
        with _result_of(model, chosen):
            yield counted
        if not counted.names and (outputs is not None or loss is not None):
            raise UsageError(
                f"{type(model).__name__} runs no forward hooks, so that no outputs of it can be "
                "chosen. Audit a module whose `forward` calls it and returns those."
            )
    except UsageError:
        if counted.failure is None:
            raise
        raise _as_usage(counted.failure, loss) from counted.failure


@contextlib.contextmanager
def _result_of(model: nn.Module, change: Callable[[Any], Any]) -> Iterator[None]:
    """Change what a model returns to others; not to itself, which it may call."""
    if isinstance(model, torch.jit.ScriptModule):  # which has no hooks
        yield
        return
    calls: list[FrameType | None] = []  # those of the model that have not returned

    def entered(_model: nn.Module, _args: Any) -> None:
        frame = inspect.currentframe()
        here = frame.f_back if frame is not None else None
        running = set(_stack(here))
        calls[:] = [call for call in calls if call in running] + [here]  # a call may have failed

    def changed(_model: nn.Module, _args: Any, result: Any) -> Any:
        calls.pop()
        return None if calls else change(result)

    handles = model.register_forward_pre_hook(entered), model.register_forward_hook(changed)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame and those that called it."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def named_tensors(result: Any, name: str = "") -> Named:
    """All tensors of what a model returned, with what they are called.

    Fields of data classes and keys of dicts are names, and places of tuples are numbers. Objects
    of other classes, such as a cache of keys and values, hold no outputs unless they are
    registered with torch's pytree.
    """
    if isinstance(result, Tensor):
        return [(name or _ONE, result)]
    return [
        pair
        for key, value in _parts(result).items()
        for pair in named_tensors(value, _joined(name, key))
    ]


def _parts(result: Any) -> dict[Place, Any]:
    """What a nest holds, by field, key or place; nothing if it is none."""
    if isinstance(result, Mapping):
        return dict(result)
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return dict(zip(result._fields, result, strict=True))
    if isinstance(result, list | tuple):
        return dict(enumerate(result))
    if is_dataclass(result) and not isinstance(result, type):
        return {f.name: getattr(result, f.name) for f in fields(result)}
    inner = leaves(result)
    return {} if len(inner) == 1 and inner[0] is result else dict(enumerate(inner))


def _joined(name: str, key: Place) -> str:
    """The name of a part."""
    if name:
        return f"{name}.{key}"
    return f"{_ONE} {key}" if isinstance(key, int) else str(key)


def _counts(tensor: Tensor) -> bool:
    """Whether a tensor can depend on the scale of a weight."""
    return tensor.is_floating_point() or tensor.is_complex()


def _chosen(
    result: Any, outputs: Choice | None, loss: Callable[[Any], Tensor] | None
) -> list[tuple[str, Tensor]]:
    """The tensors that count."""
    if loss is not None:
        value = loss(result)
        if not isinstance(value, Tensor) or not _counts(value):
            raise UsageError(f"`loss` must return one tensor of numbers; it returned {_a(value)}.")
        return [("loss", value)]
    if outputs is None:
        return named_tensors(result)
    if callable(outputs):
        name = getattr(outputs, "__name__", "")
        value = outputs(result)
        found = named_tensors(value, f"{name if name.isidentifier() else 'outputs'}()")
        if not any(_counts(tensor) for _, tensor in found):
            raise UsageError(f"`outputs` must return tensors of numbers; it returned {_a(value)}.")
        return found
    places = outputs if isinstance(outputs, list | tuple) else [outputs]
    by_name = {name: t for place in places for name, t in _placed(result, place)}  # type: ignore[arg-type]
    return list(by_name.items())


def _placed(result: Any, place: Place) -> Named:
    """The tensors under a name or an index."""
    parts = _parts(result)
    known = {key: value for key, value in parts.items() if value is not None}
    if isinstance(place, int) and place not in parts:
        value, name = _at(result, known, place)
    elif place in parts:
        value, name = parts[place], _joined("", place)
    else:
        value, name = _attribute(result, str(place), known), str(place)
    found = named_tensors(value, name)
    if not any(_counts(tensor) for _, tensor in found):
        raise UsageError(
            f"The output {place!r} must hold a tensor of numbers, and is {_a(value)}. The model "
            f"returns {_listed(result)}."
        )
    return found


def _at(result: Any, known: Mapping[Place, Any], index: int) -> tuple[Any, str]:
    """The part at a place, those that are `None` not counted, and its name."""
    if isinstance(result, Tensor) and index in (0, -1):
        return result, _ONE
    if not -len(known) <= index < len(known):
        raise UsageError(f"There is no output {index}: the model returns {_listed(result)}.")
    key = list(known)[index]
    return known[key], _joined("", key)


def _attribute(result: Any, name: str, known: Mapping[Place, Any]) -> Any:
    """What a dotted name leads to."""
    value = result
    for part in name.split("."):
        inner = {str(key): v for key, v in _parts(value).items()}
        if part in inner:
            value = inner[part]
        elif isinstance(value, Tensor) or not hasattr(value, part):
            names = [key for key in known if isinstance(key, str)]
            if names:
                raise UnknownNameError("output", name, names)
            raise UsageError(f"There is no output {name!r}: the model returns {_listed(result)}.")
        else:
            value = getattr(value, part)
    return value


def _listed(result: Any) -> str:
    """What can be chosen of a result, in words."""
    if isinstance(result, Tensor):
        return "one tensor, which needs no choice"
    known = [_joined("", key) for key, value in _parts(result).items() if value is not None]
    return ", ".join(f"`{name}`" for name in known) or f"{_a(result)}, which has no parts"


def _a(value: object) -> str:
    """What a value is."""
    if isinstance(value, Tensor):
        return f"a tensor of {str(value.dtype).removeprefix('torch.')}"
    return "None" if value is None else f"of type {type(value).__name__}"


def _as_usage(error: BaseException, loss: object) -> UsageError:
    """What was wrong with a choice, as a refusal."""
    if isinstance(error, UsageError):
        return error
    argument = "outputs" if loss is None else "loss"
    return UsageError(f"`{argument}` fails on what the model returns: {in_a_line(error)}")
