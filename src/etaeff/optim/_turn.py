r"""One step on a sphere as a weighted sum: $w \leftarrow \alpha w + \beta d$.

Notation
    w, d       a piece, and the direction of its update: the free step is w − η d
    ww, wd, dd  ⟨w, w⟩, ⟨w, d⟩, ⟨d, d⟩ of each piece, in float64; all that a step needs to know
    R          radius

So a piece that is spread over processes needs one sum of three numbers, and no second pass.
"""

from typing import Any, Final, NamedTuple

import torch
from torch import Tensor


class Turn(NamedTuple):
    """Factors of a step, one for each piece; where it `stays`, no bit of it may change."""

    weight: Tensor
    direction: Tensor
    stays: Tensor


class Aim(NamedTuple):
    """Where a block is to go.

    Attributes:
        is_projected: Whether by the paper's step; else by an angle.
        amount: η of the projected step, or the angle in radians.
        radius: R of each piece, of shape (count,).
    """

    is_projected: bool
    amount: Any
    radius: Tensor

    def turn(self, ww: Tensor, wd: Tensor, dd: Tensor) -> Turn:
        """The factors that take each piece there, from its sums."""
        take = projected if self.is_projected else turned
        return take(ww, wd, dd, self.amount, self.radius)


def projected(ww: Tensor, wd: Tensor, dd: Tensor, lr: float | Tensor, radius: Tensor) -> Turn:
    r"""The paper's step, then normalise: $w \leftarrow R\,(w - \eta d)/\|w - \eta d\|$.

    Where the step cancels four digits of the weight, the factors are NaN: squares lose twice as
    many, and the sums no longer tell the new norm to float32.

    References:
        van Laarhoven 2017, section 5.5.
    """
    step_sq = lr**2 * dd
    new_sq = ww - 2 * lr * wd + step_sq
    new = torch.where(new_sq < _CANCELLED * (ww + step_sq), torch.nan, new_sq).sqrt()
    return Turn(radius / new, -lr * radius / new, (dd == 0) | _is_zero(lr, dd))


def turned(ww: Tensor, wd: Tensor, dd: Tensor, angle: float | Tensor, radius: Tensor) -> Turn:
    r"""Turn by an angle: $w \leftarrow R(\cos\theta\,\hat w - \sin\theta\,\hat t)$.

    Here $t = d - \langle\hat w, d\rangle\hat w$, the part of d that is tangent to the sphere. A
    direction without one leaves the piece as it is.
    """
    tangent_sq = dd - wd.square() / ww
    radial = tangent_sq <= _RADIAL * dd  # nothing but rounding
    tangent = torch.where(radial, 1.0, tangent_sq).sqrt()
    theta = angle * torch.ones_like(ww)  # `as_tensor` would compile each number anew
    cos, sin = theta.cos(), theta.sin()
    along = radius * sin / tangent
    return Turn(radius * cos / ww.sqrt() + along * wd / ww, -along, radial | _is_zero(angle, dd))


_RADIAL: Final = 1e-14  # share of ‖d‖² that is rounding
_CANCELLED: Final = 1e-8  # share of ‖w‖² + ‖ηd‖² below which squares have lost eight digits


def _is_zero(lr: float | Tensor, like: Tensor) -> Tensor:
    zero = lr == 0
    return zero if isinstance(zero, Tensor) else torch.full_like(like, zero, dtype=torch.bool)
