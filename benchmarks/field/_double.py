"""What a forward pass is changed to for the truth: float64, every ε tiny, nothing dropped.

Nothing here is the audit's. Modules and configurations are changed by the names of their
attributes, and what functions are called with is changed on its way.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

TINY: Final = 1e-30
LARGEST_EPSILON: Final = 1e-3
WIDE: Final = {
    torch.float32: torch.float64,
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.complex64: torch.complex128,
}
CHANCES: Final = ("dropout", "drop_prob", "drop_path", "dropout_p", "drop_rate", "layerdrop")
ADDED: Final = ("add", "add_", "__add__", "__radd__", "__iadd__", "maximum", "clamp", "clamp_",
                "clamp_min", "clamp_min_", "clip", "clip_", "fmax", "max")  # fmt: skip
WIDENED: Final = {"float": "double", "half": "double", "bfloat16": "double", "cfloat": "cdouble"}
DROPPED: Final = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout",
                  "feature_alpha_dropout", "feature_dropout", "dropout_")  # fmt: skip


class Ideal(TorchFunctionMode):
    """Runs functions in float64, with every ε tiny and nothing dropped."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """`func` as it would be in the ideal."""
        name = getattr(func, "__name__", "")
        args, kwargs = wide(tuple(args)), wide(dict(kwargs or {}))
        if name in DROPPED:
            return args[0] if args else kwargs["input"]
        if name in ("grouped_mm", "_grouped_mm"):
            return _grouped(*args, **kwargs)
        if name in WIDENED and func is getattr(Tensor, name, None):
            return getattr(args[0], WIDENED[name])()
        if name in ADDED:
            args = tuple(map(_tiny, args))
            kwargs = {k: value if k == "alpha" else _tiny(value) for k, value in kwargs.items()}
        elif name == "scaled_dot_product_attention":
            args, kwargs = args[:4], {**kwargs, "dropout_p": 0.0}
        else:
            args, kwargs = _without_epsilon(func, args, kwargs)
        return func(*args, **kwargs)


def _grouped(x: Tensor, weights: Tensor, offs: Tensor, **_: Any) -> Tensor:
    """The product of each group of rows with its own matrix, for which torch has no float64."""
    ends = [0, *offs.tolist()]
    parts = [
        x[begin:end] @ w for begin, end, w in zip(ends, ends[1:], weights.unbind(), strict=False)
    ]
    return torch.cat([*parts, x.new_zeros(len(x) - ends[-1], weights.shape[-1])])


def wide(values: Any) -> Any:
    """The same, with the type of double precision for each narrower one that is asked for."""
    if isinstance(values, torch.dtype):
        return WIDE.get(values, values)
    if type(values) in (list, tuple):
        return type(values)(map(wide, values))
    if type(values) is dict:
        return {key: wide(value) for key, value in values.items()}
    return values


def _tiny(value: Any) -> Any:
    """A small number of one entry as a tiny one; a parameter is none."""
    if isinstance(value, bool | int | nn.Parameter):
        return value
    if isinstance(value, float):
        return TINY if 0 < value <= LARGEST_EPSILON else value
    if isinstance(value, Tensor) and value.numel() == 1 and value.grad_fn is None:
        small = value.is_floating_point() and 0 < float(value) <= LARGEST_EPSILON
        return torch.full_like(value, TINY) if small else value
    return value


@cache
def _signature(func: Callable[..., Any]) -> inspect.Signature | None:
    """The signature of a function that takes an ε and says so."""
    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError):
        return None
    return signature if "eps" in signature.parameters else None


def _without_epsilon(
    func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """The arguments with a tiny ε, given or not."""
    if "eps" in kwargs:
        return args, {**kwargs, "eps": TINY}
    signature = _signature(func) if getattr(F, getattr(func, "__name__", ""), None) else None
    if signature is None:
        return args, kwargs
    bound = signature.bind(*args, **kwargs)
    bound.arguments["eps"] = TINY
    return bound.args, bound.kwargs


def idealise(model: nn.Module) -> None:
    """Set every ε of the modules and configurations to a tiny number, and every dropout to 0."""
    done: set[int] = set()
    for module in model.modules():
        _set(module, vars(module), done)


def _set(owner: Any, values: Mapping[str, Any], done: set[int]) -> None:
    """The same for what has these attributes, and for what it holds that is no module."""
    done.add(id(owner))
    for name, value in list(values.items()):
        if isinstance(value, float):
            if _is_epsilon(name) and 0 < value <= LARGEST_EPSILON:
                _put(owner, name, TINY)
            elif 0 < value <= 1 and _is_chance(name, owner):
                _put(owner, name, 0.0)
        elif _is_configuration(name, value) and id(value) not in done:
            _set(value, vars(value), done)


def _put(owner: Any, name: str, value: float) -> None:
    """Set an attribute; a frozen one is left as it is."""
    try:
        setattr(owner, name, value)
    except (AttributeError, TypeError):
        return


def _is_configuration(name: str, value: Any) -> bool:
    """Whether an attribute has settings of its own."""
    return (name == "config" or name.endswith("_config")) and hasattr(value, "__dict__")


def _is_epsilon(name: str) -> bool:
    """Whether an attribute is called an ε."""
    return name in ("eps", "epsilon", "variance_epsilon") or name.endswith(("_eps", "_epsilon"))


def _is_chance(name: str, owner: Any) -> bool:
    """Whether an attribute is the probability of dropping something."""
    dropping = name == "p" and "drop" in type(owner).__name__.lower()
    return dropping or any(word in name for word in CHANCES)
