"""What goes into a model and what comes out of it: nested, with tensors at the leaves."""

from dataclasses import fields, is_dataclass
from typing import Any

import torch.utils._pytree as pytree
from torch import Tensor


def copied(values: Any) -> Any:
    """Arguments for one run: a model may write into them, or send gradients to them."""
    return pytree.tree_map(lambda v: v.detach().clone() if isinstance(v, Tensor) else v, values)


def tensors_in(found: Any) -> list[Tensor]:
    """All tensors of what a model returned, those in dataclasses too."""
    tensors = []
    for leaf in pytree.tree_leaves(found):
        if isinstance(leaf, Tensor):
            tensors.append(leaf)
        elif is_dataclass(leaf) and not isinstance(leaf, type):
            tensors += tensors_in([getattr(leaf, own.name) for own in fields(leaf)])
    return tensors
