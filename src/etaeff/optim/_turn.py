r"""One step on a sphere as a weighted sum: $w \leftarrow \alpha w + \beta d$.

Notation
    w, d       a piece, and the direction of its update: the free step is w − η d
    ww, wd, dd  ⟨w, w⟩, ⟨w, d⟩, ⟨d, d⟩ of each piece, in float64; all that a step needs to know
    R          radius

So a piece that is spread over processes needs one sum of three numbers, and no second pass.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Turn(NamedTuple):
    """Factors of a step, one for each piece; where it `stays`, no bit of it may change."""

    weight: Tensor
    direction: Tensor
    stays: Tensor


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
    return Turn(radius / new, -lr * radius / new, (dd == 0) | _none(lr, dd))


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
    return Turn(radius * cos / ww.sqrt() + along * wd / ww, -along, radial | _none(angle, dd))


_RADIAL = 1e-14
_CANCELLED = 1e-8


def _none(lr: float | Tensor, like: Tensor) -> Tensor:
    zero = lr == 0
    return zero if isinstance(zero, Tensor) else torch.full_like(like, zero, dtype=torch.bool)
