"""Operators that torch does not have in float64, or not without their ε, made of others.

Their arguments have the names of their schemas.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor


def _grouped_mm(
    self: Tensor, mat2: Tensor, offs: Tensor | None = None, bias: Any = None, out_dtype: Any = None
) -> Tensor:
    """Products of matrices, group by group; what lies after the last group is zero."""
    left, right = self, mat2
    if offs is None:
        return left @ right
    ends = offs.tolist()
    pieces = list(zip([0, *ends[:-1]], ends, strict=True))
    if left.ndim == right.ndim == 2:  # groups of what is summed over
        return torch.stack([left[:, first:last] @ right[first:last] for first, last in pieces])
    if left.ndim == 3:  # of columns
        products = [left[i] @ right[:, first:last] for i, (first, last) in enumerate(pieces)]
        rest = right.new_zeros(left.shape[1], right.shape[1] - ends[-1])
        return torch.cat([*products, rest], 1)
    products = [left[first:last] @ right[i] for i, (first, last) in enumerate(pieces)]
    return torch.cat([*products, left.new_zeros(left.shape[0] - ends[-1], right.shape[2])])


def _cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 1
) -> Tensor:
    """One minus the cosine where the target is 1, and what exceeds the margin where it is −1."""
    cosine = F.cosine_similarity(input1, input2, dim=-1, eps=1e-30)  # torch's own ε is no argument
    apart = (cosine - margin).clamp_min(0)
    loss = torch.where(target == 1, 1 - cosine, torch.where(target == -1, apart, 0))
    return (loss, loss.mean(), loss.sum())[reduction]


WITHOUT_EPSILON: Final = frozenset({"cosine_embedding_loss"})  # not for the model's own ε
_RENORM_EPSILON: Final = 1e-7  # in `embedding_renorm_`
STAND_INS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {"_grouped_mm": _grouped_mm, "cosine_embedding_loss": _cosine_embedding_loss}
)


def shorten_(
    table: Tensor, rows: Tensor, length: float, power: float = 2.0, *, epsilon: bool
) -> Tensor:
    """What `embedding_renorm_` does to the rows that are read, with a derivative.

    Args:
        table: It is written into.
        rows: Those that are read.
        length: Rows that are longer are brought to it.
        power: Of the norm.
        epsilon: Add to the norm what torch adds.
    """
    rows = rows.flatten().unique()
    norms = table[rows].norm(power, dim=1)
    short = length / (norms + (_RENORM_EPSILON if epsilon else 0.0))
    factors = torch.where(norms > length, short, torch.ones_like(norms))
    whole = torch.ones(len(table), dtype=table.dtype, device=table.device)
    return table.copy_(table.clone() * whole.index_put((rows,), factors)[:, None])
