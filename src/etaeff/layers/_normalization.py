"""Batch, Layer and Weight Normalization as the paper writes them, without the nonlinearity.

Notation
    X    inputs of the layer       w    weight; it has no bias of its own
    γ    `gain`                    β    `shift`, one of each per output channel

Activations are laid out as in torch: `(examples, channels, *space)`.
"""

import torch.nn.functional as F
from torch import Tensor

from etaeff.geometry import normalize


def batch_norm(
    x: Tensor,  # (examples, channels, *space)
    gain: Tensor,  # (channels,)
    shift: Tensor,  # (channels,)
    *,
    eps: float = 1e-5,
    running: tuple[Tensor, Tensor] | None = None,
    training: bool = True,
) -> Tensor:
    r"""Batch Normalization of the products `x` = Xw.

    $$y = \frac{Xw - \mathrm{mean}(Xw)}{\sqrt{\mathrm{var}(Xw) + \epsilon}}\,\gamma + \beta$$

    with mean and (biased) variance over the examples and positions of a channel. In training
    y does not change with the scale of a channel's weights, but for ε.

    Args:
        x: Products of inputs and weights.
        gain: γ.
        shift: β.
        eps: ε > 0, added to the variance.
        running: Running mean and variance, updated in place in training (by a tenth of the
            way, the variance unbiased, as torch does) and used instead of the batch's
            otherwise.
        training: Whether the batch's own statistics are used.

    Examples:
        >>> import torch
        >>> x = torch.tensor([[1.0], [3.0]])
        >>> batch_norm(x, torch.ones(1), torch.zeros(1), eps=1e-12)
        tensor([[-1.],
                [ 1.]])

    References:
        van Laarhoven 2017, section 2; Ioffe & Szegedy 2015.
    """
    mean, var = running if running is not None else (None, None)
    return F.batch_norm(x, mean, var, gain, shift, training=training, eps=eps)


def layer_norm(
    x: Tensor,  # (examples, channels, *space)
    gain: Tensor,  # (channels,)
    shift: Tensor,  # (channels,)
    *,
    eps: float = 1e-5,
    groups: int = 1,
) -> Tensor:
    r"""Layer Normalization of the products `x` = Xw.

    The formula of `batch_norm` with mean and variance over all units of the layer, for each
    example alone. y does not change with the scale of the whole layer's weights, but for ε.

    Args:
        x: Products of inputs and weights.
        gain: γ.
        shift: β.
        eps: ε > 0, added to the variance.
        groups: Number of layers that lie side by side in the channels, each normalised by
            itself.

    Examples:
        >>> import torch
        >>> layer_norm(torch.tensor([[1.0, 3.0]]), torch.ones(2), torch.zeros(2), eps=1e-12)
        tensor([[-1.,  1.]])

    References:
        Ba, Kiros & Hinton, "Layer Normalization", 2016.
    """
    return F.group_norm(x, groups, gain, shift, eps=eps)


def weight_norm(weight: Tensor, dims: tuple[int, ...]) -> Tensor:
    r"""The weight that Weight Normalization multiplies the inputs with.

    $$y = X \frac{w}{\|w\|}\,\gamma + \beta$$

    Only the direction of w enters; ‖w‖ is free to move in training and has no ε.

    Args:
        weight: w, with one block per output channel. No block may be zero.
        dims: The axes that form one block: all but the output channels.

    Returns:
        w/‖w‖, in the shape of `weight`.

    Examples:
        >>> import torch
        >>> weight_norm(torch.tensor([[3.0, 4.0]]), dims=(1,))
        tensor([[0.6000, 0.8000]])

    References:
        van Laarhoven 2017, section 2; Salimans & Kingma 2016.
    """
    return normalize(weight, dims)
