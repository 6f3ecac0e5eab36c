"""What goes into a model and what comes out of it: nested, with tensors at the leaves."""

from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

from etaeff.symmetry._tracing._torch import leaves, mapped


def copied(values: Any) -> Any:
    """Arguments for one run: a model may write into them, or send gradients to them."""
    return mapped(lambda v: v.detach().clone() if isinstance(v, Tensor) else v, values)


def tensors_in(results: Any) -> list[Tensor]:
    """All tensors of what a model returned, those in dataclasses too."""
    tensors = []
    for leaf in leaves(results):
        if isinstance(leaf, Tensor):
            tensors.append(leaf)
        elif is_dataclass(leaf) and not isinstance(leaf, type):
            tensors += tensors_in([getattr(leaf, field.name) for field in fields(leaf)])
    return tensors


def is_zero(constant: Tensor) -> bool:
    """Whether it is known to be zero everywhere."""
    try:
        return not constant.is_meta and constant.numel() < 1e6 and not bool(constant.any())
    except RuntimeError:  # it is no tensor that can be asked
        return False
