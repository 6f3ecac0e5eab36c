"""What makes up the update of an optimiser, on spheres and off them.

Notation
    d    the direction of an update: the free step is w − η d
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from etaeff.geometry import Shard

State: TypeAlias = dict[str, Any]  # of one parameter, by torch's keys
Group: TypeAlias = Mapping[str, Any]  # a param group: the hyperparameters, by torch's names


def moment_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of gradients, moments and directions: 16 bits would lose small ones."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def _never(_: Group) -> bool:
    return False


@dataclass(frozen=True)
class Rule:
    """The update of an optimiser.

    Attributes:
        name: Of the free optimiser, as `etaeff.theory.settings` has it.
        begin: The state with which a parameter begins: of the parameter, the dtype of moments,
            and the group.
        direction: d, from a gradient in at least float32, the state, whose moments are updated
            in place, and the group.
        step_free: One step of weights on no sphere, bit for bit that of torch's optimiser:
            parameters, their gradients, their states, the group, and the `grad_scale` and
            `found_inf` of a GradScaler.
        moments: Keys of the state that hold vectors in the tangent space.
        uses_squares: Whether the group asks for one second moment per piece. If it does,
            `direction_by_piece` takes the place of `direction`, and `begin_by_piece` of `begin`.
        direction_by_piece: As `direction`, with the local shard of the parameter and ‖g‖²/n of
            each piece, n its entries. The gradient is `None` where a tensor of a joint block has
            none: its second moment goes on, and nothing is returned.
        begin_by_piece: As `begin`, with the number of pieces.
        has_wide_moments: Whether the moments of free weights in 16 bits are in float32.
    """

    name: str
    begin: Callable[[Tensor, torch.dtype, Group], State]
    direction: Callable[[Tensor, State, Group], Tensor]
    step_free: Callable[..., None]
    moments: tuple[str, ...]
    uses_squares: Callable[[Group], bool] = _never
    direction_by_piece: (
        Callable[[Tensor | None, State, Group, Shard, Tensor], Tensor | None] | None
    ) = None
    begin_by_piece: Callable[[Tensor, torch.dtype, Group, int], State] | None = None
    has_wide_moments: bool = False
